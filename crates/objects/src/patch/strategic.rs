//! Strategic merge patch: a merge patch in which lists can merge too. The schema
//! says which (`x-kubernetes-patch-strategy: merge`) and by which key
//! (`x-kubernetes-patch-merge-key`), and the patch carries directives:
//! `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
//!
//! Source: Kubernetes, "Update API Objects in Place Using kubectl patch", and the
//! community's "Strategic Merge Patch" design document.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::child;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Outcome<T> = Result<T, PatchError>;

pub(super) fn apply(current: &Value, patch: &Value, schema: &Value) -> Outcome<Value> {
    let empty = Map::new();
    let current = current.as_object().unwrap_or(&empty);
    let patch = patch.as_object().unwrap_or(&empty);
    merge_map(current, patch, Some(schema), "").map(Value::Object)
}

fn error<T>(path: &str, reason: impl Into<String>) -> Outcome<T> {
    Err(PatchError::Field { path: path.to_owned(), reason: reason.into() })
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn merge_map(
    current: &Map<String, Value>,
    patch: &Map<String, Value>,
    schema: Option<&Value>,
    path: &str,
) -> Outcome<Map<String, Value>> {
    let mut result = match directive(patch, path)? {
        Directive::Merge => current.clone(),
        Directive::Replace => Map::new(),
        Directive::Delete => return Ok(Map::new()),
    };
    if let Some(kept) = patch.get(RETAIN_KEYS) {
        retain(&mut result, kept, patch, path)?;
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        let at = join(path, key);
        let below = child(schema, key);
        let merged = match value {
            Value::Null => {
                result.remove(key);
                continue;
            }
            Value::Object(patch) => {
                let empty = Map::new();
                let current = result.get(key).and_then(Value::as_object).unwrap_or(&empty);
                Value::Object(merge_map(current, patch, below, &at)?)
            }
            Value::Array(items) => merge_list(result.get(key), items, below, &at)?,
            scalar => scalar.clone(),
        };
        result.insert(key.clone(), merged);
    }
    for (key, value) in patch.iter().filter(|(key, _)| key.starts_with('$')) {
        list_directive(&mut result, current, key, value, schema, path)?;
    }
    Ok(result)
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>, path: &str) -> Outcome<Directive> {
    match patch.get(PATCH).map(|word| word.as_str().unwrap_or_default()) {
        None | Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        Some(other) => error(
            &join(path, PATCH),
            format!("found {other:?}, allowed are merge, replace, delete"),
        ),
    }
}

/// `$retainKeys`: what the current object has besides these goes.
fn retain(
    result: &mut Map<String, Value>,
    kept: &Value,
    patch: &Map<String, Value>,
    path: &str,
) -> Outcome<()> {
    let at = join(path, RETAIN_KEYS);
    let texts = kept.as_array().and_then(|kept| kept.iter().map(Value::as_str).collect());
    let Some(kept): Option<HashSet<&str>> = texts else {
        return error(&at, "must be a list of field names");
    };
    let missing = patch.keys().find(|key| !key.starts_with('$') && !kept.contains(key.as_str()));
    if let Some(key) = missing {
        return error(&at, format!("must also name {key}, which the patch sets"));
    }
    result.retain(|key, _| kept.contains(key.as_str()));
    Ok(())
}

/// A directive beside a list: what goes from it, or its order.
fn list_directive(
    result: &mut Map<String, Value>,
    current: &Map<String, Value>,
    key: &str,
    value: &Value,
    schema: Option<&Value>,
    path: &str,
) -> Outcome<()> {
    let at = join(path, key);
    let items = || match value.as_array() {
        Some(items) => Ok(items),
        None => error(&at, "must be a list"),
    };
    if let Some(field) = key.strip_prefix(DELETE_FROM) {
        let gone: HashSet<String> = items()?.iter().map(Value::to_string).collect();
        if let Some(Value::Array(list)) = result.get_mut(field) {
            list.retain(|item| !gone.contains(&item.to_string()));
        }
    } else if let Some(field) = key.strip_prefix(SET_ORDER) {
        let merge_key = child(schema, field).and_then(merge_key);
        let before = current.get(field).and_then(Value::as_array);
        if let Some(Value::Array(list)) = result.get_mut(field) {
            let wanted: Vec<String> =
                items()?.iter().map(|item| identity(item, merge_key)).collect();
            *list = reorder(std::mem::take(list), &wanted, before, merge_key);
        }
    } else if key != PATCH && key != RETAIN_KEYS {
        return error(&at, "there is no such directive");
    }
    Ok(())
}

fn merge_key(list: &Value) -> Option<&str> {
    list.get("x-kubernetes-patch-merge-key").and_then(Value::as_str)
}

fn is_merged(list: Option<&Value>) -> bool {
    let strategy = list.and_then(|list| list.get("x-kubernetes-patch-strategy"));
    let strategy = strategy.and_then(Value::as_str).unwrap_or_default();
    strategy.split(',').any(|word| word == "merge")
}

/// What tells an item from the others of its list.
fn identity(item: &Value, merge_key: Option<&str>) -> String {
    let key = merge_key.and_then(|key| item.get(key));
    key.unwrap_or(item).to_string()
}

fn merge_list(
    current: Option<&Value>,
    patch: &[Value],
    schema: Option<&Value>,
    path: &str,
) -> Outcome<Value> {
    if !is_merged(schema) {
        return Ok(Value::Array(patch.to_vec()));
    }
    let current = current.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let merged = match schema.and_then(merge_key) {
        Some(key) => merge_objects(current, patch, key, schema, path)?,
        None => {
            let mut seen = HashSet::new();
            let all = current.iter().chain(patch);
            all.filter(|item| seen.insert(item.to_string())).cloned().collect()
        }
    };
    Ok(Value::Array(merged))
}

fn merge_objects(
    current: &[Value],
    patch: &[Value],
    key: &str,
    schema: Option<&Value>,
    path: &str,
) -> Outcome<Vec<Value>> {
    let item_schema = schema.and_then(|list| list.get("items"));
    let is_replace = |item: &Value| item.get(PATCH).and_then(Value::as_str) == Some("replace");
    let replaces_all = patch.iter().any(is_replace);
    let kept = if replaces_all { &[] } else { current };
    let mut result: Vec<Option<Value>> = kept.iter().cloned().map(Some).collect();
    let mut places: HashMap<String, usize> =
        kept.iter().enumerate().map(|(n, item)| (identity(item, Some(key)), n)).collect();
    for (index, item) in patch.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let Some(fields) = item.as_object() else {
            return error(&at, format!("must be an object with {key}"));
        };
        if is_replace(item) && fields.len() == 1 {
            continue;
        }
        if !fields.contains_key(key) {
            return error(&at, format!("does not contain declared merge key: {key}"));
        }
        let name = identity(item, Some(key));
        let place = places.get(&name).copied();
        if matches!(directive(fields, &at)?, Directive::Delete) {
            if let Some(place) = place {
                result[place] = None;
                places.remove(&name);
            }
            continue;
        }
        let empty = Map::new();
        let before = place.and_then(|place| result[place].as_ref()).and_then(Value::as_object);
        let merged = merge_map(before.unwrap_or(&empty), fields, item_schema, &at)?;
        match place {
            Some(place) => result[place] = Some(Value::Object(merged)),
            None => {
                places.insert(name, result.len());
                result.push(Some(Value::Object(merged)));
            }
        }
    }
    Ok(result.into_iter().flatten().collect())
}

/// Puts the items of `wanted` into its order; the others stay before and after what
/// they were before and after in `before`.
fn reorder(
    list: Vec<Value>,
    wanted: &[String],
    before: Option<&Vec<Value>>,
    merge_key: Option<&str>,
) -> Vec<Value> {
    let place = |items: &mut dyn Iterator<Item = String>| -> HashMap<String, usize> {
        items.enumerate().map(|(index, name)| (name, index)).collect()
    };
    let order = place(&mut wanted.iter().cloned());
    let old = place(&mut before.into_iter().flatten().map(|item| identity(item, merge_key)));
    let named = list.into_iter().map(|item| (identity(&item, merge_key), item));
    let (mut ordered, others): (Vec<_>, Vec<_>) =
        named.partition(|(name, _)| order.contains_key(name));
    ordered.sort_by_key(|(name, _)| order.get(name).copied());
    let mut ordered = ordered.into_iter().peekable();
    let mut result = Vec::new();
    for (name, item) in others {
        let mine = old.get(&name).copied().unwrap_or(usize::MAX);
        let is_before = |(name, _): &(String, Value)| old.get(name).is_none_or(|old| *old < mine);
        while let Some((_, earlier)) = ordered.next_if(is_before) {
            result.push(earlier);
        }
        result.push(item);
    }
    result.extend(ordered.map(|(_, item)| item));
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::CONFIG_MAP;

    fn patched(current: Value, patch: Value) -> Outcome<Value> {
        apply(&current, &patch, &(CONFIG_MAP.schema)())
    }

    #[test]
    fn maps_merge_and_null_removes() {
        let current = json!({"data": {"a": "1", "b": "2"}, "immutable": true});
        let patch = json!({"data": {"a": null, "c": "3"}, "immutable": null});
        assert_eq!(patched(current, patch).unwrap(), json!({"data": {"b": "2", "c": "3"}}));
    }

    #[test]
    fn maps_are_replaced_deleted_and_retained() {
        let current = json!({"data": {"a": "1", "b": "2"}});
        let replace = json!({"data": {"$patch": "replace", "c": "3"}});
        assert_eq!(patched(current.clone(), replace).unwrap(), json!({"data": {"c": "3"}}));
        let delete = json!({"data": {"$patch": "delete"}});
        assert_eq!(patched(current.clone(), delete).unwrap(), json!({"data": {}}));
        let retain = json!({"data": {"$retainKeys": ["a", "c"], "c": "3"}});
        assert_eq!(
            patched(current.clone(), retain).unwrap(),
            json!({"data": {"a": "1", "c": "3"}})
        );
        let wrong = json!({"data": {"$retainKeys": ["a"], "c": "3"}});
        let error = patched(current.clone(), wrong).unwrap_err().to_string();
        assert_eq!(error, "data.$retainKeys: must also name c, which the patch sets");
        let wrong = patched(current, json!({"data": {"$patch": "x"}})).unwrap_err();
        assert!(wrong.to_string().starts_with("data.$patch: found \"x\""), "{wrong}");
    }

    #[test]
    fn finalizers_are_a_set() {
        let current = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
        let patch = json!({"metadata": {
            "finalizers": ["d", "b"], "$deleteFromPrimitiveList/finalizers": ["a"],
            "$setElementOrder/finalizers": ["d", "c", "b"],
        }});
        let result = patched(current, patch).unwrap();
        assert_eq!(result, json!({"metadata": {"finalizers": ["d", "c", "b"]}}));
    }

    #[test]
    fn owners_merge_by_uid() {
        let current = json!({"metadata": {"ownerReferences": [
            {"uid": "1", "name": "a"}, {"uid": "2", "name": "b"}, {"uid": "3", "name": "c"},
        ]}});
        let patch = json!({"metadata": {"ownerReferences": [
            {"uid": "2", "controller": true}, {"uid": "1", "$patch": "delete"}, {"uid": "4"},
        ], "$setElementOrder/ownerReferences": [{"uid": "4"}, {"uid": "2"}]}});
        let result = patched(current.clone(), patch).unwrap();
        let expected = json!([{"uid": "4"}, {"uid": "2", "name": "b", "controller": true},
                              {"uid": "3", "name": "c"}]);
        assert_eq!(result["metadata"]["ownerReferences"], expected);
        let replace =
            json!({"metadata": {"ownerReferences": [{"$patch": "replace"}, {"uid": "9"}]}});
        let result = patched(current.clone(), replace).unwrap();
        assert_eq!(result["metadata"]["ownerReferences"], json!([{"uid": "9"}]));
        let wrong = json!({"metadata": {"ownerReferences": [{"name": "x"}]}});
        let error = patched(current, wrong).unwrap_err().to_string();
        let expected = "metadata.ownerReferences[0]: does not contain declared merge key: uid";
        assert_eq!(error, expected);
    }

    #[test]
    fn other_lists_are_replaced() {
        let result = patched(json!({"x": [1, 2]}), json!({"x": [3]})).unwrap();
        assert_eq!(result, json!({"x": [3]}));
    }
}
