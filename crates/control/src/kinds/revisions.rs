//! `Revision`: one immutable version of a function's code and configuration. Made with
//! the function's declaration and gone with the function; nobody else writes them.

use gapless_declared::{Admission, Hold, Outcome, Resource};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{AGE, OBSERVED_VERBS, found, integer, text};
use gapless_types::{API_VERSION, FieldError, FunctionSpec};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Owner, text as text_at};

/// The label of a revision that names its function.
pub(crate) const FUNCTION_LABEL: &str = "gapless.dev/function";

/// The kind.
pub(crate) static REVISIONS: Descriptor = Descriptor {
    group: "gapless.dev",
    version: "v1",
    kind: "Revision",
    list_kind: "RevisionList",
    plural: "revisions",
    singular: "revision",
    short_names: &["rev"],
    categories: &["gapless"],
    is_namespaced: true,
    verbs: OBSERVED_VERBS,
    has_status: true,
    has_scale: false,
    columns: &[
        text("Function", "The function it was made from.", |o| found(o, "status.function")),
        text("State", "Preparing, Ready, Failed, or Kept when it takes no requests.", |o| {
            found(o, "status.state")
        }),
        integer("Percent", "Its share of the function's requests.", |o| found(o, "status.percent")),
        integer("Instances", "Instances that can serve.", |o| found(o, "status.readyInstances")),
        AGE,
        text("Message", "Why it is in that state.", |o| found(o, "status.message")).wide(),
    ],
    selectable: &["status.function", "status.state"],
    schema: gapless_objects::schema::of::<gapless_api::Revision>,
};

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Revisions(pub(super) Owner);

impl Resource for Revisions {
    fn descriptor(&self) -> &'static Descriptor {
        &REVISIONS
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }

    fn show(&self, object: &mut Value, _is_revealed: bool) {
        if let Some(control) = self.0.get() {
            control.show_revision(object);
        }
    }
}

/// The number in a revision's name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// A new revision of a function.
pub(crate) fn object(
    function: &Value,
    name: &str,
    template: &FunctionSpec,
    now: Timestamp,
) -> Value {
    let of = |pointer: &str| text_at(function, pointer);
    json!({
        "apiVersion": API_VERSION,
        "kind": "Revision",
        "metadata": {
            "name": name,
            "namespace": of("/metadata/namespace"),
            "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": format!("{now:.0}"),
            "generation": 1,
            "labels": { FUNCTION_LABEL: of("/metadata/name") },
            "ownerReferences": [{
                "apiVersion": API_VERSION,
                "kind": "Function",
                "name": of("/metadata/name"),
                "uid": of("/metadata/uid"),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": template,
    })
}
