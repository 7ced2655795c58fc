//! Core kinds as protocol buffers: since 1.32 `kubectl create namespace`, `create
//! secret` and `create configmap` send nothing else, whatever the server says it takes.
//!
//! Only requests are read; answers are JSON, which every client accepts. Which field
//! has which number is in tables, one per message, and what a table does not name is
//! left out, as a JSON client of an older version would.
//!
//! Source: Kubernetes API concepts, "Kubernetes Protobuf encoding"; `generated.proto`
//! of `k8s.io/apimachinery` (`runtime`, `meta/v1`) and of `k8s.io/api` (`core/v1`).

mod tables;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use tables::{ENVELOPE, Field, Kind, table};

/// The content type.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every document begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// It does not begin as it must.
    #[error("does not begin with k8s and a zero byte")]
    Magic,
    /// It ends too early, or a length or number in it is wrong.
    #[error("is cut off or damaged")]
    Damaged,
    /// A kind that has no table here.
    #[error("is of a kind that can only be sent as JSON")]
    UnknownKind,
}

/// Reads a document.
pub fn decode(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let envelope = message(bytes, ENVELOPE)?;
    let text = |name: &str| envelope["typeMeta"][name].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let table = table(&api_version, &kind).ok_or(ProtobufError::UnknownKind)?;
    let mut object = json!({});
    let mut reader = Reader(bytes);
    while let Some((number, part)) = reader.next()? {
        if let (2, Part::Bytes(raw)) = (number, part) {
            object = message(raw, table)?;
        }
    }
    object["apiVersion"] = Value::String(api_version);
    object["kind"] = Value::String(kind);
    Ok(object)
}

/// A field's value on the wire.
enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(u64, Part<'a>)>, ProtobufError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let part = match tag & 7 {
            0 => Part::Number(self.varint()?),
            1 => Part::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Part::Bytes(self.take(length)?)
            }
            5 => Part::Bytes(self.take(4)?),
            _ => return Err(ProtobufError::Damaged),
        };
        Ok(Some((tag >> 3, part)))
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ProtobufError::Damaged)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ProtobufError::Damaged)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], ProtobufError> {
        let length = usize::try_from(length).map_err(|_| ProtobufError::Damaged)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn message(bytes: &[u8], table: &[Field]) -> Result<Value, ProtobufError> {
    let mut out = Map::new();
    let mut reader = Reader(bytes);
    while let Some((number, part)) = reader.next()? {
        let Some(field) = table.iter().find(|field| field.number == number) else { continue };
        match part {
            Part::Number(number) => set_number(&mut out, field, number),
            Part::Bytes(bytes) => set_bytes(&mut out, field, bytes)?,
        }
    }
    Ok(Value::Object(out))
}

fn set_number(out: &mut Map<String, Value>, field: &Field, number: u64) {
    let value = match field.kind {
        Kind::Flag => Value::Bool(number != 0),
        Kind::OptionalNumber => json!(number as i64),
        Kind::Number if number != 0 => json!(number as i64),
        _ => return,
    };
    out.insert(field.name.to_owned(), value);
}

fn set_bytes(
    out: &mut Map<String, Value>,
    field: &Field,
    bytes: &[u8],
) -> Result<(), ProtobufError> {
    let value = match field.kind {
        Kind::Text if bytes.is_empty() => return Ok(()),
        Kind::Text => text(bytes)?,
        Kind::Time => match time(bytes)? {
            Some(time) => Value::String(time),
            None => return Ok(()),
        },
        Kind::Json => {
            let raw = entry(bytes)?.0;
            serde_json::from_slice(raw).map_err(|_| ProtobufError::Damaged)?
        }
        Kind::One(table) => message(bytes, table)?,
        Kind::Texts => return push(out, field, text(bytes)?),
        Kind::Many(table) => return push(out, field, message(bytes, table)?),
        Kind::TextMap | Kind::BytesMap => {
            let (key, value) = entry(bytes)?;
            let key = std::str::from_utf8(key).map_err(|_| ProtobufError::Damaged)?;
            let value = match field.kind {
                Kind::TextMap => text(value)?,
                _ => Value::String(STANDARD.encode(value)),
            };
            let map = out.entry(field.name).or_insert_with(|| json!({}));
            map[key] = value;
            return Ok(());
        }
        Kind::Number | Kind::OptionalNumber | Kind::Flag => return Err(ProtobufError::Damaged),
    };
    out.insert(field.name.to_owned(), value);
    Ok(())
}

fn push(out: &mut Map<String, Value>, field: &Field, value: Value) -> Result<(), ProtobufError> {
    let list = out.entry(field.name).or_insert_with(|| json!([]));
    list.as_array_mut().ok_or(ProtobufError::Damaged)?.push(value);
    Ok(())
}

fn text(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProtobufError::Damaged)?;
    Ok(Value::String(text.to_owned()))
}

/// The first two fields of a message, as bytes: a map's entry.
fn entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader(bytes);
    while let Some((number, part)) = reader.next()? {
        match (number, part) {
            (1, Part::Bytes(bytes)) => key = bytes,
            (2, Part::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A time as RFC 3339; `None` when it is not set.
fn time(bytes: &[u8]) -> Result<Option<String>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader(bytes);
    while let Some((number, part)) = reader.next()? {
        match (number, part) {
            (1, Part::Number(number)) => seconds = number as i64,
            (2, Part::Number(number)) => nanos = number as i32,
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Damaged)?;
    Ok(Some(time.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let tag = u16::from(field) << 3 | 2;
        match u8::try_from(tag).ok().filter(|tag| *tag < 0x80) {
            Some(tag) => [&[tag, length], content].concat(),
            None => [&[tag as u8 | 0x80, (tag >> 7) as u8, length], content].concat(),
        }
    }

    fn document(kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &meta), &bytes(2, raw), &bytes(3, b""), &bytes(4, b"")].concat()
    }

    #[test]
    fn a_secret_is_read() {
        let label = [bytes(1, b"app"), bytes(2, b"x")].concat();
        // As Go writes it: what is not set is there and empty.
        let meta =
            [bytes(1, b"s"), bytes(2, b""), vec![7 << 3, 0], bytes(8, b""), bytes(11, &label)];
        let entry = [bytes(1, b"k"), bytes(2, &[0xff, 0, 1, 2])].concat();
        let raw =
            [bytes(1, &meta.concat()), bytes(2, &entry), bytes(3, b"Opaque"), vec![5 << 3, 1]];
        let read = decode(&document("Secret", &raw.concat())).unwrap();
        assert_eq!(
            read,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
                "metadata": {"name": "s", "labels": {"app": "x"}}, "data": {"k": "/wABAg=="},
            })
        );
    }

    #[test]
    fn times_lists_and_records_are_read() {
        let record = [bytes(1, b"m"), bytes(7, &bytes(1, br#"{"f:data":{}}"#))].concat();
        let time = [1 << 3, 60, 2 << 3, 0];
        let meta = [bytes(14, b"a"), bytes(14, b"b"), bytes(8, &time), bytes(17, &record)].concat();
        let read = decode(&document("ConfigMap", &bytes(1, &meta))).unwrap();
        assert_eq!(
            read["metadata"],
            json!({
                "finalizers": ["a", "b"], "creationTimestamp": "1970-01-01T00:01:00Z",
                "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {}}}],
            })
        );
    }

    #[test]
    fn what_is_damaged_is_refused() {
        assert_eq!(decode(b"{}"), Err(ProtobufError::Magic));
        assert_eq!(decode(&document("Pod", b"")), Err(ProtobufError::UnknownKind));
        let whole = document("Namespace", &bytes(1, &bytes(1, b"name")));
        assert_eq!(decode(&whole).unwrap()["metadata"]["name"], "name");
        for end in 0..whole.len() - 4 {
            assert_ne!(decode(&whole[..end]), decode(&whole), "{end}");
        }
        for bad in [&[0xff; 12][..], &[8 << 3 | 3], &[2 << 3 | 2, 0xff, 0xff, 0xff, 0x7f]] {
            let bytes = document("Namespace", &[]);
            assert!(decode(&[&bytes, bad].concat()).is_err(), "{bad:?}");
        }
    }
}
