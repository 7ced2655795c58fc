//! JSON: one or many values, no key twice.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{DEPTH_MAX, Place, ReadError};

const HELP: &str = "mind the commas, the brackets and the double quotes around keys and text";

pub(crate) fn read(text: &str) -> Result<Vec<Value>, ReadError> {
    let mut documents = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Unique>() {
        match value {
            Ok(Unique(Value::Null)) => {}
            Ok(Unique(value)) => documents.push(value),
            Err(error) => return Err(told(&error)),
        }
    }
    match documents.iter().any(|value| depth(value) > DEPTH_MAX) {
        true => Err(too_deep()),
        false => Ok(documents),
    }
}

/// Nested deeper than is read.
pub(crate) fn too_deep() -> ReadError {
    ReadError::new(format!("it is nested deeper than {DEPTH_MAX} levels"), "flatten it")
}

/// Recursion is bounded by the parser, which reads 128 levels.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn told(error: &serde_json::Error) -> ReadError {
    let message = error.to_string();
    if message.starts_with("recursion limit") {
        return too_deep();
    }
    let help = if message.contains("there twice") { "remove one of the two" } else { HELP };
    let end = message.rfind(" at line ").unwrap_or(message.len());
    let place = Place { line: error.line() as u64, column: error.column().max(1) as u64 };
    ReadError { place: Some(place), ..ReadError::new(&message[..end], help) }
}

/// A value in which no key is twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} is there twice")));
            }
            let Unique(value) = map.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
