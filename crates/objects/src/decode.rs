//! Reads what clients send. JSON is read in one pass that notices duplicate keys:
//! `serde_json::from_slice` silently keeps the last of two equal keys; with
//! `fieldValidation=Strict` that must be an error, so values are built here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::protobuf::{self, ProtobufError};

/// Most bytes of a request's body, as in Kubernetes.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Deepest nesting of a document: what `serde_json` accepts, so that no walk over a
/// value can overflow the stack.
pub const DEPTH_MAX: usize = 127;
/// Most duplicates that are reported.
const DUPLICATES_MAX: usize = 64;

/// A document and what is wrong with its keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The document; the last of equal keys won.
    pub value: Value,
    /// Paths of keys that are there more than once, such as `spec.foo`.
    pub duplicates: Vec<String>,
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Too many bytes.
    #[error("the body has {found} bytes, allowed are {allowed}")]
    TooLarge {
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// Not JSON, or nested too deeply.
    #[error("the body is not valid JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Protocol buffers that cannot be read.
    #[error("the body {0}")]
    Protobuf(#[from] ProtobufError),
    /// Neither of the two.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json, application/vnd.kubernetes.protobuf (found {0:?})"
    )]
    UnsupportedType(String),
}

/// Reads an object in the format that `Content-Type` names; empty is JSON.
pub fn body(content_type: &str, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    check_size(bytes)?;
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => json(bytes),
        protobuf::CONTENT_TYPE => {
            Ok(Decoded { value: protobuf::decode(bytes)?, duplicates: Vec::new() })
        }
        other => Err(DecodeError::UnsupportedType(other.to_owned())),
    }
}

fn check_size(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge { found: bytes.len(), allowed: BODY_BYTES_MAX });
    }
    Ok(())
}

/// Reads a JSON document.
pub fn json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    check_size(bytes)?;
    let mut reader = Reader::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Seed(&mut reader).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Decoded { value, duplicates: reader.duplicates })
}

/// Where the reader is, and what it found.
#[derive(Default)]
struct Reader {
    path: String,
    duplicates: Vec<String>,
}

impl Reader {
    fn found_again(&mut self) {
        if self.duplicates.len() < DUPLICATES_MAX {
            self.duplicates.push(self.path.clone());
        }
    }
}

/// Reads one value at the reader's place.
struct Seed<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        let outer = self.0.path.len();
        loop {
            self.0.path.push_str(&format!("[{}]", out.len()));
            let item = items.next_element_seed(Seed(self.0))?;
            self.0.path.truncate(outer);
            match item {
                Some(item) => out.push(item),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        let outer = self.0.path.len();
        while let Some(key) = entries.next_key::<String>()? {
            if outer > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            if out.contains_key(&key) {
                self.0.found_again();
            }
            let value = entries.next_value_seed(Seed(self.0))?;
            self.0.path.truncate(outer);
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_found_where_they_are() {
        let text = br#"{"a":1,"spec":{"b":[{"c":1,"c":2}],"d":1,"d":{"x":null}},"a":2.5}"#;
        let read = json(text).unwrap();
        assert_eq!(read.value, json!({"a": 2.5, "spec": {"b": [{"c": 2}], "d": {"x": null}}}));
        assert_eq!(read.duplicates, ["spec.b[0].c", "spec.d", "a"]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in ["", "{", "[1,]", "{} {}", "nul", "\u{feff}{}", "{1:2}"] {
            assert!(json(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(json(&[b'['; 100_000]).is_err());
        assert!(matches!(json(&vec![b' '; BODY_BYTES_MAX + 1]), Err(DecodeError::TooLarge { .. })));
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(json(deepest.as_bytes()).is_ok());
        assert!(json(format!("[{deepest}]").as_bytes()).is_err());
    }
}
