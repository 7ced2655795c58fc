//! An object's two forms: as the store holds it, and as people see it. The store's has no
//! version, which the store knows; what people see lacks the platform's own parts.

use bytes::Bytes;
use gapless_objects::meta::metadata_mut;
use gapless_store::{Record, StoreError};
use serde_json::{Map, Value};

use crate::refusal::{Outcome, Refusal};
use crate::resource::Resource;

/// An object as people see it.
pub(crate) fn present(resource: &dyn Resource, object: &mut Value, is_revealed: bool) {
    take_hidden(resource, object);
    resource.show(object, is_revealed);
}

/// Takes the platform's own parts out of a stored object.
pub(crate) fn take_hidden(resource: &dyn Resource, object: &mut Value) -> Map<String, Value> {
    let mut hidden = Map::new();
    if let Some(fields) = object.as_object_mut() {
        for part in resource.hidden() {
            hidden.extend(fields.remove_entry(*part));
        }
    }
    hidden
}

/// Whether nothing but the version differs.
pub(crate) fn is_same(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    old.len() == new.len()
        && unversioned(old).eq(unversioned(new))
        && old.iter().all(|(part, value)| part == "metadata" || new.get(part) == Some(value))
}

/// Its metadata's fields but the version.
fn unversioned(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let metadata = object.get("metadata").and_then(Value::as_object);
    metadata.into_iter().flatten().filter(|(field, _)| *field != "resourceVersion")
}

/// The stored form: without the version, which the store knows. The object has none
/// afterwards either.
pub(crate) fn encode(object: &mut Value) -> Bytes {
    metadata_mut(object).remove("resourceVersion");
    serde_json::to_vec(object).expect("a JSON value is representable in JSON").into()
}

/// The object that a record holds, with its version.
pub(crate) fn decode(record: &Record) -> Outcome<Value> {
    let mut object: Value = serde_json::from_slice(&record.value).map_err(|why| {
        Refusal::from(StoreError::Failed {
            what: format!("cannot read the stored {}", record.key),
            why: format!("{why}; it was written by another version of gapless, or is damaged"),
        })
    })?;
    set_version(&mut object, record.revision);
    Ok(object)
}

/// Says which version it is.
pub(crate) fn set_version(object: &mut Value, version: u64) {
    metadata_mut(object).insert("resourceVersion".to_owned(), version.to_string().into());
}
