//! From a function to a Service.

use gapless_types::Function;
use serde_json::{Map, Value, json};

use crate::{API_VERSION, ARTIFACT_IMAGE, defaults, status, to_function, traffic};

/// Shows a function as a Service: as it was written, with Knative's defaults, its metadata
/// and its status. `shape` is what [`to_function`](crate::to_function) made beside it; a
/// function that was declared in another way has none, and one that was changed in another
/// way since is shown as it is now.
pub fn to_service(function: &Value, shape: Option<&Value>) -> Value {
    let written =
        shape.filter(|shape| still_says(shape, function)).map(|shape| shape["spec"].clone());
    let spec = written.unwrap_or_else(|| spec(&function["spec"]));
    let mut service = json!({
        "apiVersion": API_VERSION,
        "kind": "Service",
        "metadata": function["metadata"],
        "spec": spec,
    });
    defaults::fill(&mut service);
    if !function["status"].is_null() {
        service["status"] = status::to_service(function);
    }
    service
}

/// Whether what was written still declares this function.
fn still_says(shape: &Value, function: &Value) -> bool {
    let Ok(translated) = to_function(shape) else { return false };
    // Metadata is not compared: it is shown as it is now.
    let spec = |spec: &Value| {
        let metadata = json!({"name": "x"});
        let object = json!({
            "apiVersion": gapless_types::API_VERSION, "kind": "Function",
            "metadata": metadata, "spec": spec,
        });
        serde_json::from_value::<Function>(object).ok().map(|function| function.spec)
    };
    let (before, now) = (spec(&translated.function["spec"]), spec(&function["spec"]));
    before.is_some() && before == now
}

fn spec(function: &Value) -> Value {
    let mut annotations = Map::new();
    let scale = &function["scale"];
    let keep_alive = scale["keepAlive"].as_str().filter(|span| *span != "auto");
    for (name, value) in [
        ("min-scale", scale["min"].as_u64().filter(|min| *min > 0).map(|min| min.to_string())),
        ("max-scale", scale["max"].as_u64().map(|max| max.to_string())),
        ("scale-down-delay", keep_alive.map(str::to_owned)),
    ] {
        if let Some(value) = value {
            annotations.insert(format!("autoscaling.knative.dev/{name}"), value.into());
        }
    }
    let mut revision = json!({"containers": [container(function)]});
    if !function["concurrency"].is_null() {
        revision["containerConcurrency"] = function["concurrency"].clone();
    }
    if let Some(timeout) =
        function["timeout"].as_str().and_then(|text| text.parse::<gapless_types::Span>().ok())
    {
        revision["timeoutSeconds"] = timeout.0.as_secs().max(1).into();
    }
    let mut spec = json!({"template": {"metadata": {}, "spec": revision}});
    if !annotations.is_empty() {
        spec["template"]["metadata"]["annotations"] = Value::Object(annotations);
    }
    if let Some(targets) = function["traffic"].as_array() {
        spec["traffic"] = targets.iter().map(traffic::to_service).collect();
    }
    spec
}

fn container(function: &Value) -> Value {
    let mut container = Map::new();
    // A function whose code is not uploaded (a model) has an image without digest.
    let image = match function["artifact"].as_str() {
        Some(digest) => format!("{ARTIFACT_IMAGE}@{digest}"),
        None => ARTIFACT_IMAGE.to_owned(),
    };
    container.insert("image".to_owned(), image.into());
    let mut put = |field: &str, value: Value| {
        if !value.is_null() && value != json!([]) {
            container.insert(field.to_owned(), value);
        }
    };
    put("command", function["command"].clone());
    let env = function["env"].as_object().into_iter().flatten();
    put("env", env.map(|(name, value)| variable(name, value)).collect());
    let sources = function["envFrom"].as_array().into_iter().flatten();
    put("envFrom", sources.map(source).collect());
    let resources = &function["resources"];
    if resources.is_object() {
        let (cpu, memory) = (&resources["cpu"], &resources["memory"]);
        put("resources", json!({"requests": {"cpu": cpu}, "limits": {"memory": memory}}));
    }
    if let Some(path) = function["probe"]["path"].as_str() {
        put("readinessProbe", json!({"httpGet": {"path": path}}));
    }
    Value::Object(container)
}

/// Which kind of object, and its path, in a reference of a function.
fn reference(value: &Value) -> Option<(bool, &str)> {
    let path = |kept: &str| value[kept].as_str();
    path("secret").map(|path| (true, path)).or_else(|| path("config").map(|path| (false, path)))
}

fn variable(name: &str, value: &Value) -> Value {
    let Some((is_secret, path)) = reference(value) else {
        return json!({"name": name, "value": value});
    };
    let (object, key) = path.split_once('/').unwrap_or((path, ""));
    let mut found = json!({"name": object, "key": key});
    if value["optional"] == true {
        found["optional"] = true.into();
    }
    let field = if is_secret { "secretKeyRef" } else { "configMapKeyRef" };
    json!({"name": name, "valueFrom": {field: found}})
}

fn source(value: &Value) -> Value {
    let (is_secret, object) = reference(value).unwrap_or_default();
    let mut found = json!({"name": object});
    if value["optional"] == true {
        found["optional"] = true.into();
    }
    let mut source = json!({if is_secret { "secretRef" } else { "configMapRef" }: found});
    if !value["prefix"].is_null() {
        source["prefix"] = value["prefix"].clone();
    }
    source
}
