//! Reads a declared function and checks it, once, for every entry (a file, the
//! API): each error names the path of the field, what was found and what is
//! allowed, and for a misspelt field the nearest one.

use serde::Serialize;
use serde_json::Value;

use super::traffic::{self, TAG_SEPARATOR};
use super::{Function, FunctionSpec, Placement, check, rollout};
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
    /// types and impossible values are errors, and all of them are told.
    pub fn from_value(value: Value) -> Result<Function, Vec<FieldError>> {
        if !value.is_object() {
            let message = "the document is empty or not a mapping: it must have apiVersion, kind, \
                           metadata and spec";
            return Err(vec![FieldError::new("", message)]);
        }
        super::read_object::<Function>(value).finish(Function::check)
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
        if self.metadata.name.contains(TAG_SEPARATOR) {
            let message = format!(
                "{:?} contains {TAG_SEPARATOR:?}, which stands between a tag and a name in host \
                 names; choose another name",
                self.metadata.name
            );
            errors.push(FieldError::new("metadata.name", message));
        }
        check_code(&self.spec, &mut errors);
        check_values(&self.spec, &mut errors);
        check::environment(&self.spec, &mut errors);
        if let Some(placement) = &self.spec.placement {
            check_placement(placement, &mut errors);
        }
        traffic::check(&self.spec.traffic, &self.metadata.name, &mut errors);
        if let Some(rollout) = &self.spec.rollout {
            rollout::check(rollout, &mut errors);
        }
        if let Some(probe) = &self.spec.probe {
            rollout::check_probe(probe, &mut errors);
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
    refuse(spec.queue.order != "fifo", "spec.queue.order", "use fifo");
    refuse(!matches!(&*spec.start.kind, "auto" | "cold"), "spec.start.kind", "use auto or cold");
    refuse(spec.scale.concurrency_target != "auto", "spec.scale.concurrencyTarget", "use auto");
    let path = spec.access.route.as_ref().map_or("/", |route| &route.path);
    refuse(path != "/", "spec.access.route.path", "use /, the whole host");
}

#[cfg(test)]
mod tests;
