//! From a Service to a function.

use gapless_types::{FieldError, check_name};
use serde_json::{Map, Value, json};

use crate::fields::{Findings, Known};
use crate::{API_VERSION, CONCURRENCY_DEFAULT, TIMEOUT_SECONDS_DEFAULT};
use crate::{annotations, container, defaults, traffic};

/// Knative's `max-revision-timeout-seconds` (config-defaults).
const TIMEOUT_SECONDS_MAX: u64 = 600;
/// Knative's `container-concurrency-max-limit` (config-defaults).
const CONCURRENCY_MAX: u64 = 1000;

const SERVICE: Known = Known {
    honoured: &["apiVersion", "kind", "metadata", "spec", "status"],
    kept: &[],
    refused: &[],
};
const SPEC: Known = Known { honoured: &["template", "traffic"], kept: &[], refused: &[] };
const TEMPLATE: Known = Known { honoured: &["metadata", "spec"], kept: &[], refused: &[] };
const TEMPLATE_METADATA: Known = Known {
    honoured: &["annotations", "labels", "name", "namespace", "creationTimestamp"],
    kept: &[],
    refused: &[],
};
const NO_KUBERNETES: &str = "has no meaning without Kubernetes and is ignored";
const NOT_SCHEDULED: &str = "is not honoured: remove it; where instances may be is said by \
                             spec.placement of a gapless Function";
const REVISION: Known = Known {
    honoured: &[
        "containerConcurrency",
        "containers",
        "enableServiceLinks",
        "timeoutSeconds",
        "responseStartTimeoutSeconds",
    ],
    kept: &[
        ("idleTimeoutSeconds", "is not honoured: a stream may pause as long as it lasts"),
        ("serviceAccountName", NO_KUBERNETES),
        ("imagePullSecrets", NO_KUBERNETES),
        ("automountServiceAccountToken", NO_KUBERNETES),
    ],
    refused: &[
        (
            "volumes",
            "is not honoured: a function's files are declared by spec.files of a gapless \
                     Function and appear in the folder $GAPLESS_FILES; small values fit \
                     env.valueFrom",
        ),
        ("initContainers", "is not honoured: remove it; do the work in the program's start"),
        ("nodeSelector", NOT_SCHEDULED),
        ("affinity", NOT_SCHEDULED),
        ("tolerations", NOT_SCHEDULED),
        ("topologySpreadConstraints", NOT_SCHEDULED),
        ("priorityClassName", NOT_SCHEDULED),
        ("schedulerName", NOT_SCHEDULED),
        ("runtimeClassName", "is not honoured: remove it"),
        ("securityContext", "is not honoured: remove it"),
        ("hostNetwork", "is not allowed, as in Knative: remove it"),
        ("dnsPolicy", "is not honoured: remove it"),
        ("dnsConfig", "is not honoured: remove it"),
        ("hostAliases", "is not honoured: remove it"),
    ],
};

/// What a Service became.
#[derive(Clone, Debug, PartialEq)]
pub struct Translated {
    /// The gapless Function, not yet checked by `Function::from_value`.
    pub function: Value,
    /// What was written, without status, with Knative's defaults: to be stored beside the
    /// function and given to [`to_service`](crate::to_service).
    pub shape: Value,
    /// What is kept and not honoured, a sentence each: for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Makes a function of a Service. Every error is told, by its path in the Service.
pub fn to_function(service: &Value) -> Result<Translated, Vec<FieldError>> {
    let mut findings = Findings::default();
    if !service.is_object() {
        let message = "the document is empty or not a mapping: it must be a Service";
        return Err(vec![FieldError::new("", message)]);
    }
    head(service, &mut findings);
    let spec = findings.map(&service["spec"], "spec");
    findings.known(spec, "spec", &SPEC);
    let mut function_spec = Map::new();
    match spec.get("template") {
        Some(template) => revision(template, &mut function_spec, &mut findings),
        None => findings.error("spec.template", "is missing; it must have spec.containers"),
    }
    if let Some(targets) = spec.get("traffic").filter(|targets| !targets.is_null()) {
        let targets = traffic::to_function(targets, &mut findings);
        // Everything to the latest is what holds anyway.
        if targets != json!([{"revision": "latest", "percent": 100}]) {
            function_spec.insert("traffic".to_owned(), targets);
        }
    }
    let function = json!({
        "apiVersion": gapless_types::API_VERSION,
        "kind": "Function",
        "metadata": service["metadata"],
        "spec": function_spec,
    });
    if findings.errors.is_empty() {
        findings.errors = as_function(&function);
    }
    if !findings.errors.is_empty() {
        return Err(findings.errors);
    }
    let mut shape = service.clone();
    if let Some(fields) = shape.as_object_mut() {
        fields.remove("status");
    }
    defaults::fill(&mut shape);
    Ok(Translated { function, shape, warnings: findings.warnings })
}

/// Where a function's field comes from.
const ORIGINS: &[(&str, &str)] = &[
    ("spec.env", "spec.template.spec.containers[0].env"),
    ("spec.envFrom", "spec.template.spec.containers[0].envFrom"),
    ("spec.resources", "spec.template.spec.containers[0].resources"),
    ("spec.command", "spec.template.spec.containers[0].command"),
    ("spec.scale", "spec.template.metadata.annotations"),
];

/// What the checks of a function find, by the path in the Service. Its traffic, probe and
/// metadata have the same paths in both and are checked with the function itself.
fn as_function(function: &Value) -> Vec<FieldError> {
    let mut plain = function.clone();
    plain["metadata"] = json!({"name": "x"});
    if let Some(spec) = plain["spec"].as_object_mut() {
        spec.remove("traffic");
        spec.remove("probe");
    }
    let errors = gapless_types::Function::from_value(plain).err().unwrap_or_default();
    let told = errors.into_iter().map(|error| {
        let origin = ORIGINS.iter().find_map(|(from, to)| {
            let rest = error.path.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{to}{rest}"))
        });
        FieldError { path: origin.unwrap_or(error.path), message: error.message }
    });
    told.collect()
}

fn head(service: &Value, findings: &mut Findings) {
    let fields = findings.map(service, "");
    findings.known(fields, "", &SERVICE);
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", "Service")] {
        match &service[field] {
            Value::Null => findings.error(field, "is missing"),
            found if found == expected => {}
            found => findings.error(field, format!("found {found}, expected {expected:?}")),
        }
    }
    let metadata = findings.map(&service["metadata"], "metadata");
    match metadata.get("name").and_then(Value::as_str) {
        None => findings.error("metadata.name", "is missing"),
        Some(name) => {
            if let Err(error) = check_name(name) {
                findings.error("metadata.name", error.to_string());
            }
        }
    }
    annotations::of_service(metadata, findings);
}

fn revision(template: &Value, function: &mut Map<String, Value>, findings: &mut Findings) {
    let path = "spec.template";
    let fields = findings.map(template, path);
    findings.known(fields, path, &TEMPLATE);
    let metadata = findings.map(&template["metadata"], "spec.template.metadata");
    findings.known(metadata, "spec.template.metadata", &TEMPLATE_METADATA);
    if metadata.get("name").is_some_and(|name| !name.is_null()) {
        let message = "revisions are named by the platform, NAME-00001 and so on: remove it";
        findings.error("spec.template.metadata.name", message);
    }
    let path = "spec.template.spec";
    let spec = findings.map(&template["spec"], path);
    findings.known(spec, path, &REVISION);
    if findings
        .truth(&template["spec"]["enableServiceLinks"], &format!("{path}.enableServiceLinks"))
    {
        findings.warn(&format!("{path}.enableServiceLinks"), NO_KUBERNETES);
    }
    let containers = findings.list(&template["spec"]["containers"], &format!("{path}.containers"));
    match containers {
        [one] => container::to_function(one, function, findings),
        [] => findings.error(format!("{path}.containers"), "is missing; one container is needed"),
        several => {
            let message =
                format!("has {} containers; sidecars are not run: leave one", several.len());
            findings.error(format!("{path}.containers"), message);
        }
    }
    let scaling = annotations::of_revision(metadata, findings);
    let at = format!("{path}.containerConcurrency");
    let limit = findings.number(&template["spec"]["containerConcurrency"], &at, CONCURRENCY_MAX);
    // 0 has no limit in Knative, and is scaled for the target: here that is the slots.
    let concurrency = match limit.unwrap_or(0) {
        0 => scaling.target.unwrap_or(CONCURRENCY_DEFAULT),
        limit => limit,
    };
    function.insert("concurrency".to_owned(), concurrency.into());
    let mut seconds = |field: &str| {
        findings.number(&template["spec"][field], &format!("{path}.{field}"), TIMEOUT_SECONDS_MAX)
    };
    // `spec.timeout` is up to the head of the answer, which Knative has a name of its own for.
    let (whole, head) = (seconds("timeoutSeconds"), seconds("responseStartTimeoutSeconds"));
    let timeout = head.filter(|head| *head > 0).or(whole.filter(|whole| *whole > 0));
    let timeout = timeout.unwrap_or(TIMEOUT_SECONDS_DEFAULT);
    function.insert("timeout".to_owned(), format!("{timeout}s").into());
    if !scaling.scale.is_empty() {
        function.insert("scale".to_owned(), Value::Object(scaling.scale));
    }
}
