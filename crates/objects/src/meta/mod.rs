//! An object's metadata: reading it and checking it.
//!
//! Rules are those of Kubernetes ("Object Names and IDs", "Labels and Selectors",
//! "Annotations", "Finalizers"; RFC 1123 for DNS names).

mod check;
mod names;

use serde_json::{Map, Value};

pub use check::{ANNOTATIONS_BYTES_MAX, ENTRIES_MAX, MetaError, check};
use names::LABEL_LEN_MAX;
pub use names::{
    NameRule, dns_label_error, dns_subdomain_error, label_name_error, label_value_error,
};

/// What a precondition asks for is not so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}")]
pub struct PreconditionError {
    /// `UID` or `ResourceVersion`.
    pub field: &'static str,
    /// What the request asks for.
    pub wanted: String,
    /// What the object has.
    pub found: String,
}

/// The text at `metadata.FIELD`; empty if there is none.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str).unwrap_or("")
}

/// Its name; empty if it has none yet.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// Its namespace; empty if it is in none.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// Its resource version; empty if it has none.
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// Who must still do something before it is really gone.
pub fn finalizers(object: &Value) -> Vec<&str> {
    let list = object.get("metadata").and_then(|meta| meta.get("finalizers"));
    list.and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Whether it was deleted and waits for its finalizers.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Its metadata, made if it has none.
///
/// # Panics
/// When `object` is not an object; whoever read it saw to that.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let fields = object.as_object_mut().expect("an object");
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made above")
}

/// The name that `generateName` and a random `suffix` make: the prefix is cut so that
/// the name is a DNS label's length at most.
pub fn generated_name(prefix: &str, suffix: &str) -> String {
    let room = LABEL_LEN_MAX.saturating_sub(suffix.len());
    let end = (0..=room.min(prefix.len())).rev().find(|end| prefix.is_char_boundary(*end));
    format!("{}{suffix}", &prefix[..end.unwrap_or(0)])
}

/// What the object must be for the request to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<String>,
}

impl Preconditions {
    /// Those of a `DeleteOptions` object.
    pub fn of_options(options: &Value) -> Preconditions {
        let field =
            |name: &str| options.get("preconditions")?.get(name)?.as_str().map(str::to_owned);
        Preconditions { uid: field("uid"), resource_version: field("resourceVersion") }
    }

    /// Whether `object` is what was asked for.
    pub fn check(&self, object: &Value) -> Result<(), PreconditionError> {
        let pairs = [
            ("UID", &self.uid, text(object, "uid")),
            ("ResourceVersion", &self.resource_version, resource_version(object)),
        ];
        for (field, wanted, found) in pairs {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                let (wanted, found) = (wanted.to_owned(), found.to_owned());
                return Err(PreconditionError { field, wanted, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generated_names_fit() {
        assert_eq!(generated_name("job-", "x7k2p"), "job-x7k2p");
        assert_eq!(generated_name(&"a".repeat(100), "x7k2p").len(), 63);
    }

    #[test]
    fn preconditions_are_compared() {
        let object = json!({"metadata": {"uid": "1", "resourceVersion": "7"}});
        let check = |options: Value| Preconditions::of_options(&options).check(&object);
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(json!({"preconditions": {"uid": "1", "resourceVersion": "7"}})), Ok(()));
        let error = check(json!({"preconditions": {"uid": "2"}})).unwrap_err().to_string();
        assert!(error.contains("UID in precondition: 2"), "{error}");
    }
}
