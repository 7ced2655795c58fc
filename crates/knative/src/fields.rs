//! Reading fields by path, and keeping what is wrong.

use std::sync::LazyLock;

use gapless_types::{FieldError, nearest};
use serde_json::{Map, Value};

/// What was found wrong, and what is only worth a warning.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<FieldError>,
    pub(crate) warnings: Vec<String>,
}

static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl Findings {
    pub(crate) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::new(path, message));
    }

    pub(crate) fn warn(&mut self, path: &str, message: &str) {
        self.warnings.push(format!("{path}: {message}"));
    }

    /// A mapping; empty where there is none.
    pub(crate) fn map<'a>(&mut self, value: &'a Value, path: &str) -> &'a Map<String, Value> {
        match value {
            Value::Object(map) => map,
            Value::Null => &EMPTY,
            other => {
                self.error(path, format!("found {}, expected a mapping", shown(other)));
                &EMPTY
            }
        }
    }

    /// A list; empty where there is none.
    pub(crate) fn list<'a>(&mut self, value: &'a Value, path: &str) -> &'a [Value] {
        match value {
            Value::Array(list) => list,
            Value::Null => &[],
            other => {
                self.error(path, format!("found {}, expected a list", shown(other)));
                &[]
            }
        }
    }

    /// Text; `None` where there is none.
    pub(crate) fn text<'a>(&mut self, value: &'a Value, path: &str) -> Option<&'a str> {
        match value {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => {
                let message = format!("found {}, expected text; put it in quotes", shown(other));
                self.error(path, message);
                None
            }
        }
    }

    /// A whole number within bounds; `None` where there is none.
    pub(crate) fn number(&mut self, value: &Value, path: &str, max: u64) -> Option<u64> {
        match value {
            Value::Null => None,
            value => {
                let found = value.as_u64().filter(|found| *found <= max);
                if found.is_none() {
                    let found = shown(value);
                    self.error(
                        path,
                        format!("found {found}, allowed is a whole number from 0 to {max}"),
                    );
                }
                found
            }
        }
    }

    /// A truth; `false` where there is none.
    pub(crate) fn truth(&mut self, value: &Value, path: &str) -> bool {
        match value {
            Value::Null => false,
            Value::Bool(truth) => *truth,
            other => {
                self.error(path, format!("found {}, expected true or false", shown(other)));
                false
            }
        }
    }

    /// Tells of every field that is neither honoured nor in one of the other lists.
    pub(crate) fn known(&mut self, map: &Map<String, Value>, path: &str, known: &Known) {
        for (field, value) in map {
            if known.honoured.contains(&field.as_str()) || value.is_null() {
                continue;
            }
            let at = within(path, field);
            if let Some((_, why)) = known.kept.iter().find(|(name, _)| name == field) {
                self.warn(&at, why);
            } else if let Some((_, why)) = known.refused.iter().find(|(name, _)| name == field) {
                self.error(at, *why);
            } else {
                let message = match nearest(field, known.honoured) {
                    Some(near) => format!("there is no such field; did you mean {near}?"),
                    None => {
                        format!("there is no such field; known are {}", known.honoured.join(", "))
                    }
                };
                self.error(at, message);
            }
        }
    }
}

/// What is done with the fields of a mapping.
pub(crate) struct Known {
    pub(crate) honoured: &'static [&'static str],
    pub(crate) kept: &'static [(&'static str, &'static str)],
    pub(crate) refused: &'static [(&'static str, &'static str)],
}

pub(crate) fn within(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}
