//! The copy of the manifest that `kubectl apply` keeps in an annotation.
//!
//! Client-side apply compares three documents: what was applied last (the annotation),
//! what is there, what is applied now. Of the first it uses only which fields there were,
//! to find those that were taken out, so the values can go without `apply` noticing.
//! (Kubernetes: "Declarative Management of Kubernetes Objects Using Configuration Files",
//! How apply calculates differences.)

use serde_json::Value;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is left of each value.
const GONE: &str = "";

/// Takes the values out of the annotation, or the whole annotation when it cannot be read.
pub(crate) fn scrub(object: &mut Value) {
    let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some(annotations) = annotations else { return };
    let Some(text) = annotations.get(LAST_APPLIED) else { return };
    let parsed = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(mut manifest) = parsed.filter(Value::is_object) else {
        annotations.remove(LAST_APPLIED);
        return;
    };
    for field in ["data", "stringData"] {
        match manifest.get_mut(field) {
            Some(Value::Object(values)) => {
                values.values_mut().for_each(|value| *value = GONE.into())
            }
            Some(other) => *other = Value::Null,
            None => {}
        }
    }
    // As kubectl writes it: one line with its end.
    annotations.insert(LAST_APPLIED.to_owned(), Value::String(format!("{manifest}\n")));
}
