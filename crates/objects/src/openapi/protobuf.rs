//! OpenAPI version 2 as protocol buffers: the message `openapi.v2.Document` of
//! gnostic, which kubectl up to 1.23 reads and nothing else.
//!
//! The document is small and its form simple, so it is encoded here, field by field,
//! from the JSON document: messages for a library would be ten times this file.
//!
//! Source: `openapiv2/OpenAPIv2.proto` of gnostic-models (the field numbers), and the
//! protocol buffers encoding guide.

use serde_json::Value;

/// The bytes of one message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text; an empty one is left out, as it is the default.
    fn text(&mut self, field: u32, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u32, value: Option<&Value>) {
        for text in value.and_then(Value::as_array).into_iter().flatten() {
            self.bytes(field, text.as_str().unwrap_or_default().as_bytes());
        }
    }

    fn flag(&mut self, field: u32, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.varint(u64::from(field) << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u32, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_i64).filter(|number| *number != 0) {
            self.varint(u64::from(field) << 3);
            self.varint(number as u64);
        }
    }

    fn double(&mut self, field: u32, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_f64).filter(|number| *number != 0.0) {
            self.varint(u64::from(field) << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }
}

/// The document as the message `Document`.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, document["info"].get("title"));
    info.text(2, document["info"].get("version"));
    let mut paths = Message::default();
    for (path, item) in entries(document.get("paths")) {
        paths.message(2, &named(path, &path_item(item)));
    }
    let mut out = Message::default();
    out.text(1, document.get("swagger"));
    out.message(2, &info);
    out.message(8, &paths);
    out.message(9, &named_schemas(document.get("definitions")));
    out.0
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.and_then(Value::as_object).into_iter().flatten()
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

/// A name and a value: `NamedSchema`, `NamedPathItem`, `NamedAny` and so on.
fn named(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

/// `Definitions` and `Properties`: both are lists of named schemas.
fn named_schemas(map: Option<&Value>) -> Message {
    let mut out = Message::default();
    for (name, value) in entries(map) {
        out.message(1, &named(name, &schema(value)));
    }
    out
}

/// `Any`: a value as YAML, of which JSON is a part.
fn any(value: &Value) -> Message {
    let mut out = Message::default();
    out.bytes(2, format!("{value}\n").as_bytes());
    out
}

/// The fields that begin with `x-`.
fn extensions(out: &mut Message, field: u32, object: &Value) {
    for (name, value) in entries(Some(object)).filter(|(name, _)| name.starts_with("x-")) {
        out.message(field, &named(name, &any(value)));
    }
}

fn schema(value: &Value) -> Message {
    let get = |name: &str| value.get(name);
    let mut out = Message::default();
    out.text(1, get("$ref"));
    out.text(2, get("format"));
    out.text(4, get("description"));
    if let Some(default) = get("default") {
        out.message(5, &any(default));
    }
    out.double(7, get("maximum"));
    out.double(9, get("minimum"));
    out.integer(11, get("maxLength"));
    out.integer(12, get("minLength"));
    out.text(13, get("pattern"));
    out.integer(14, get("maxItems"));
    out.integer(15, get("minItems"));
    out.texts(19, get("required"));
    for word in items(get("enum")) {
        out.message(20, &any(word));
    }
    if let Some(others) = get("additionalProperties").filter(|others| others.is_object()) {
        let mut item = Message::default();
        item.message(1, &schema(others));
        out.message(21, &item);
    }
    if let Some(Value::String(kind)) = get("type") {
        let mut item = Message::default();
        item.bytes(1, kind.as_bytes());
        out.message(22, &item);
    }
    if let Some(below) = get("items") {
        let mut item = Message::default();
        item.message(1, &schema(below));
        out.message(23, &item);
    }
    if get("properties").is_some() {
        out.message(25, &named_schemas(get("properties")));
    }
    extensions(&mut out, 31, value);
    out
}

fn path_item(value: &Value) -> Message {
    let mut out = Message::default();
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(found) = value.get(method) {
            out.message(field, &operation(found));
        }
    }
    for found in items(value.get("parameters")) {
        out.message(9, &parameter(found));
    }
    out
}

fn operation(value: &Value) -> Message {
    let get = |name: &str| value.get(name);
    let mut out = Message::default();
    out.text(3, get("description"));
    out.text(5, get("operationId"));
    out.texts(6, get("produces"));
    out.texts(7, get("consumes"));
    for found in items(get("parameters")) {
        out.message(8, &parameter(found));
    }
    let mut responses = Message::default();
    for (code, found) in entries(get("responses")) {
        responses.message(1, &named(code, &response(found)));
    }
    out.message(9, &responses);
    extensions(&mut out, 13, value);
    out
}

/// `ResponseValue` with a `Response` whose `SchemaItem` is a `Schema`.
fn response(value: &Value) -> Message {
    let mut response = Message::default();
    response.text(1, value.get("description"));
    if let Some(found) = value.get("schema") {
        let mut item = Message::default();
        item.message(1, &schema(found));
        response.message(2, &item);
    }
    let mut out = Message::default();
    out.message(1, &response);
    out
}

/// `ParametersItem` with a `Parameter`, which is one of body, query and path.
fn parameter(value: &Value) -> Message {
    let get = |name: &str| value.get(name);
    let place = get("in").and_then(Value::as_str).unwrap_or_default();
    let mut parameter = Message::default();
    if place == "body" {
        let mut body = Message::default();
        body.text(1, get("description"));
        body.text(2, get("name"));
        body.text(3, get("in"));
        body.flag(4, get("required"));
        body.message(5, &get("schema").map(schema).unwrap_or_default());
        parameter.message(1, &body);
    } else {
        let mut sub = Message::default();
        sub.flag(1, get("required"));
        sub.text(2, get("in"));
        sub.text(3, get("description"));
        sub.text(4, get("name"));
        // From here the numbers of query and path parameters differ by one.
        sub.text(if place == "query" { 6 } else { 5 }, get("type"));
        if place == "query" {
            sub.flag(20, get("uniqueItems"));
        }
        let mut non_body = Message::default();
        non_body.message(if place == "query" { 3 } else { 4 }, &sub);
        parameter.message(2, &non_body);
    }
    let mut out = Message::default();
    out.message(1, &parameter);
    out
}
