//! Changes: who may make which, and whose the fields are then.

use gapless_declared::{Change, Document, WriteOptions};
use gapless_objects::fields::FieldValidation;
use serde_json::{Value, json};

use crate::world::{World, by, code, document, merge, version};

fn world() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    (folder, world)
}

#[tokio::test]
async fn a_writer_that_names_an_old_version_is_refused() {
    let (_folder, world) = world();
    let first = world.create("a", json!({}), 1).await;
    world.thing("a", merge(&json!({"spec": {"size": 2}}))).await.unwrap();
    let stale = Document { value: first.clone(), duplicates: Vec::new() };
    let refused = world.thing("a", Change::Replace(stale)).await.unwrap_err();
    assert_eq!(code(&refused), (409, "Conflict"));
    let stale = merge(&json!({"metadata": {"resourceVersion":
        first["metadata"]["resourceVersion"]}, "spec": {"size": 3}}));
    assert_eq!(code(&world.thing("a", stale).await.unwrap_err()), (409, "Conflict"));
    assert_eq!(world.get("a").unwrap()["spec"]["size"], 2);
    // One that names no version means whatever is there.
    world.thing("a", Change::Replace(document("a", json!({}), 4))).await.unwrap();
    assert_eq!(world.get("a").unwrap()["spec"]["size"], 4);
    let again = world.thing("a", Change::Create(document("a", json!({}), 1))).await;
    assert_eq!(code(&again.unwrap_err()), (409, "AlreadyExists"));
    let nobody = world.thing("b", merge(&json!({"spec": {"size": 2}}))).await;
    assert_eq!(code(&nobody.unwrap_err()), (404, "NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_every_change_counts() {
    let (_folder, world) = world();
    world.create("a", json!({}), 0).await;
    let writers = (0..8).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                // Being overtaken all the time is an answer, too.
                while let Err(refusal) = world.thing("a", increment()).await {
                    assert_eq!(code(&refusal), (409, "Conflict"));
                }
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(Result::unwrap);
    let object = world.get("a").unwrap();
    assert_eq!(object["spec"]["size"], 200);
    assert_eq!(object["metadata"]["generation"], 201);
}

/// One more than there is.
fn increment() -> Change {
    Change::Make(Box::new(|object| {
        let mut new = object.clone();
        new["spec"]["size"] = (object["spec"]["size"].as_i64().unwrap() + 1).into();
        Ok(new)
    }))
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let (_folder, world) = world();
    let first = world.create("a", json!({"x": "y"}), 1).await;
    let before = world.revision();
    let same = world.thing("a", Change::Replace(document("a", json!({"x": "y"}), 1))).await;
    assert_eq!(version(&same.unwrap().object), version(&first));
    world.thing("a", merge(&json!({"spec": {"size": 1}}))).await.unwrap();
    assert_eq!(world.revision(), before);
}

#[tokio::test]
async fn a_dry_run_answers_as_if_and_writes_nothing() {
    let (_folder, world) = world();
    world.create("a", json!({}), 1).await;
    let before = world.revision();
    let dry = WriteOptions { is_dry_run: true, ..by("test") };
    let patched =
        world.change(&world.things, "a", merge(&json!({"spec": {"size": 9}})), &dry).await.unwrap();
    assert_eq!((&patched.object["spec"]["size"], patched.is_created), (&json!(9), false));
    let created = Change::Create(document("b", json!({}), 1));
    let created = world.change(&world.things, "b", created, &dry).await.unwrap();
    assert!(created.is_created);
    assert_eq!(created.object["spec"]["colour"], "grey", "defaults are shown");
    let wrong = Change::Create(document("c", json!({}), -1));
    let wrong = world.change(&world.things, "c", wrong, &dry).await.unwrap_err();
    assert_eq!(code(&wrong), (422, "Invalid"));
    assert_eq!(wrong.status().details.causes[0].field, "spec.size");
    assert_eq!(world.revision(), before);
    assert_eq!(world.get("a").unwrap()["spec"]["size"], 1);
    assert_eq!(code(&world.get("b").unwrap_err()), (404, "NotFound"));
}

#[tokio::test]
async fn an_unknown_field_is_refused_warned_of_or_dropped() {
    let (_folder, world) = world();
    let with = |name: &str, validation| {
        let mut misspelt = document(name, json!({}), 1);
        misspelt.value["spec"]["sizee"] = 2.into();
        (Change::Create(misspelt), WriteOptions { validation: Some(validation), ..by("test") })
    };
    let (change, options) = with("a", FieldValidation::Strict);
    let refused = world.change(&world.things, "a", change, &options).await.unwrap_err();
    assert_eq!(refused.status().code, 400);
    assert!(refused.status().message.contains("spec.sizee"), "{refused:?}");
    for (validation, warnings) in [(FieldValidation::Warn, 1), (FieldValidation::Ignore, 0)] {
        let name = format!("b{warnings}");
        let (change, options) = with(&name, validation);
        let written = world.change(&world.things, &name, change, &options).await.unwrap();
        assert_eq!(written.warnings.len(), warnings, "{written:?}");
        assert_eq!(world.get(&name).unwrap()["spec"]["sizee"], Value::Null);
    }
}

#[tokio::test]
async fn an_applied_field_belongs_to_who_applied_it() {
    let (_folder, world) = world();
    let config = |size: i64| Change::Apply(document("a", json!({}), size));
    let apply = async |who: &str, size: i64, is_forced: bool| {
        let options = WriteOptions { is_forced, ..by(who) };
        world.change(&world.things, "a", config(size), &options).await
    };
    assert!(apply("one", 1, false).await.unwrap().is_created);
    let refused = apply("two", 2, false).await.unwrap_err();
    assert_eq!(code(&refused), (409, "Conflict"));
    assert_eq!(refused.status().details.causes[0].field, ".spec.size");
    assert!(refused.status().message.contains("\"one\""), "{refused:?}");
    apply("two", 1, false).await.unwrap();
    apply("two", 2, true).await.unwrap();
    assert_eq!(world.get("a").unwrap()["spec"]["size"], 2);
    assert_eq!(code(&apply("one", 1, false).await.unwrap_err()), (409, "Conflict"));
    // What nobody applies any more goes.
    let mut empty = document("a", json!({}), 0);
    empty.value["spec"] = json!({});
    world.change(&world.things, "a", Change::Apply(empty), &by("two")).await.unwrap();
    assert_eq!(world.get("a").unwrap()["spec"]["size"], Value::Null);
}

#[tokio::test]
async fn a_status_is_the_platforms_own() {
    let (_folder, world) = world();
    world.create("a", json!({}), 1).await;
    let mut forged = document("a", json!({}), 2);
    forged.value["status"] = json!({"seen": 7});
    world.thing("a", Change::Replace(forged)).await.unwrap();
    assert_eq!(world.get("a").unwrap()["status"], Value::Null);
    let key = gapless_declared::ObjectKey::new("default", "a");
    let settle = |object: &mut Value| {
        let status = json!({"seen": 1});
        status != std::mem::replace(&mut object["status"], status.clone())
    };
    let before = world.get("a").unwrap();
    assert!(world.objects.settle(&world.things, &key, settle).await.unwrap().is_some());
    let after = world.get("a").unwrap();
    assert_eq!(after["status"]["seen"], 1);
    assert_eq!(after["metadata"]["managedFields"], before["metadata"]["managedFields"]);
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
    let before = world.revision();
    assert!(world.objects.settle(&world.things, &key, settle).await.unwrap().is_none());
    assert_eq!(world.revision(), before, "a status that is as it was is not written");
    // Whoever changes the rest afterwards does not come to own it.
    world.thing("a", merge(&json!({"spec": {"size": 5}}))).await.unwrap();
    let managed = world.get("a").unwrap()["metadata"]["managedFields"].to_string();
    assert!(!managed.contains("f:status"), "{managed}");
}

#[tokio::test]
async fn a_view_is_the_stored_kind_in_another_shape() {
    let (_folder, world) = world();
    let shaped = |label: &str| {
        let value = json!({"apiVersion": "boxes.fake.dev/v1", "kind": "Box",
            "metadata": {"name": "a"}, "spec": {"label": label}});
        Change::Replace(Document { value, duplicates: Vec::new() })
    };
    let mut made = shaped("fragile");
    if let Change::Replace(document) = made {
        made = Change::Create(document);
    }
    let made = world.change(&world.boxes, "a", made, &by("test")).await.unwrap();
    assert_eq!(made.object["spec"], json!({"label": "fragile"}));
    assert_eq!(made.warnings, ["boxes are things"]);
    let stored = world.get("a").unwrap();
    assert_eq!((&stored["kind"], &stored["spec"]["colour"]), (&json!("Thing"), &json!("grey")));
    world.thing("a", merge(&json!({"spec": {"size": 3}}))).await.unwrap();
    world.change(&world.boxes, "a", shaped("heavy"), &by("test")).await.unwrap();
    let stored = world.get("a").unwrap();
    assert_eq!((&stored["spec"]["size"], &stored["spec"]["label"]), (&json!(3), &json!("heavy")));
    // A thing that is no box is not overwritten through the other shape.
    world.create("b", json!({}), 1).await;
    let mut other = shaped("x");
    if let Change::Replace(document) = &mut other {
        document.value["metadata"]["name"] = "b".into();
    }
    let refused = world.change(&world.boxes, "b", other, &by("test")).await.unwrap_err();
    assert_eq!(code(&refused), (409, "Conflict"));
    let listed = world.objects.list(&world.boxes, &Default::default(), &Default::default());
    assert_eq!(listed.unwrap().items.len(), 1);
}
