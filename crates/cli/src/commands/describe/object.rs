//! Objects of other kinds than functions: what is declared, what is observed, its
//! conditions, and what happened to it. Values of secrets are not shown.

use std::fmt::Write as _;

use gapless_api::List;
use jiff::Timestamp;
use serde_json::Value;

use super::history;
use crate::client::Client;
use crate::discovery::Kind;
use crate::failure::{Failure, Outcome};
use crate::output::{Table, age};

/// Bytes of a line of text that are shown.
const LINE_MAX: usize = 160;
/// What is shown elsewhere, or says nothing to people.
const NOT_DECLARED: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Describes one object.
pub(super) async fn describe(
    client: &Client,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Outcome<String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_name) {
        let why = "it has letters, digits, '-', '_' and '.'";
        return Err(Failure::usage(format!("wrong name {name:?}"), why)
            .help(format!("`gapless get {}` lists what there is", kind.plural)));
    }
    let shown = kind.shown(name);
    let what = format!("cannot describe {shown}");
    let object: Value =
        client.get(&what, &kind.path(namespace, name)).await.map_err(|failure: Failure| {
            match failure.is_not_found() {
                true => failure.help(format!("`gapless get {}` lists what there is", kind.plural)),
                false => failure,
            }
        })?;
    // Events of what is in no namespace are in the first one, as in Kubernetes.
    let place = if kind.is_namespaced { namespace } else { "default" };
    let path = format!("/api/v1/namespaces/{place}/events");
    let only = format!("involvedObject.name%3D{name},involvedObject.kind%3D{}", kind.kind);
    let events: List<Value> = client.get(&what, &format!("{path}?fieldSelector={only}")).await?;
    let now = Timestamp::now();
    Ok(text(kind, &object, now) + &history::events(events.items, now))
}

fn text(kind: &Kind, object: &Value, now: Timestamp) -> String {
    let metadata = &object["metadata"];
    let word = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let created = match word("creationTimestamp") {
        at if at.is_empty() => at,
        at => format!("{at} ({} ago)", age(&at, now)),
    };
    let rows = [
        ("Name", word("name")),
        ("Namespace", word("namespace")),
        ("Kind", format!("{} ({})", kind.kind, kind.api_version)),
        ("Labels", pairs(&metadata["labels"])),
        ("Annotations", pairs(&metadata["annotations"])),
        ("Created", created),
        ("Deleted", word("deletionTimestamp")),
    ];
    let mut text = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{:<14}{value}", format!("{name}:"));
    }
    for (field, value) in object.as_object().into_iter().flatten() {
        if !NOT_DECLARED.contains(&field.as_str()) && !is_nothing(value) {
            let is_secret = kind.kind == "Secret" && field == "data";
            text.push_str(&section(field, value, is_secret));
        }
    }
    let mut status = object["status"].clone();
    let conditions = status.as_object_mut().and_then(|status| status.remove("conditions"));
    if !is_nothing(&status) {
        text.push_str(&section("status", &status, false));
    }
    if let Some(Value::Array(conditions)) = conditions {
        text.push_str(&conditions_table(&conditions, now));
    }
    text
}

/// Part of an object under its name, as YAML would show it.
fn section(name: &str, value: &Value, is_secret: bool) -> String {
    let mut initials = name.chars();
    let heading: String = initials.next().into_iter().flat_map(char::to_uppercase).collect();
    let mut text = format!("\n{heading}{}:\n", initials.as_str());
    match value {
        Value::Object(fields) if is_secret => {
            for key in fields.keys() {
                let _ = writeln!(text, "  {key}: (hidden)");
            }
        }
        Value::Object(_) | Value::Array(_) => lines(value, 1, &mut text),
        plain => {
            let _ = writeln!(text, "  {}", scalar(plain));
        }
    }
    text
}

fn lines(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let fields: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (format!("{name}:"), value)).collect()
        }
        Value::Array(items) => items.iter().map(|item| ("-".to_owned(), item)).collect(),
        _ => return,
    };
    for (name, value) in fields.iter().filter(|(_, value)| !is_nothing(value)) {
        if matches!(value, Value::Object(_) | Value::Array(_)) {
            let _ = writeln!(text, "{indent}{name}");
            lines(value, depth + 1, text);
        } else {
            let _ = writeln!(text, "{indent}{name} {}", scalar(value));
        }
    }
}

fn scalar(value: &Value) -> String {
    let Some(whole) = value.as_str() else { return value.to_string() };
    let first = whole.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(LINE_MAX).collect();
    match shown.len() < whole.trim_end().len() {
        true => format!("{shown} ... ({} bytes)", whole.len()),
        false => shown,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    // What kubectl keeps for itself is the whole object again.
    let pairs = pairs.filter(|(key, _)| !key.starts_with("kubectl.kubernetes.io/"));
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", scalar(value))).collect();
    pairs.join(", ")
}

fn conditions_table(conditions: &[Value], now: Timestamp) -> String {
    let row = |condition: &Value| {
        let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        let since = age(&word("lastTransitionTime"), now);
        vec![word("type"), word("status"), word("reason"), since, word("message")]
    };
    let rows: Vec<Vec<String>> = conditions.iter().map(row).collect();
    let header = ["CONDITION", "STATUS", "REASON", "FOR", "MESSAGE"];
    history::section("Conditions", &Table::render(&header, &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_shown_without_what_is_secret_or_empty() {
        let now: Timestamp = "2026-01-02T00:01:00Z".parse().unwrap();
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "pass", "namespace": "a", "labels": {"app": "x"}, "annotations": {},
                "creationTimestamp": "2026-01-02T00:00:00Z",
            },
            "data": {"word": "aHVudGVyMg=="},
            "status": {"phase": "Active", "list": [{"a": 1, "b": null}], "conditions": [
                {"type": "Ready", "status": "True", "reason": "Up", "message": "m",
                 "lastTransitionTime": "2026-01-02T00:00:30Z"},
            ]},
        });
        let shown = text(&Kind::fake("Secret", "secrets"), &object, now);
        assert!(!shown.contains("aHVudGVyMg") && !shown.contains("Annotations"), "{shown}");
        for part in [
            "Name:         pass\n",
            "Labels:       app=x\n",
            "Created:      2026-01-02T00:00:00Z (60s ago)\n",
            "\nType:\n  Opaque\n",
            "\nData:\n  word: (hidden)\n",
            "\nStatus:\n  list:\n    -\n      a: 1\n  phase: Active\n",
            "  Ready       True     Up       30s   m\n",
        ] {
            assert!(shown.contains(part), "{part:?}: {shown}");
        }
        let long = json!("x\ny");
        assert_eq!(scalar(&long), "x ... (3 bytes)");
    }
}
