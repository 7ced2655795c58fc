//! What secrets and configs have in common at admission: the object around the values.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gapless_types::{FieldError, check_key, check_name, check_object_name, nearest};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::OBJECT_BYTES_MAX;

/// Padded when written, padded or not when read.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Checks everything but the values. Puts `metadata.namespace` in where it is not.
pub(crate) fn envelope(object: &mut Value, kind: &str, known: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(fields) = object.as_object_mut() else {
        let message = format!("the document is empty or not a mapping: it must be a {kind}");
        return vec![FieldError::new("", message)];
    };
    for (field, expected) in [("apiVersion", "v1"), ("kind", kind)] {
        match fields.get(field) {
            Some(Value::String(found)) if found == expected => {}
            Some(found) => {
                let message = format!("found {found}, expected {expected:?}");
                errors.push(FieldError::new(field, message));
            }
            None => errors.push(FieldError::new(field, "is missing")),
        }
    }
    for field in fields.keys().filter(|field| !known.contains(&field.as_str())) {
        let message = match nearest(field, known) {
            Some(near) => format!("there is no such field; did you mean {near}?"),
            None => format!("there is no such field; known are {}", known.join(", ")),
        };
        errors.push(FieldError::new(field, message));
    }
    if let Some(immutable) = fields.get("immutable").filter(|value| !value.is_null())
        && !immutable.is_boolean()
    {
        let message = format!("found {}, expected true or false", shown(immutable));
        errors.push(FieldError::new("immutable", message));
    }
    metadata(fields, &mut errors);
    errors
}

fn metadata(fields: &mut Map<String, Value>, errors: &mut Vec<FieldError>) {
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else {
        return errors.push(FieldError::new("metadata", "is missing; it must have a name"));
    };
    match metadata.get("name") {
        Some(Value::String(name)) => {
            if let Err(error) = check_object_name(name) {
                errors.push(FieldError::new("metadata.name", error.to_string()));
            }
        }
        Some(other) => {
            let message = format!("found {}, expected text; put it in quotes", shown(other));
            errors.push(FieldError::new("metadata.name", message));
        }
        None => errors.push(FieldError::new("metadata.name", "is missing")),
    }
    let namespace = metadata.entry("namespace").or_insert_with(|| "default".into());
    let found = namespace.as_str().unwrap_or_default();
    if let Err(error) = check_name(found) {
        errors.push(FieldError::new("metadata.namespace", error.to_string()));
    }
}

/// Namespace and name, of an object that was checked.
pub(crate) fn identity(object: &Value) -> (&str, &str) {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    (field("namespace"), field("name"))
}

/// Takes out a mapping of values; absent and `null` are empty.
pub(crate) fn take_map(
    object: &mut Value,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Map<String, Value> {
    let taken = object.as_object_mut().and_then(|fields| fields.remove(field));
    match taken {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => {
            for key in map.keys() {
                if let Err(error) = check_key(key) {
                    errors.push(FieldError::new(format!("{field}.{key}"), error.to_string()));
                }
            }
            map
        }
        Some(other) => {
            let found = shown(&other);
            let message = format!("found {found}, expected a mapping of keys to values");
            errors.push(FieldError::new(field, message));
            Map::new()
        }
    }
}

/// The text of a value. The error does not show it.
pub(crate) fn text(path: &str, value: Value) -> Result<Zeroizing<String>, FieldError> {
    match value {
        Value::String(text) => Ok(Zeroizing::new(text)),
        // Kubernetes reads it as a value of no bytes.
        Value::Null => Ok(Zeroizing::default()),
        other => {
            let kind = match other {
                Value::Number(_) => "a number",
                Value::Bool(_) => "true or false",
                Value::Array(_) => "a list",
                _ => "a mapping",
            };
            let message = format!("found {kind}, expected text; put it in quotes");
            Err(FieldError::new(path, message))
        }
    }
}

/// The bytes of a base64 value; line ends in it do not count. The error does not show it.
pub(crate) fn bytes(path: &str, text: &str, plain: &str) -> Result<Zeroizing<Vec<u8>>, FieldError> {
    let joined: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect());
    BASE64.decode(joined.as_bytes()).map(Zeroizing::new).map_err(|_| {
        let message = format!(
            "is not base64; encode it (`base64 -w0`), or write it as plain text in {plain}"
        );
        FieldError::new(path, message)
    })
}

pub(crate) fn check_size(total: usize, errors: &mut Vec<FieldError>) {
    if total > OBJECT_BYTES_MAX {
        let message = format!(
            "the values have {total} bytes, allowed are {OBJECT_BYTES_MAX}; split the object, \
             or put large files into the function's folder"
        );
        errors.push(FieldError::new("data", message));
    }
}

/// Whether the stored object may not be changed any more.
pub(crate) fn is_immutable(object: Option<&Value>) -> bool {
    object.is_some_and(|object| object["immutable"] == Value::Bool(true))
}

/// The error of a change that an immutable object refuses.
pub(crate) fn immutable_error(field: &str) -> FieldError {
    let message = "cannot be changed: the object is immutable; delete it and create it anew, or \
                   create one under another name";
    FieldError::new(field, message)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}
