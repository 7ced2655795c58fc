//! Knative's defaults, filled in as Knative does (`SetDefaults`, pkg/apis/serving/v1), but
//! not within the list of containers: clients compare a list whole, so one default in it
//! would have `kubectl apply` see a difference for ever in what was never changed.

use serde_json::{Map, Value, json};

use crate::TIMEOUT_SECONDS_DEFAULT;

/// Fills the defaults into a Service that was accepted.
pub(crate) fn fill(service: &mut Value) {
    let template = &mut service["spec"]["template"];
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    if let Some(spec) = template["spec"].as_object_mut() {
        put(spec, "containerConcurrency", json!(0));
        put(spec, "enableServiceLinks", json!(false));
        if spec.get("timeoutSeconds").is_none_or(|seconds| seconds.is_null() || *seconds == 0) {
            spec.insert("timeoutSeconds".to_owned(), TIMEOUT_SECONDS_DEFAULT.into());
        }
    }
    if let Some(spec) = service["spec"].as_object_mut() {
        put(spec, "traffic", json!([{"latestRevision": true, "percent": 100}]));
    }
}

fn put(fields: &mut Map<String, Value>, field: &str, default: Value) {
    let value = fields.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = default;
    }
}
