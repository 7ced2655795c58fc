//! What must hold whatever the objects: of merge patches, field sets and apply.

use std::collections::BTreeMap;

use gapless_objects::apply;
use gapless_objects::fieldset::FieldSet;
use gapless_objects::kinds::CONFIG_MAP;
use gapless_objects::managed::{self, Writer};
use gapless_objects::patch::{Patch, PatchType, diff};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A kind with everything that merges: declared fields, maps, lists with keys, sets.
fn schema() -> Value {
    json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
        "spec": {"type": "object", "properties": {
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "declared": {"type": "object", "properties": {"a": {}, "b": {}}},
            "list": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "items": {"type": "array", "x-kubernetes-list-type": "map",
                      "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "properties": {"name": {}, "x": {}, "y": {}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    }})
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..3i64).prop_map(Value::from),
        key().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

/// Any value; nulls too.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(key(), anything(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn texts() -> impl Strategy<Value = BTreeMap<String, Value>> {
    prop::collection::btree_map(key(), scalar(), 0..4)
}

/// A configuration of the kind, without nulls and empty parts.
fn config() -> impl Strategy<Value = Value> {
    let item = (scalar(), scalar()).prop_map(|(x, y)| json!({"x": x, "y": y}));
    let items = prop::collection::btree_map(key(), item, 0..3);
    let set = prop::collection::btree_set(key(), 0..3);
    let list = prop::collection::vec(key(), 0..3);
    (texts(), texts(), texts(), items, set, list).prop_map(
        |(labels, map, free, items, set, list)| {
            let items: Vec<Value> = items
                .into_iter()
                .map(|(name, mut item)| {
                    item["name"] = Value::String(name);
                    item
                })
                .collect();
            let mut spec = Map::new();
            let mut add = |name: &str, value: Value, is_empty: bool| {
                if !is_empty {
                    spec.insert(name.to_owned(), value);
                }
            };
            add("map", json!(map), map.is_empty());
            add("free", json!({"x": free}), free.is_empty());
            add("items", json!(items), items.is_empty());
            add("set", json!(set), set.is_empty());
            add("list", json!(list), list.is_empty());
            let mut out = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}});
            if !labels.is_empty() {
                out["metadata"]["labels"] = json!(labels);
            }
            if !spec.is_empty() {
                out["spec"] = Value::Object(spec);
            }
            out
        },
    )
}

/// One field as a path of keys; items by name.
type Leaves = BTreeMap<Vec<String>, Value>;

/// The smallest parts that are owned one by one.
fn leaves(value: &Value, path: &[String], out: &mut Leaves) {
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // What an item is called is the item itself.
                let is_key = name == "name" && path.len() > 1;
                if !is_key && name != "managedFields" {
                    leaves(value, &below(name), out);
                }
            }
        }
        Value::Array(items) if path.last().is_some_and(|name| name == "items") => {
            for item in items {
                let name = item["name"].as_str().unwrap_or_default();
                leaves(item, &below(name), out);
            }
        }
        Value::Array(items) if path.last().is_some_and(|name| name == "set") => {
            for item in items {
                out.insert(below(&item.to_string()), item.clone());
            }
        }
        leaf => {
            out.insert(path.to_vec(), leaf.clone());
        }
    }
}

fn leaves_of(value: &Value) -> Leaves {
    let mut out = Leaves::new();
    leaves(value, &[], &mut out);
    out
}

/// The part of `full` that has the leaves for which `keep` holds.
fn part_of(full: &Value, keep: &mut dyn FnMut(&[String]) -> bool) -> Value {
    fn part(
        value: &Value,
        path: &[String],
        keep: &mut dyn FnMut(&[String]) -> bool,
    ) -> Option<Value> {
        let below = |name: &str| [path, &[name.to_owned()]].concat();
        let last = path.last().map(String::as_str).unwrap_or_default();
        match value {
            Value::Object(fields) => {
                let name = fields.get("name").filter(|_| path.len() > 1);
                let mut kept: Map<String, Value> = fields
                    .iter()
                    .filter(|(key, _)| name.is_none() || *key != "name")
                    .filter_map(|(key, value)| Some((key.clone(), part(value, &below(key), keep)?)))
                    .collect();
                if kept.is_empty() {
                    return None;
                }
                kept.extend(name.map(|name| ("name".to_owned(), name.clone())));
                Some(Value::Object(kept))
            }
            Value::Array(items) if last == "items" => {
                let kept: Vec<Value> = items
                    .iter()
                    .filter_map(|item| part(item, &below(item["name"].as_str()?), keep))
                    .collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            Value::Array(items) if last == "set" => {
                let kept: Vec<Value> =
                    items.iter().filter(|item| keep(&below(&item.to_string()))).cloned().collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            leaf => keep(path).then(|| leaf.clone()),
        }
    }
    let is_identity = |path: &[String]| {
        matches!(path.first().map(String::as_str), Some("apiVersion" | "kind"))
            || path == ["metadata", "name"]
    };
    part(full, &[], &mut |path| is_identity(path) || keep(path)).unwrap()
}

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn by(manager: &str) -> Writer<'_> {
    Writer { manager, api_version: "v1", subresource: "" }
}

fn applied(live: &Value, config: &Value, manager: &str, second: i64) -> Value {
    apply::apply(&schema(), live, config, by(manager), false, now(second)).unwrap()
}

/// What RFC 7386 can say of a value: nulls in objects are as good as absent.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Every path that a record names, as steps on the wire.
fn check_owned_is_there(fields: &Value, value: &Value) {
    for (step, below) in fields.as_object().unwrap() {
        let (prefix, rest) = step.split_at(step.len().min(2));
        let found = match prefix {
            "." => continue,
            "f:" => value.get(rest),
            "k:" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).unwrap();
                let is_it = |item: &&Value| keys.iter().all(|(key, v)| item.get(key) == Some(v));
                value.as_array().unwrap().iter().find(is_it)
            }
            "v:" => {
                let wanted: Value = serde_json::from_str(rest).unwrap();
                value.as_array().unwrap().iter().find(|item| **item == wanted)
            }
            other => panic!("{other}"),
        };
        check_owned_is_there(below, found.unwrap_or_else(|| panic!("{step} is owned, not there")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_merge_patch_of_the_difference_makes_the_other(a in object(), b in object()) {
        let text = diff(&a, &b).to_string();
        let patch = Patch::parse(PatchType::Merge, text.as_bytes()).unwrap();
        let result = patch.apply(&CONFIG_MAP, &schema(), &a).unwrap();
        // What both have and is null stays as it is.
        prop_assert_eq!(without_nulls(&result), without_nulls(&b));
    }

    #[test]
    fn a_record_reads_as_it_is_written(object in config()) {
        let mut tracked = object;
        managed::track(&schema(), &Value::Null, &mut tracked, by("a"), now(0)).unwrap();
        for entry in tracked["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let set = FieldSet::decode(&entry["fieldsV1"]).unwrap();
            prop_assert_eq!(&set.encode(), &entry["fieldsV1"]);
        }
    }

    #[test]
    fn applying_twice_changes_nothing(live in config(), config in config()) {
        let mut created = live;
        managed::track(&schema(), &Value::Null, &mut created, by("creator"), now(0)).unwrap();
        let once = apply::apply(&schema(), &created, &config, by("a"), true, now(1)).unwrap();
        let twice = applied(&once, &config, "a", 2);
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn managers_of_different_fields_never_conflict(full in config(), choices in any::<[bool; 32]>()) {
        let mut next = choices.iter().cycle();
        let mut of_one = BTreeMap::new();
        for path in leaves_of(&full).into_keys() {
            of_one.insert(path, *next.next().unwrap());
        }
        let one = part_of(&full, &mut |path| of_one[path]);
        let two = part_of(&full, &mut |path| !of_one[path]);
        let both = applied(&applied(&Value::Null, &one, "one", 0), &two, "two", 1);
        prop_assert_eq!(leaves_of(&both), leaves_of(&full));
        // And again, in whichever order: nothing changes.
        prop_assert_eq!(&applied(&both, &one, "one", 5), &both);
        prop_assert_eq!(&applied(&both, &two, "two", 5), &both);
    }

    #[test]
    fn applying_less_removes_just_that(full in config(), choices in prop::array::uniform32(0..4u8)) {
        // Of each field: only mine and kept, only mine and dropped, the other's, shared
        // and dropped.
        let mut next = choices.iter().cycle();
        let mut of = BTreeMap::new();
        for path in leaves_of(&full).into_keys() {
            of.insert(path, *next.next().unwrap());
        }
        let mine = part_of(&full, &mut |path| of[path] != 2);
        let theirs = part_of(&full, &mut |path| of[path] >= 2);
        let both = applied(&applied(&Value::Null, &mine, "me", 0), &theirs, "them", 1);
        let less = part_of(&full, &mut |path| of[path] == 0);
        let result = applied(&both, &less, "me", 2);
        let expected = part_of(&full, &mut |path| of[path] != 1);
        prop_assert_eq!(leaves_of(&result), leaves_of(&expected));
        let gone = applied(&result, &part_of(&full, &mut |_| false), "me", 3);
        prop_assert_eq!(leaves_of(&gone), leaves_of(&theirs));
    }

    #[test]
    fn nobody_owns_what_is_not_there(
        steps in prop::collection::vec((config(), 0..3usize, any::<bool>(), any::<bool>()), 1..8),
    ) {
        let managers = ["a", "b", "c"];
        let mut live = Value::Null;
        for (second, (config, manager, is_apply, is_forced)) in steps.into_iter().enumerate() {
            let (writer, second) = (by(managers[manager]), now(second as i64));
            let next = if is_apply {
                apply::apply(&schema(), &live, &config, writer, is_forced, second).ok()
            } else {
                let mut new = config;
                managed::track(&schema(), &live, &mut new, writer, second).unwrap();
                Some(new)
            };
            live = next.unwrap_or(live);
            for entry in live["metadata"]["managedFields"].as_array().into_iter().flatten() {
                check_owned_is_there(&entry["fieldsV1"], &live);
            }
        }
    }
}
