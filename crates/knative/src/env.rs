//! The environment of a container.

use gapless_types::is_platform_variable;
use serde_json::{Map, Value, json};

use crate::fields::{Findings, Known};

const VARIABLE: Known =
    Known { honoured: &["name", "value", "valueFrom"], kept: &[], refused: &[] };
const NO_POD: &str = "is not honoured: there is no pod; GAPLESS_INSTANCE, GAPLESS_FUNCTION and \
                      K_REVISION say who an instance is";
const VALUE_FROM: Known = Known {
    honoured: &["secretKeyRef", "configMapKeyRef"],
    kept: &[],
    refused: &[("fieldRef", NO_POD), ("resourceFieldRef", NO_POD)],
};
const KEY: Known = Known { honoured: &["name", "key", "optional"], kept: &[], refused: &[] };
const FROM: Known =
    Known { honoured: &["prefix", "secretRef", "configMapRef"], kept: &[], refused: &[] };
const OBJECT: Known = Known { honoured: &["name", "optional"], kept: &[], refused: &[] };

pub(crate) fn to_function(
    container: &Value,
    path: &str,
    function: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    let at = format!("{path}.env");
    let mut env = Map::new();
    for (index, variable) in findings.list(&container["env"], &at).iter().enumerate() {
        let at = format!("{at}[{index}]");
        let fields = findings.map(variable, &at);
        findings.known(fields, &at, &VARIABLE);
        let name = findings.text(&variable["name"], &format!("{at}.name")).unwrap_or_default();
        if name.is_empty() {
            findings.error(format!("{at}.name"), "is missing");
        } else if is_platform_variable(name) {
            findings.error(
                format!("{at}.name"),
                format!("{name} is set by the platform; choose another name"),
            );
        } else if env.contains_key(name) {
            findings.error(format!("{at}.name"), format!("{name} is there twice; remove one"));
        } else {
            env.insert(name.to_owned(), value(variable, &at, findings));
        }
    }
    if !env.is_empty() {
        function.insert("env".to_owned(), Value::Object(env));
    }
    let at = format!("{path}.envFrom");
    let sources = findings.list(&container["envFrom"], &at).iter().enumerate();
    let sources: Vec<Value> = sources
        .map(|(index, source)| env_from(source, &format!("{at}[{index}]"), findings))
        .collect();
    if !sources.is_empty() {
        function.insert("envFrom".to_owned(), sources.into());
    }
}

fn value(variable: &Value, at: &str, findings: &mut Findings) -> Value {
    let from = &variable["valueFrom"];
    let text = findings.text(&variable["value"], &format!("{at}.value"));
    if from.is_null() {
        let text = text.unwrap_or_default();
        if text.contains("$(") {
            findings.warn(&format!("{at}.value"), "$(NAME) is not replaced: it is given as it is");
        }
        return text.into();
    }
    if text.is_some_and(|text| !text.is_empty()) {
        findings.error(format!("{at}.valueFrom"), "has value beside it; leave one of the two");
    }
    let at = format!("{at}.valueFrom");
    let fields = findings.map(from, &at);
    findings.known(fields, &at, &VALUE_FROM);
    let (kept, field) = match (from["secretKeyRef"].is_null(), from["configMapKeyRef"].is_null()) {
        (false, true) => ("secret", "secretKeyRef"),
        (true, false) => ("config", "configMapKeyRef"),
        (true, true) => {
            if fields.values().all(Value::is_null) {
                findings.error(at, "needs secretKeyRef or configMapKeyRef");
            }
            return Value::Null;
        }
        (false, false) => {
            findings.error(at, "has secretKeyRef and configMapKeyRef; leave one of the two");
            return Value::Null;
        }
    };
    let (reference, at) = (&from[field], format!("{at}.{field}"));
    let fields = findings.map(reference, &at);
    findings.known(fields, &at, &KEY);
    let mut part = |name: &str| {
        let at = format!("{at}.{name}");
        let found = findings.text(&reference[name], &at).unwrap_or_default();
        if found.is_empty() {
            findings.error(at, "is missing");
        }
        found
    };
    let path = format!("{}/{}", part("name"), part("key"));
    made(kept, &path, reference, &at, findings)
}

fn env_from(source: &Value, at: &str, findings: &mut Findings) -> Value {
    let fields = findings.map(source, at);
    findings.known(fields, at, &FROM);
    let (kept, field) = match (source["secretRef"].is_null(), source["configMapRef"].is_null()) {
        (false, true) => ("secret", "secretRef"),
        (true, false) => ("config", "configMapRef"),
        _ => {
            findings.error(at, "needs secretRef or configMapRef, one of the two");
            return Value::Null;
        }
    };
    let (reference, inner) = (&source[field], format!("{at}.{field}"));
    let fields = findings.map(reference, &inner);
    findings.known(fields, &inner, &OBJECT);
    let name = findings.text(&reference["name"], &format!("{inner}.name")).unwrap_or_default();
    if name.is_empty() {
        findings.error(format!("{inner}.name"), "is missing");
    }
    let mut made = made(kept, name, reference, &inner, findings);
    if let Some(prefix) = findings.text(&source["prefix"], &format!("{at}.prefix"))
        && !prefix.is_empty()
    {
        made["prefix"] = prefix.into();
    }
    made
}

fn made(kept: &str, path: &str, reference: &Value, at: &str, findings: &mut Findings) -> Value {
    let mut made = json!({kept: path});
    if findings.truth(&reference["optional"], &format!("{at}.optional")) {
        made["optional"] = true.into();
    }
    made
}
