//! Everything that can be wrong with an object's metadata.

use serde_json::{Map, Value};

use super::generated_name;
use super::names::{NameRule, dns_label_error, label_name_error, label_value_error};

/// Most bytes of all annotations together, keys and values.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// Most labels, and most finalizers and owners of one object.
pub const ENTRIES_MAX: usize = 1_000;

/// One thing wrong with an object's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct MetaError {
    /// Where, such as `metadata.name`.
    pub path: String,
    /// As in a `Status` object's causes, such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// What was found, what is allowed.
    pub message: String,
}

/// Everything wrong with an object's metadata.
pub fn check(object: &Value, rule: NameRule, is_namespaced: bool) -> Vec<MetaError> {
    let mut found = Vec::new();
    let empty = Map::new();
    let meta = match object.get("metadata") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(meta)) => meta,
        Some(_) => {
            found.push(invalid("metadata", "must be an object"));
            return found;
        }
    };
    check_names(meta, rule, is_namespaced, &mut found);
    check_labels(meta.get("labels"), &mut found);
    check_annotations(meta.get("annotations"), &mut found);
    check_finalizers(meta.get("finalizers"), &mut found);
    check_owners(meta.get("ownerReferences"), &mut found);
    for field in ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"] {
        if meta.get(field).is_some_and(|value| !value.is_string() && !value.is_null()) {
            found.push(invalid(format!("metadata.{field}"), "must be a text"));
        }
    }
    found
}

fn invalid(path: impl Into<String>, message: impl Into<String>) -> MetaError {
    MetaError { path: path.into(), reason: "FieldValueInvalid", message: message.into() }
}

fn check_names(
    meta: &Map<String, Value>,
    rule: NameRule,
    is_namespaced: bool,
    found: &mut Vec<MetaError>,
) {
    let text = |field: &str| match meta.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => {
            Err(invalid(format!("metadata.{field}"), format!("found {other}; must be a text")))
        }
    };
    let mut read = |field: &str| text(field).map_err(|error| found.push(error)).ok();
    let (name, prefix, namespace) = (read("name"), read("generateName"), read("namespace"));
    let wrong = |field: &str, value: &str, why: &str| {
        invalid(format!("metadata.{field}"), format!("found {value:?}; {why}"))
    };
    match (name, prefix) {
        (Some(""), Some("")) => found.push(MetaError {
            path: "metadata.name".to_owned(),
            reason: "FieldValueRequired",
            message: "name or generateName is required".to_owned(),
        }),
        (Some(""), Some(prefix)) => {
            if let Some(why) = rule.error(&generated_name(prefix, "x")) {
                found.push(wrong("generateName", prefix, why));
            }
        }
        (Some(name), _) => {
            if let Some(why) = rule.error(name) {
                found.push(wrong("name", name, why));
            }
        }
        (None, _) => {}
    }
    match namespace {
        Some("") | None => {}
        Some(value) if !is_namespaced => {
            found.push(wrong("namespace", value, "objects of this kind are in no namespace"));
        }
        Some(value) => {
            if let Some(why) = dns_label_error(value) {
                found.push(wrong("namespace", value, why));
            }
        }
    }
}

fn entries<'a>(
    value: Option<&'a Value>,
    path: &str,
    found: &mut Vec<MetaError>,
) -> Vec<(&'a str, &'a str)> {
    let map = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            found.push(invalid(path, "must be a map of texts"));
            return Vec::new();
        }
    };
    let mut out = Vec::with_capacity(map.len());
    for (key, value) in map {
        match value.as_str() {
            Some(value) => out.push((key.as_str(), value)),
            None => {
                let message = format!("found {value}; must be a text, so put it in quotes");
                found.push(invalid(format!("{path}.{key}"), message));
            }
        }
    }
    out
}

fn check_labels(labels: Option<&Value>, found: &mut Vec<MetaError>) {
    let path = "metadata.labels";
    let labels = entries(labels, path, found);
    if labels.len() > ENTRIES_MAX {
        let message = format!("has {} entries, allowed are {ENTRIES_MAX}", labels.len());
        found.push(invalid(path, message));
        return;
    }
    for (key, value) in labels {
        if let Some(why) = label_name_error(key) {
            found.push(invalid(path, format!("the name {key:?} {why}")));
        }
        if let Some(why) = label_value_error(value) {
            found.push(invalid(format!("{path}.{key}"), format!("found {value:?}; {why}")));
        }
    }
}

fn check_annotations(annotations: Option<&Value>, found: &mut Vec<MetaError>) {
    let path = "metadata.annotations";
    let annotations = entries(annotations, path, found);
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        let message = format!("has {bytes} bytes, allowed are {ANNOTATIONS_BYTES_MAX}");
        found.push(MetaError { path: path.to_owned(), reason: "FieldValueTooLong", message });
        return;
    }
    for (key, _) in annotations {
        // Unlike labels' names, annotations' may have upper-case letters in the prefix.
        if let Some(why) = label_name_error(&key.to_ascii_lowercase()) {
            found.push(invalid(path, format!("the name {key:?} {why}")));
        }
    }
}

fn check_finalizers(finalizers: Option<&Value>, found: &mut Vec<MetaError>) {
    let path = "metadata.finalizers";
    let list = match finalizers {
        None | Some(Value::Null) => return,
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => list,
        Some(_) => {
            found.push(invalid(path, format!("must be a list of at most {ENTRIES_MAX} names")));
            return;
        }
    };
    for (index, item) in list.iter().enumerate() {
        let why = item.as_str().map_or(Some("must be a text"), label_name_error);
        if let Some(why) = why {
            found.push(invalid(format!("{path}[{index}]"), format!("found {item}; {why}")));
        }
    }
}

fn check_owners(owners: Option<&Value>, found: &mut Vec<MetaError>) {
    let path = "metadata.ownerReferences";
    let list = match owners {
        None | Some(Value::Null) => return,
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => list,
        Some(_) => {
            found.push(invalid(path, format!("must be a list of at most {ENTRIES_MAX} owners")));
            return;
        }
    };
    for (index, owner) in list.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                found.push(MetaError {
                    path: format!("{path}[{index}].{field}"),
                    reason: "FieldValueRequired",
                    message: "must not be empty".to_owned(),
                });
            }
        }
    }
    let is_controller = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
    if list.iter().filter(is_controller).count() > 1 {
        found.push(invalid(path, "only one owner can be the controller"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(metadata: Value) -> Vec<String> {
        let object = json!({"metadata": metadata});
        check(&object, NameRule::Label, true).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_metadata_passes() {
        let metadata = json!({
            "name": "a", "namespace": "b", "labels": {"a.b/c_D": "x.y", "e": ""},
            "annotations": {"Example.com/X": "anything: {}"}, "finalizers": ["a.b/c"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
        });
        assert_eq!(errors(metadata), [""; 0]);
        assert_eq!(errors(json!({"generateName": "job-"})), [""; 0]);
    }

    #[test]
    fn each_error_names_the_field() {
        for (metadata, path) in [
            (json!({}), "metadata.name: name or generateName is required"),
            (json!({"name": "A"}), "metadata.name: found \"A\""),
            (json!({"name": 1}), "metadata.name: found 1"),
            (json!({"generateName": "-a"}), "metadata.generateName: found \"-a\""),
            (json!({"name": "a", "namespace": "a.b"}), "metadata.namespace: found \"a.b\""),
            (json!({"name": "a", "labels": {"-": "x"}}), "metadata.labels: the name \"-\""),
            (json!({"name": "a", "labels": {"x": "a b"}}), "metadata.labels.x: found \"a b\""),
            (json!({"name": "a", "labels": {"x": 1}}), "metadata.labels.x: found 1"),
            (json!({"name": "a", "labels": []}), "metadata.labels: must be"),
            (
                json!({"name": "a", "annotations": {"x": "y".repeat(262_145)}}),
                "metadata.annotations",
            ),
            (json!({"name": "a", "finalizers": ["/"]}), "metadata.finalizers[0]: found \"/\""),
            (json!({"name": "a", "uid": 3}), "metadata.uid: must be"),
        ] {
            let found = errors(metadata.clone());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(path), "{found:?}");
        }
        assert_eq!(errors(json!({"name": "a", "ownerReferences": [{}]})).len(), 4);
    }
}
