//! Fields that a kind does not have, with the one that was probably meant: what
//! `fieldValidation=Strict|Warn|Ignore` is about.

use std::fmt;

use serde_json::Value;

/// Most unknown fields that are reported.
const UNKNOWN_MAX: usize = 64;

/// What to do about unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Nothing.
    Ignore,
    /// Carry out the request and warn.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// The word of the query parameter `fieldValidation`; empty is the default.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" => Some(FieldValidation::default()),
            "Ignore" => Some(FieldValidation::Ignore),
            "Warn" => Some(FieldValidation::Warn),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }
}

/// A field that is not in the schema. Displayed as Kubernetes words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Where, such as `spec.scale.mx`.
    pub path: String,
    /// The field of the same object that is spelt most alike.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown field \"{}\"", self.path)
    }
}

/// An object has fields it must not have, and the request is strict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {text}"
)]
pub struct StrictError {
    kind: &'static str,
    version: &'static str,
    text: String,
}

/// Every field of `object` that `schema` does not have.
pub fn unknown(object: &Value, schema: &Value) -> Vec<UnknownField> {
    let mut found = Vec::new();
    walk(object, schema, &mut String::new(), &mut found);
    found
}

/// Removes every field of `object` that `schema` does not have: what is unknown is
/// never stored, whether the request asked for a warning or not.
pub fn prune(object: &mut Value, schema: &Value) {
    prune_below(object, schema, true);
}

/// Carries out `validation`: the texts of the `Warning` headers, or an error.
/// `duplicates` are paths as [`crate::decode::json`] gives them.
pub fn judge(
    validation: FieldValidation,
    kind: &crate::Descriptor,
    unknown: &[UnknownField],
    duplicates: &[String],
) -> Result<Vec<String>, StrictError> {
    let repeated = duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => {
            Ok(unknown.iter().map(ToString::to_string).chain(repeated).collect())
        }
        FieldValidation::Strict if unknown.is_empty() && duplicates.is_empty() => Ok(Vec::new()),
        FieldValidation::Strict => {
            let hinted = unknown.iter().map(|field| match &field.nearest {
                Some(nearest) => format!("{field} (did you mean {nearest}?)"),
                None => field.to_string(),
            });
            let text = hinted.chain(repeated).collect::<Vec<_>>().join(", ");
            Err(StrictError { kind: kind.kind, version: kind.version, text })
        }
    }
}

/// A text as the value of a `Warning` header (RFC 7234, section 5.5).
pub fn warning_header(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 10);
    quoted.push_str("299 - \"");
    for char in text.chars().filter(|char| !char.is_control()) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

fn is_type_meta(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind")
}

fn is_open(schema: &Value) -> bool {
    let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    flag("x-kubernetes-preserve-unknown-fields")
}

fn walk(value: &Value, schema: &Value, path: &mut String, found: &mut Vec<UnknownField>) {
    let outer = path.len();
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            for (key, value) in fields {
                let below = known.and_then(|known| known.get(key)).or(others);
                if outer > 0 {
                    path.push('.');
                }
                path.push_str(key);
                match (below, known) {
                    (Some(below), _) => walk(value, below, path, found),
                    (None, Some(known))
                        if !is_open(schema)
                            && found.len() < UNKNOWN_MAX
                            && !(outer == 0 && is_type_meta(key)) =>
                    {
                        let nearest = nearest(key, known.keys());
                        found.push(UnknownField { path: path.clone(), nearest });
                    }
                    _ => {}
                }
                path.truncate(outer);
            }
        }
        Value::Array(items) => {
            let Some(below) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(item, below, path, found);
                path.truncate(outer);
            }
        }
        _ => {}
    }
}

fn prune_below(value: &mut Value, schema: &Value, is_root: bool) {
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            if let (Some(known), None, false) = (known, others, is_open(schema)) {
                fields.retain(|key, _| known.contains_key(key) || is_root && is_type_meta(key));
            }
            for (key, value) in fields {
                if let Some(below) = known.and_then(|known| known.get(key)).or(others) {
                    prune_below(value, below, false);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = schema.get("items") else { return };
            items.iter_mut().for_each(|item| prune_below(item, below, false));
        }
        _ => {}
    }
}

/// The known field that is spelt most like `word`, if any is near enough.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    if word.len() > 64 {
        return None;
    }
    let distance = |name: &String| strsim::osa_distance(&name.to_lowercase(), &word.to_lowercase());
    let near = known.map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= (word.len() / 3).max(1)).then(|| near.1.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::CONFIG_MAP;

    fn schema() -> Value {
        json!({"properties": {
            "metadata": {"properties": {"labels": {"additionalProperties": {"type": "string"}}}},
            "spec": {"properties": {
                "scale": {"properties": {"max": {}, "min": {}}},
                "list": {"items": {"properties": {"name": {}}}},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
            }},
        }})
    }

    #[test]
    fn unknown_fields_name_the_nearest() {
        let object = json!({
            "apiVersion": "v1", "kind": "X", "metadata": {"labels": {"any": "x"}}, "sepc": {},
            "spec": {"scale": {"mx": 1, "max": 2}, "list": [{"name": 1}, {"nam": 2}],
                     "free": {"a": {"b": 1}}, "zzzzzz": 1},
        });
        let found = unknown(&object, &schema());
        let shown: Vec<(String, Option<&str>)> =
            found.iter().map(|one| (one.to_string(), one.nearest.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("unknown field \"sepc\"".to_owned(), Some("spec")),
                ("unknown field \"spec.list[1].nam\"".to_owned(), Some("name")),
                ("unknown field \"spec.scale.mx\"".to_owned(), Some("max")),
                ("unknown field \"spec.zzzzzz\"".to_owned(), None),
            ]
        );
        let mut pruned = object;
        prune(&mut pruned, &schema());
        assert_eq!(unknown(&pruned, &schema()), []);
        assert_eq!(pruned["spec"]["free"], json!({"a": {"b": 1}}));
        assert_eq!(pruned["apiVersion"], "v1");
    }

    #[test]
    fn strict_refuses_and_warn_warns() {
        let found = unknown(&json!({"spec": {"scale": {"mx": 1}}}), &schema());
        let twice = ["data.a".to_owned()];
        let warnings = judge(FieldValidation::Warn, &CONFIG_MAP, &found, &twice).unwrap();
        assert_eq!(warnings, ["unknown field \"spec.scale.mx\"", "duplicate field \"data.a\""]);
        let error = judge(FieldValidation::Strict, &CONFIG_MAP, &found, &twice).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
             unknown field \"spec.scale.mx\" (did you mean max?), duplicate field \"data.a\""
        );
        assert_eq!(judge(FieldValidation::Ignore, &CONFIG_MAP, &found, &twice), Ok(vec![]));
        assert_eq!(judge(FieldValidation::Strict, &CONFIG_MAP, &[], &[]), Ok(vec![]));
        assert_eq!(warning_header(&warnings[0]), r#"299 - "unknown field \"spec.scale.mx\"""#);
    }
}
