//! A function's status as a Service has it.

use serde_json::{Map, Value, json};

use crate::traffic;

/// Knative's conditions, in its order, and the function's that say them, best first.
const CONDITIONS: &[(&str, &[&str])] = &[
    ("ConfigurationsReady", &["RevisionReady", "Ready"]),
    ("Ready", &["Ready"]),
    ("RoutesReady", &["TrafficReady", "Ready"]),
];

pub(crate) fn to_service(function: &Value) -> Value {
    let status = &function["status"];
    let mut shown = Map::new();
    let mut put = |field: &str, value: Value| {
        if !value.is_null() && value != "" {
            shown.insert(field.to_owned(), value);
        }
    };
    put("observedGeneration", status["observedGeneration"].clone());
    put("conditions", conditions(&status["conditions"]));
    let url = &status["url"];
    put("url", url.clone());
    if url.as_str().is_some_and(|url| !url.is_empty()) {
        put("address", json!({"url": url}));
    }
    // A function says which revision is the newest only while it is not the one that serves.
    let serving = &status["revision"];
    let newest = &status["latestCreatedRevision"];
    put("latestCreatedRevisionName", if newest.is_null() { serving } else { newest }.clone());
    let ready = &status["latestReadyRevision"];
    put("latestReadyRevisionName", if ready.is_null() { serving } else { ready }.clone());
    put("traffic", targets(function));
    Value::Object(shown)
}

/// What holds now; what is asked for where that is not known.
fn targets(function: &Value) -> Value {
    let status = &function["status"];
    if let Some(targets) = status["traffic"].as_array().filter(|targets| !targets.is_empty()) {
        return targets.iter().map(traffic::to_service).collect();
    }
    match status["revision"].as_str().filter(|revision| !revision.is_empty()) {
        Some(revision) => {
            json!([{"latestRevision": true, "revisionName": revision, "percent": 100}])
        }
        None => Value::Null,
    }
}

fn conditions(of_function: &Value) -> Value {
    let list = of_function.as_array().map(Vec::as_slice).unwrap_or_default();
    let find = |kind: &str| list.iter().find(|condition| condition["type"] == kind);
    let shown = CONDITIONS.iter().map(|(kind, names)| {
        let Some(condition) = names.iter().find_map(|name| find(name)) else {
            return json!({"type": kind, "status": "Unknown"});
        };
        let status = &condition["status"];
        let mut shown = json!({"type": kind, "status": status});
        // As Knative: why it holds is told of what does not.
        let fields = ["lastTransitionTime", "reason", "message"];
        for field in &fields[..if status == "True" { 1 } else { 3 }] {
            if condition[field].as_str().is_some_and(|text| !text.is_empty()) {
                shown[field] = condition[field].clone();
            }
        }
        shown
    });
    shown.collect()
}
