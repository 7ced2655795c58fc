//! Field ownership and server-side apply, as people meet them.

use gapless_objects::apply::{self, ApplyError};
use gapless_objects::managed::{self, Writer};
use gapless_objects::{Refusal, kinds};
use jiff::Timestamp;
use serde_json::{Value, json};

fn schema() -> Value {
    (kinds::CONFIG_MAP.schema)()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn by(manager: &str) -> Writer<'_> {
    Writer { manager, api_version: "v1", subresource: "" }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn applied(live: &Value, data: Value, manager: &str) -> Result<Value, ApplyError> {
    apply::apply(&schema(), live, &config_map(data), by(manager), false, at(1))
}

fn updated(live: &Value, data: Value, manager: &str, second: i64) -> Value {
    let mut new = live.clone();
    if live.is_null() {
        new = config_map(data);
    } else {
        new["data"] = data;
    }
    managed::track(&schema(), live, &mut new, by(manager), at(second)).unwrap();
    new
}

/// The fields that `manager` owns.
fn fields<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries
        .iter()
        .find(|entry| entry["manager"] == manager)
        .map_or(&Value::Null, |e| &e["fieldsV1"])
}

#[test]
fn who_creates_owns_every_field() {
    let mut new = config_map(json!({"a": "1"}));
    new["metadata"]["labels"] = json!({"app": "x"});
    managed::track(&schema(), &Value::Null, &mut new, by("kubectl-create"), at(0)).unwrap();
    assert_eq!(
        new["metadata"]["managedFields"],
        json!([{
            "manager": "kubectl-create", "operation": "Update", "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:a": {}},
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            },
        }])
    );
}

#[test]
fn an_update_takes_the_fields_it_changes() {
    let one = updated(&Value::Null, json!({"a": "1", "b": "1"}), "one", 0);
    let two = updated(&one, json!({"a": "2", "b": "1"}), "two", 5);
    assert_eq!(fields(&two, "one"), &json!({"f:data": {".": {}, "f:b": {}}}));
    assert_eq!(fields(&two, "two"), &json!({"f:data": {"f:a": {}}}));
    let entries = two["metadata"]["managedFields"].as_array().unwrap();
    // Who did not write keeps its time.
    assert_eq!(entries[0]["time"], "2026-01-01T00:00:00Z");
    assert_eq!(entries[1]["time"], "2026-01-01T00:00:05Z");
    let same = updated(&two, json!({"a": "2", "b": "1"}), "three", 9);
    assert_eq!(same, two);
    let gone = updated(&two, json!({"b": "1"}), "three", 9);
    assert_eq!(fields(&gone, "two"), &Value::Null);
    assert_eq!(fields(&gone, "three"), &Value::Null);
}

#[test]
fn an_applier_owns_what_its_configuration_names() {
    let live = applied(&Value::Null, json!({"a": "1", "b": "2"}), "kubectl").unwrap();
    let entry = &live["metadata"]["managedFields"][0];
    assert_eq!(entry["operation"], "Apply");
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
    let again = apply::apply(
        &schema(),
        &live,
        &config_map(json!({"a": "1", "b": "2"})),
        by("kubectl"),
        false,
        at(9),
    );
    assert_eq!(again.unwrap(), live);
    let less = applied(&live, json!({"a": "1"}), "kubectl").unwrap();
    assert_eq!(less["data"], json!({"a": "1"}));
    let none = applied(&less, Value::Null, "kubectl").unwrap();
    assert!(none.get("data").is_none() && none["metadata"].get("managedFields").is_none());
}

#[test]
fn an_object_with_nothing_to_own_is_made_too() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let made = apply::apply(&schema(), &Value::Null, &config, by("kubectl"), false, at(0)).unwrap();
    assert_eq!(made, config);
    let mut new = config.clone();
    managed::track(&schema(), &Value::Null, &mut new, by("kubectl"), at(0)).unwrap();
    assert_eq!(new, config);
}

#[test]
fn a_conflict_names_the_manager_and_the_field() {
    let live = updated(&Value::Null, json!({"a": "1", "b": "1"}), "kubectl-edit", 0);
    let error = applied(&live, json!({"a": "2"}), "kubectl").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .data.a"
    );
    let refusal =
        Refusal::from(applied(&live, json!({"a": "2", "b": "2"}), "kubectl").unwrap_err());
    assert_eq!(
        refusal.message,
        "Apply failed with 2 conflicts: conflicts with \"kubectl-edit\" using v1:\n- .data.a\n- .data.b"
    );
    assert_eq!((refusal.code, refusal.reason), (409, "Conflict"));
    assert_eq!(refusal.causes[0].reason, "FieldManagerConflict");
    assert_eq!(refusal.causes[0].message, "conflict with \"kubectl-edit\" using v1");
    assert_eq!(refusal.causes[0].field, ".data.a");
    // The same value is no conflict: both own the field then.
    let shared = applied(&live, json!({"a": "1"}), "kubectl").unwrap();
    assert_eq!(fields(&shared, "kubectl-edit")["f:data"]["f:a"], json!({}));
    assert_eq!(fields(&shared, "kubectl")["f:data"]["f:a"], json!({}));
}

#[test]
fn force_takes_fields_from_their_owners() {
    let live = applied(&Value::Null, json!({"a": "1", "b": "1"}), "one").unwrap();
    let conflict = applied(&live, json!({"a": "2"}), "two").unwrap_err().to_string();
    assert_eq!(conflict, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let config = config_map(json!({"a": "2"}));
    let taken = apply::apply(&schema(), &live, &config, by("two"), true, at(3)).unwrap();
    assert_eq!(taken["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(fields(&taken, "one"), &json!({"f:data": {"f:b": {}}}));
    assert_eq!(fields(&taken, "two"), &json!({"f:data": {"f:a": {}}}));
}

#[test]
fn what_somebody_else_owns_stays() {
    let live = applied(&Value::Null, json!({"a": "1", "b": "1"}), "one").unwrap();
    let shared = applied(&live, json!({"b": "1", "c": "1"}), "two").unwrap();
    let less = applied(&shared, json!({"a": "1"}), "one").unwrap();
    assert_eq!(less["data"], json!({"a": "1", "b": "1", "c": "1"}));
    let gone = applied(&less, Value::Null, "one").unwrap();
    assert_eq!(gone["data"], json!({"b": "1", "c": "1"}));
}

/// What has defaults within: a block that is dropped goes with them.
#[test]
fn a_dropped_block_goes_with_the_defaults_in_it() {
    let schema = gapless_objects::schema::of::<gapless_types::Function>();
    let function = |spec: Value| {
        json!({"apiVersion": "gapless.dev/v1", "kind": "Function", "metadata": {"name": "f"},
               "spec": spec})
    };
    let apply = |live: &Value, spec: Value, manager: &str| {
        apply::apply(&schema, live, &function(spec), by(manager), false, at(0)).unwrap()
    };
    let rollout = json!({"wasm": "a.wasm", "rollout": {"steps": [10]}});
    let mut live = apply(&Value::Null, rollout, "one");
    // As admission completes it, on nobody's behalf.
    live["spec"]["rollout"]["interval"] = json!("30s");
    live["spec"]["scale"] = json!({"min": 0, "max": 100});
    let without = json!({"wasm": "a.wasm"});
    let left = apply(&live, without.clone(), "one");
    assert_eq!(left["spec"], json!({"wasm": "a.wasm", "scale": {"min": 0, "max": 100}}));

    // What somebody else set in it stays, and so does the block; defaults that nobody
    // named stay with it.
    let shared = apply(&live, json!({"rollout": {"requestsMin": 5}}), "two");
    let left = apply(&shared, without, "one");
    assert_eq!(left["spec"]["rollout"], json!({"requestsMin": 5, "interval": "30s"}));
    // A block that is named and empty stays too, without what is no longer named in it.
    let left = apply(&live, json!({"wasm": "a.wasm", "rollout": {}}), "one");
    assert_eq!(left["spec"]["rollout"], json!({"interval": "30s"}));
}

/// An applier that owned parts of the metadata only, and names none any more.
#[test]
fn metadata_stays_whoever_owned_what_is_in_it() {
    let mut config = config_map(json!({"a": "1"}));
    config["metadata"]["labels"] = json!({"app": "x"});
    let live = apply::apply(&schema(), &Value::Null, &config, by("one"), false, at(0)).unwrap();
    let mut nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}});
    nameless["metadata"] = json!({});
    for without in [nameless, json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}})]
    {
        let left = apply::apply(&schema(), &live, &without, by("one"), false, at(1)).unwrap();
        assert_eq!(left["metadata"]["name"], "c");
        assert_eq!(left["metadata"].get("labels"), None);
    }
}

#[test]
fn lists_with_keys_merge_by_item() {
    let owner =
        |uid: &str, name: &str| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": uid});
    let config = |finalizers: Value, owners: Vec<Value>| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "c", "finalizers": finalizers, "ownerReferences": owners,
        }})
    };
    let apply = |live: &Value, config: Value, manager: &str| {
        apply::apply(&schema(), live, &config, by(manager), false, at(0)).unwrap()
    };
    let one = apply(&Value::Null, config(json!(["x/a", "x/b"]), vec![owner("1", "a")]), "one");
    let two = apply(&one, config(json!(["x/c", "x/b"]), vec![owner("2", "b")]), "two");
    assert_eq!(two["metadata"]["finalizers"], json!(["x/a", "x/b", "x/c"]));
    let owners = two["metadata"]["ownerReferences"].as_array().unwrap();
    assert_eq!(owners.len(), 2);
    let less = apply(&two, config(json!([]), vec![]), "one");
    assert_eq!(less["metadata"]["finalizers"], json!(["x/b", "x/c"]));
    assert_eq!(less["metadata"]["ownerReferences"], json!([owner("2", "b")]));
    // An owner is owned whole: another value is a conflict.
    let other = config(json!([]), vec![owner("2", "other")]);
    let error = apply::apply(&schema(), &less, &other, by("three"), false, at(0)).unwrap_err();
    assert!(error.to_string().ends_with(".metadata.ownerReferences[uid=\"2\"]"), "{error}");
}

#[test]
fn an_item_keeps_its_key_while_others_own_parts_of_it() {
    let schema = (kinds::NAMESPACE.schema)();
    let object = |conditions: Value| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"},
               "status": {"conditions": conditions}})
    };
    let status = |manager| Writer { manager, api_version: "v1", subresource: "status" };
    let first = object(json!([{"type": "A", "status": "True", "reason": "R"}]));
    let live = apply::apply(&schema, &Value::Null, &first, status("one"), false, at(0)).unwrap();
    let mut edited = live.clone();
    edited["status"]["conditions"][0]["message"] = json!("hello");
    managed::track(&schema, &live, &mut edited, status("two"), at(1)).unwrap();
    let nothing = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let left = apply::apply(&schema, &edited, &nothing, status("one"), false, at(2)).unwrap();
    assert_eq!(left["status"]["conditions"], json!([{"type": "A", "message": "hello"}]));
    let entry = &left["metadata"]["managedFields"][0];
    assert_eq!(entry["subresource"], "status");
    let error = apply::apply(
        &schema,
        &left,
        &object(json!([{"type": "A", "message": "x"}])),
        status("one"),
        false,
        at(3),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("conflict with \"two\" with subresource \"status\" using v1"),
        "{error}"
    );
}

#[test]
fn the_record_can_be_set_and_forgotten() {
    let live = updated(&Value::Null, json!({"a": "1"}), "kubectl-client-side-apply", 0);
    // As kubectl does when it moves to server-side apply.
    let mut moved = live.clone();
    moved["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    moved["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    managed::track(&schema(), &live, &mut moved, by("kubectl"), at(1)).unwrap();
    let entries = moved["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["operation"]), (1, &json!("Apply")));
    // Nonsense is as good as nothing.
    let mut odd = live.clone();
    odd["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Steal"}]);
    managed::track(&schema(), &live, &mut odd, by("x"), at(1)).unwrap();
    assert_eq!(odd, live);
    let mut forgotten = live.clone();
    forgotten["metadata"]["managedFields"] = json!([{}]);
    managed::track(&schema(), &live, &mut forgotten, by("x"), at(1)).unwrap();
    assert!(forgotten["metadata"].get("managedFields").is_none());
}

#[test]
fn old_updaters_become_one() {
    let mut live = Value::Null;
    for n in 0..20 {
        let mut data = live["data"].as_object().cloned().unwrap_or_default();
        data.insert(format!("k{n:02}"), json!("x"));
        live = updated(&live, Value::Object(data), &format!("m{n:02}"), n);
    }
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), managed::UPDATERS_MAX);
    let ancient = fields(&live, "ancient-changes");
    assert!(ancient["f:data"].get("f:k00").is_some() && ancient["f:data"].get("f:k10").is_some());
    assert!(fields(&live, "m19")["f:data"].get("f:k19").is_some());
}

#[test]
fn kubectl_takes_over_what_it_sent_before() {
    let sent = config_map(json!({"a": "1"}));
    let mut first = sent.clone();
    first["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": sent.to_string()});
    let live_before = Value::Null;
    let by_client = by("kubectl-client-side-apply");
    managed::track(&schema(), &live_before, &mut first, by_client, at(0)).unwrap();
    let taken = applied(&first, json!({"a": "2"}), "kubectl").unwrap();
    assert_eq!(taken["data"]["a"], "2");
    // Who changed it since keeps it.
    let edited = updated(&first, json!({"a": "3"}), "kubectl-edit", 1);
    assert!(applied(&edited, json!({"a": "2"}), "kubectl").is_err());
    assert!(applied(&first, json!({"a": "2"}), "somebody").is_err());
}

#[test]
fn what_cannot_be_applied_is_refused() {
    let config = config_map(json!({}));
    let apply = |config: &Value, manager: &str| {
        apply::apply(&schema(), &Value::Null, config, by(manager), false, at(0))
            .map_err(Refusal::from)
    };
    assert_eq!(apply(&config, "").unwrap_err().code, 400);
    assert_eq!(apply(&config, &"x".repeat(129)).unwrap_err().code, 422);
    let mut with_record = config.clone();
    with_record["metadata"]["managedFields"] = json!([{}]);
    let error = apply(&with_record, "x").unwrap_err();
    assert_eq!(error.message, "metadata.managedFields must be nil");
    assert_eq!(apply(&json!([]), "x").unwrap_err().code, 400);
}

#[test]
fn a_configuration_is_cut_to_what_may_be_applied() {
    let mut config = json!({"kind": "X", "metadata": {"name": "a", "labels": {"b": "c"}},
                            "spec": {}, "status": {"x": 1}});
    let mut status = config.clone();
    apply::restrict(&mut config, "", true);
    assert!(config.get("status").is_none());
    apply::restrict(&mut status, "status", true);
    assert_eq!(status, json!({"kind": "X", "metadata": {"name": "a"}, "status": {"x": 1}}));
    assert_eq!(apply::name_error(&status, "a"), None);
    assert!(apply::name_error(&status, "b").unwrap().contains("(a) does not match"));
}
