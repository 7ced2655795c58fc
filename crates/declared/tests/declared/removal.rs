//! Deletion: under conditions, and not before those who hold an object let go.

use gapless_declared::{DeleteOptions, Deleted, ObjectKey, Outcome, Selection};
use gapless_objects::selector::LabelSelector;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{World, code, merge};

async fn delete(world: &World, name: &str, options: &DeleteOptions) -> Outcome<Deleted> {
    let key = ObjectKey::new("default", name);
    world.objects.delete(&world.things, &key, options, Timestamp::now()).await
}

#[tokio::test]
async fn preconditions_hold_or_nothing_goes() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let object = world.create("a", json!({}), 1).await;
    let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
    let other_uid = DeleteOptions { uid: Some("other".to_owned()), ..Default::default() };
    let other_version = DeleteOptions { version: Some("1".repeat(9)), ..Default::default() };
    for options in [other_uid, other_version] {
        assert_eq!(code(&delete(&world, "a", &options).await.unwrap_err()), (409, "Conflict"));
    }
    let before = world.revision();
    let dry = DeleteOptions { is_dry_run: true, ..Default::default() };
    assert!(delete(&world, "a", &dry).await.unwrap().is_gone);
    assert_eq!(world.revision(), before);
    let right =
        DeleteOptions { uid: text("uid"), version: text("resourceVersion"), is_dry_run: false };
    assert!(delete(&world, "a", &right).await.unwrap().is_gone);
    assert_eq!(code(&world.get("a").unwrap_err()), (404, "NotFound"));
    let again = delete(&world, "a", &DeleteOptions::default()).await.unwrap_err();
    assert_eq!(code(&again), (404, "NotFound"));
}

#[tokio::test]
async fn what_is_held_goes_when_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    world.create("a", json!({}), 1).await;
    let hold = |all: &Value| merge(&json!({"metadata": {"finalizers": all}}));
    world.thing("a", hold(&json!(["fake.dev/one", "fake.dev/two"]))).await.unwrap();
    let deleted = delete(&world, "a", &DeleteOptions::default()).await.unwrap();
    assert!(!deleted.is_gone && deleted.object["metadata"]["deletionTimestamp"].is_string());
    let before = world.revision();
    assert!(!delete(&world, "a", &DeleteOptions::default()).await.unwrap().is_gone);
    assert_eq!(world.revision(), before, "it is marked once");
    // Nobody takes the mark back.
    let unmark = merge(&json!({"metadata": {"deletionTimestamp": null}}));
    world.thing("a", unmark).await.unwrap();
    assert!(world.get("a").unwrap()["metadata"]["deletionTimestamp"].is_string());
    world.thing("a", hold(&json!(["fake.dev/two"]))).await.unwrap();
    assert!(world.get("a").is_ok());
    world.thing("a", hold(&Value::Null)).await.unwrap();
    assert_eq!(code(&world.get("a").unwrap_err()), (404, "NotFound"));
}

#[tokio::test]
async fn a_collection_goes_as_it_is_selected() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    for index in 0..6 {
        world.create(&format!("t{index}"), json!({"half": (index / 3).to_string()}), 0).await;
    }
    let labels = LabelSelector::parse("half=1").unwrap();
    let half = Selection { labels, namespace: Some("default".to_owned()), ..Default::default() };
    let (options, now) = (DeleteOptions::default(), Timestamp::now());
    let gone = world.objects.delete_collection(&world.things, &half, &options, now).await;
    assert_eq!(gone.unwrap().len(), 3);
    let left = world.objects.list(&world.things, &Selection::default(), &Default::default());
    assert_eq!(left.unwrap().items.len(), 3);
}
