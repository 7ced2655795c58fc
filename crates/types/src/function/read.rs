//! Reads a declared function and checks it, once, for every entry (a file, the
//! API): each error names the path of the field, what was found and what is
//! allowed, and for a misspelt field the nearest one.

use serde::Serialize;
use serde_json::Value;

use super::{Function, FunctionSpec, Placement};
use crate::API_VERSION;

/// One thing wrong with a declared object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// Where, such as `spec.scale.max`; empty for the whole document.
    pub path: String,
    /// What was found, what is allowed.
    pub message: String,
}

impl FieldError {
    /// An error at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { path: path.into(), message: message.into() }
    }
}

/// Most instances one function may ask for: a bound for every map keyed by instance.
const INSTANCES_MAX: u32 = 10_000;
/// Most requests one function's queue may hold.
const QUEUE_MAX: u32 = 100_000;
/// Most entries a list of placement terms may have.
const PLACEMENT_TERMS_MAX: usize = 32;
/// Most slots one instance may have.
const CONCURRENCY_MAX: u32 = 1_000;

impl Function {
    /// Reads a function from a JSON value and checks it. Unknown fields, wrong
    /// types and impossible values are errors; a document with one wrong type
    /// reports that one, otherwise every wrong value is reported.
    pub fn from_value(value: Value) -> Result<Function, Vec<FieldError>> {
        if !value.is_object() {
            let message = "the document is empty or not a mapping: it must have apiVersion, kind, \
                           metadata and spec";
            return Err(vec![FieldError::new("", message)]);
        }
        let function: Function = serde_path_to_error::deserialize(&value).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            vec![explain(path, &error.into_inner().to_string())]
        })?;
        let errors = function.check();
        if errors.is_empty() { Ok(function) } else { Err(errors) }
    }

    /// Everything wrong with the function's values.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.api_version != API_VERSION {
            let message = format!("found {:?}, expected {API_VERSION:?}", self.api_version);
            errors.push(FieldError::new("apiVersion", message));
        }
        if self.kind != "Function" {
            let message = format!("found {:?}, expected \"Function\"", self.kind);
            errors.push(FieldError::new("kind", message));
        }
        for (path, name) in [
            ("metadata.name", &self.metadata.name),
            ("metadata.namespace", &self.metadata.namespace),
        ] {
            if let Err(error) = crate::check_name(name) {
                errors.push(FieldError::new(path, error.to_string()));
            }
        }
        check_code(&self.spec, &mut errors);
        check_values(&self.spec, &mut errors);
        if let Some(placement) = &self.spec.placement {
            check_placement(placement, &mut errors);
        }
        check_not_yet(&self.spec, &mut errors);
        errors
    }
}

fn check_code(spec: &FunctionSpec, errors: &mut Vec<FieldError>) {
    let kinds = [
        ("wasm", spec.wasm.is_some()),
        ("command", spec.command.is_some()),
        ("fake", spec.fake.is_some()),
    ];
    let set: Vec<&str> = kinds.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    let not_yet = spec.image.is_some() || spec.lambda.is_some();
    match set.as_slice() {
        [_] => {}
        [] if not_yet => {}
        [] => {
            let message = "needs exactly one of wasm, command or fake; found none. \
                           For a component: `wasm: function.wasm`; for a program: \
                           `command: [\"python3\", \"server.py\"]`";
            errors.push(FieldError::new("spec", message));
        }
        several => {
            let message = format!(
                "needs exactly one of wasm, command or fake; found {}",
                several.join(" and ")
            );
            errors.push(FieldError::new("spec", message));
        }
    }
    if let Some(file) = &spec.wasm
        && (file.is_empty() || file.starts_with('/') || file.split('/').any(|part| part == ".."))
    {
        let message = format!("found {file:?}; name a file inside the function's folder");
        errors.push(FieldError::new("spec.wasm", message));
    }
    if let Some(command) = &spec.command
        && command.first().is_none_or(String::is_empty)
    {
        errors.push(FieldError::new("spec.command", "is empty; name the program to run"));
    }
    if let Some(artifact) = &spec.artifact {
        let hex = artifact.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let message =
                format!("found {artifact:?}; expected sha256: and 64 lower-case hex digits");
            errors.push(FieldError::new("spec.artifact", message));
        }
    }
}

fn check_values(spec: &FunctionSpec, errors: &mut Vec<FieldError>) {
    let mut range = |path: &str, found: u32, low: u32, high: u32| {
        if !(low..=high).contains(&found) {
            let message = format!("found {found}, allowed is {low} to {high}");
            errors.push(FieldError::new(path, message));
        }
    };
    range("spec.concurrency", spec.concurrency, 1, CONCURRENCY_MAX);
    range("spec.scale.max", spec.scale.max, 1, INSTANCES_MAX);
    range("spec.scale.min", spec.scale.min, 0, INSTANCES_MAX);
    range("spec.queue.size", spec.queue.size, 0, QUEUE_MAX);
    if spec.scale.min > spec.scale.max {
        let message = format!("{} is more than spec.scale.max, {}", spec.scale.min, spec.scale.max);
        errors.push(FieldError::new("spec.scale.min", message));
    }
    if spec.queue.size == 0 && spec.scale.min == 0 {
        let message = "0 lets nothing wait for a start, so the function could never begin; \
                       use at least 1, or spec.scale.min of at least 1";
        errors.push(FieldError::new("spec.queue.size", message));
    }
    if spec.timeout.0.is_zero() {
        errors.push(FieldError::new("spec.timeout", "must be more than 0s"));
    }
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let path = format!("spec.env.{name}");
            errors.push(FieldError::new(path, "a name must not be empty nor hold '=' or NUL"));
        }
        if name.starts_with("GAPLESS_") || name == "PORT" {
            let path = format!("spec.env.{name}");
            errors.push(FieldError::new(path, "is set by the platform; choose another name"));
        }
    }
    if let Some(route) = &spec.access.route {
        let label_ok = |label: &str| crate::check_name(label).is_ok();
        if !route.host.split('.').all(label_ok) {
            let message = format!("{:?} is not a host name (without port)", route.host);
            errors.push(FieldError::new("spec.access.route.host", message));
        }
        if route.host == "localhost" || route.host.ends_with(".localhost") {
            let message = "names under localhost belong to the platform; choose another host";
            errors.push(FieldError::new("spec.access.route.host", message));
        }
    }
}

fn check_placement(placement: &Placement, errors: &mut Vec<FieldError>) {
    let counts = [
        ("require", placement.require.len()),
        ("prefer", placement.prefer.len()),
        ("tolerate", placement.tolerate.len()),
        ("avoid", placement.avoid.len()),
        ("calls", placement.calls.len()),
        ("data", placement.data.len()),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > PLACEMENT_TERMS_MAX) {
        let message = format!("has {count} entries, allowed are {PLACEMENT_TERMS_MAX}");
        errors.push(FieldError::new(format!("spec.placement.{field}"), message));
    }
    for (index, preference) in placement.prefer.iter().enumerate() {
        if !(0.0..=100.0).contains(&preference.weight) {
            let path = format!("spec.placement.prefer[{index}].weight");
            let message = format!("found {}, allowed is 0 to 100", preference.weight);
            errors.push(FieldError::new(path, message));
        }
    }
    if let Some(profile) = &placement.profile
        && let Err(error) = crate::check_name(profile)
    {
        errors.push(FieldError::new("spec.placement.profile", error.to_string()));
    }
    let Some(devices) = &placement.devices else { return };
    if devices.kind.is_empty() {
        errors.push(FieldError::new("spec.placement.devices.kind", "is empty; such as gpu"));
    }
    match devices.share_millis {
        Some(share) if !(1..=999).contains(&share) => {
            let message =
                format!("found {share}, allowed is 1 to 999; leave it out for whole ones");
            errors.push(FieldError::new("spec.placement.devices.shareMillis", message));
        }
        Some(_) if devices.count != 1 => {
            let message = "a share is of one device; leave the count out";
            errors.push(FieldError::new("spec.placement.devices.count", message));
        }
        None if devices.count == 0 => {
            errors.push(FieldError::new("spec.placement.devices.count", "must be at least 1"));
        }
        _ => {}
    }
}

/// Fields of the design that this version does not honour.
fn check_not_yet(spec: &FunctionSpec, errors: &mut Vec<FieldError>) {
    let mut refuse = |set: bool, path: &str, instead: &str| {
        if set {
            let message = format!("is not honoured by this version of gapless; {instead}");
            errors.push(FieldError::new(path, message));
        }
    };
    refuse(spec.image.is_some(), "spec.image", "use wasm or command");
    refuse(spec.lambda.is_some(), "spec.lambda", "use wasm or command");
    refuse(
        spec.idempotent.is_some(),
        "spec.idempotent",
        "remove it: nothing is retried after it was sent",
    );
    refuse(spec.sidecars.is_some(), "spec.sidecars", "remove it");
    refuse(spec.traffic.is_some(), "spec.traffic", "remove it: the latest revision takes all");
    refuse(spec.queue.order != "fifo", "spec.queue.order", "use fifo");
    refuse(
        !matches!(spec.start.kind.as_str(), "auto" | "cold"),
        "spec.start.kind",
        "use auto or cold",
    );
    refuse(spec.scale.concurrency_target != "auto", "spec.scale.concurrencyTarget", "use auto");
    let path = spec.access.route.as_ref().map_or("/", |route| &route.path);
    refuse(path != "/", "spec.access.route.path", "use /, the whole host");
}

/// Turns serde's message into one that says what to do, with the nearest
/// field for a misspelt one.
fn explain(path: String, message: &str) -> FieldError {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field")
        && let Some((unknown, known)) = quoted.split_first()
    {
        let parent = path.strip_suffix(unknown).unwrap_or(&path).trim_end_matches('.');
        let path =
            if parent.is_empty() { (*unknown).to_owned() } else { format!("{parent}.{unknown}") };
        let distance = |name: &str| strsim::osa_distance(name, unknown);
        let near = known.iter().min_by_key(|name| distance(name));
        let hint = match near {
            Some(near) if distance(near) <= (unknown.len() / 3).max(1) => {
                format!("there is no such field; did you mean {near}?")
            }
            _ => format!("there is no such field; known are {}", known.join(", ")),
        };
        return FieldError { path, message: hint };
    }
    if message.starts_with("missing field")
        && let Some(name) = quoted.first()
    {
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        return FieldError { path, message: "is missing".to_owned() };
    }
    FieldError { path, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn function(spec: Value) -> Result<Function, Vec<FieldError>> {
        Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "hello"}, "spec": spec,
        }))
    }

    fn only_error(spec: Value) -> String {
        let errors = function(spec).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn the_least_function_has_every_default() {
        let function = function(json!({"wasm": "hello.wasm"})).unwrap();
        assert_eq!(function.metadata.namespace, "default");
        assert_eq!(function.spec.scale.max, 100);
        assert_eq!(function.spec.timeout.to_string(), "30s");
        let shown = serde_json::to_value(&function).unwrap();
        assert_eq!(shown["spec"]["queue"], json!({"size": 1000, "wait": "10s", "order": "fifo"}));
        assert_eq!(Function::from_value(shown).unwrap(), function);
    }

    #[test]
    fn a_misspelt_field_names_the_nearest() {
        let error = only_error(json!({"wasm": "a.wasm", "scale": {"mx": 3}}));
        assert_eq!(error, "spec.scale.mx: there is no such field; did you mean max?");
    }

    #[test]
    fn a_wrong_unit_names_the_field_and_what_is_allowed() {
        let error = only_error(json!({"wasm": "a.wasm", "timeout": "30"}));
        assert!(error.starts_with("spec.timeout: \"30\" is not a length of time"), "{error}");
        let error = only_error(json!({"wasm": "a.wasm", "resources": {"memory": "lots"}}));
        assert!(error.starts_with("spec.resources.memory: \"lots\" is not"), "{error}");
    }

    #[test]
    fn fields_not_honoured_yet_are_refused_by_name() {
        for field in ["image", "lambda", "sidecars", "traffic", "idempotent"] {
            let mut spec = json!({"wasm": "a.wasm"});
            spec[field] = json!(["x"]);
            let error = only_error(spec);
            assert!(error.starts_with(&format!("spec.{field}: is not honoured")), "{error}");
        }
        let error = only_error(json!({"wasm": "a.wasm", "queue": {"order": "deadline"}}));
        assert!(error.starts_with("spec.queue.order:"), "{error}");
    }

    #[test]
    fn placement_reads_as_people_write_it() {
        let placement = json!({
            "require": {"zone": "a", "arch": ["amd64", "arm64"], "gpu": {"exists": false}},
            "prefer": [{"labels": {"disk": "ssd"}, "weight": 2}],
            "tolerate": ["spot", {"key": "team", "value": "x"}],
            "devices": {"kind": "gpu", "shareMillis": 500},
        });
        let read = function(json!({"wasm": "a.wasm", "placement": placement})).unwrap();
        let placement = read.spec.placement.clone().unwrap();
        assert_eq!(placement.require["zone"], crate::LabelMatch::Is("a".into()));
        assert_eq!(placement.tolerate.len(), 2);
        assert_eq!(Function::from_value(serde_json::to_value(&read).unwrap()).unwrap(), read);
        let error = only_error(json!({"wasm": "a.wasm", "placement": {"requires": {}}}));
        assert_eq!(error, "spec.placement.requires: there is no such field; did you mean require?");
        let prefer = json!([{"labels": {"a": "b"}, "weight": -1}]);
        let error = only_error(json!({"wasm": "a.wasm", "placement": {"prefer": prefer}}));
        assert!(error.starts_with("spec.placement.prefer[0].weight: found -1"), "{error}");
        let devices = json!({"kind": "gpu", "count": 2, "shareMillis": 500});
        let error = only_error(json!({"wasm": "a.wasm", "placement": {"devices": devices}}));
        assert!(error.starts_with("spec.placement.devices.count"), "{error}");
    }

    #[test]
    fn code_is_exactly_one_kind() {
        assert!(only_error(json!({})).contains("found none"));
        let both = only_error(json!({"wasm": "a.wasm", "command": ["x"]}));
        assert!(both.contains("found wasm and command"), "{both}");
        assert!(only_error(json!({"command": []})).starts_with("spec.command:"));
        assert!(only_error(json!({"wasm": "../a.wasm"})).starts_with("spec.wasm:"));
    }

    #[test]
    fn impossible_values_are_all_reported() {
        let spec = json!({"wasm": "a.wasm", "concurrency": 0, "scale": {"min": 5, "max": 2}});
        let errors = function(spec).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["spec.concurrency", "spec.scale.min"]);
    }

    #[test]
    fn missing_and_empty_documents_say_so() {
        let error = &Function::from_value(Value::Null).unwrap_err()[0];
        assert!(error.message.contains("must have apiVersion"), "{error}");
        let error = &Function::from_value(json!({"kind": "Function"})).unwrap_err()[0];
        assert_eq!(error.to_string(), "apiVersion: is missing");
    }
}
