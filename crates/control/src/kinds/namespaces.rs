//! `Namespace`: where names count. One is made when something is first declared in it,
//! so that nobody has to make it first; deleting it deletes what is in it.

use gapless_api::Status;
use gapless_declared::{Admission, Hold, ObjectKey, Operation, Outcome, Resource, store_key};
use gapless_objects::Descriptor;
use gapless_objects::kinds::NAMESPACE;
use gapless_store::{Expect, Write};
use gapless_types::{FieldError, check_name};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Owner;

/// What holds a deleted namespace until it is empty.
pub(crate) const CONTENTS: &str = "gapless.dev/contents";

/// The namespace of those who name none.
pub(crate) const DEFAULT: &str = "default";

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Namespaces(pub(super) Owner);

impl Resource for Namespaces {
    fn descriptor(&self) -> &'static Descriptor {
        &NAMESPACE
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        if admission.operation == Operation::Create {
            complete(admission.new);
        }
        let checked = check_name(&admission.key.name);
        Ok(checked
            .map(|()| None)
            .map_err(|error| vec![FieldError::new("metadata.name", error.to_string())]))
    }

    fn admit_removal(
        &self,
        key: &ObjectKey,
        _object: &Value,
        _writes: &mut Vec<Write>,
    ) -> Outcome<Hold> {
        if key.name == DEFAULT {
            let message = "namespace default is where those who name none are; delete what is in \
                           it instead";
            return Err(Status::failure(403, "Forbidden", message).into());
        }
        Ok(None)
    }

    fn show(&self, object: &mut Value, _is_revealed: bool) {
        let is_going = object["metadata"]["deletionTimestamp"].is_string();
        let phase = if is_going { "Terminating" } else { "Active" };
        object["status"] = json!({ "phase": phase });
    }
}

/// A namespace that is held until it is empty, and can be selected by its name.
pub(crate) fn complete(object: &mut Value) {
    let name = super::text(object, "/metadata/name").to_owned();
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    labels["kubernetes.io/metadata.name"] = name.into();
    let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(all) = finalizers.as_array_mut()
        && !all.iter().any(|one| one == CONTENTS)
    {
        all.push(CONTENTS.into());
    }
}

impl gapless_declared::Namespaces for Namespaces {
    fn enter(&self, namespace: &str, now: Timestamp) -> Outcome<Option<Write>> {
        let control = self.0.require()?;
        let key = ObjectKey::new("", namespace);
        let store_key = store_key(&NAMESPACE, &key);
        if let Some(record) = control.store().get(&store_key)? {
            let object: Value = serde_json::from_slice(&record.value).unwrap_or_default();
            if object["metadata"]["deletionTimestamp"].is_null() {
                return Ok(None);
            }
            let message = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(Status::failure(403, "Forbidden", message).into());
        }
        if let Err(error) = check_name(namespace) {
            return Err(Status::failure(400, "BadRequest", error.to_string()).into());
        }
        let value = serde_json::to_vec(&new(namespace, now)).unwrap_or_default();
        Ok(Some(Write::put(store_key, value, Expect::Absent)))
    }
}

/// A namespace that nobody declared.
pub(crate) fn new(name: &str, now: Timestamp) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": format!("{now:.0}"),
        },
        "spec": { "finalizers": ["kubernetes"] },
    });
    complete(&mut object);
    object
}
