//! Schemas as Kubernetes wants them: "structural", that is inlined, typed and
//! without what OpenAPI 3.0 does not have.
//!
//! Kinds of ours are described by their Rust types (`schemars`, which makes JSON
//! Schema 2020-12); [`of`] turns that into a structural schema and puts the common
//! object metadata in. Other people's kinds are JSON files in `schemas/`.
//!
//! Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions",
//! section "Specifying a structural schema".

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// How deep references are followed before a schema counts as endless.
const REFERENCES_MAX: usize = 32;

/// The schema of objects of kind `T`, whose fields are `apiVersion`, `kind`,
/// `metadata` and what the kind has besides.
pub fn of<T: JsonSchema>() -> Value {
    let mut schema = of_part::<T>();
    with_object_meta(&mut schema);
    if let Some(status) = schema["properties"].get_mut("status") {
        require_nothing(status);
    }
    schema
}

/// A status is what the server observes: nobody must write any of it.
fn require_nothing(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|keyword, value| keyword != "required" || !value.is_array());
            fields.values_mut().for_each(require_nothing);
        }
        Value::Array(items) => items.iter_mut().for_each(require_nothing),
        _ => {}
    }
}

/// The schema of a part of an object, such as a specification.
pub fn of_part<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let root = generator.into_root_schema_for::<T>().to_value();
    structural(&root)
}

/// A schema of a file in `schemas/`.
///
/// # Panics
/// When the file is not JSON: it is part of the program.
pub(crate) fn of_file(text: &str) -> Value {
    let mut schema: Value = serde_json::from_str(text).expect("schemas/ holds JSON");
    with_object_meta(&mut schema);
    schema
}

/// Inlines references and takes out what OpenAPI 3.0 and Kubernetes do not know.
pub fn structural(root: &Value) -> Value {
    let empty = Map::new();
    let definitions = root.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    Convert { definitions, depth: 0 }.schema(root)
}

/// Puts `apiVersion`, `kind` and the common metadata in.
fn with_object_meta(schema: &mut Value) {
    let common = [
        ("apiVersion", json!({"type": "string", "description": API_VERSION})),
        ("kind", json!({"type": "string", "description": KIND})),
        ("metadata", object_meta()),
    ];
    for (field, described) in common {
        schema["properties"][field] = described;
    }
    schema["type"] = json!("object");
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required
            .retain(|field| !matches!(field.as_str(), Some("apiVersion" | "kind" | "metadata")));
        if required.is_empty() {
            schema.as_object_mut().expect("a schema").remove("required");
        }
    }
}

const API_VERSION: &str =
    "The API group and version in which the object is written, such as gapless.dev/v1.";
const KIND: &str = "What the object is, such as Function.";

/// The schema of every object's metadata.
pub fn object_meta() -> Value {
    serde_json::from_str(include_str!("schemas/object_meta.json")).expect("JSON")
}

/// The schema of a list's metadata.
pub fn list_meta() -> Value {
    serde_json::from_str(include_str!("schemas/list_meta.json")).expect("JSON")
}

/// The schema of what is at `field` of a value that `schema` describes.
pub(crate) fn child<'a>(schema: Option<&'a Value>, field: &str) -> Option<&'a Value> {
    let schema = schema?;
    let own = schema.get("properties").and_then(|known| known.get(field));
    own.or_else(|| schema.get("additionalProperties").filter(|others| others.is_object()))
}

struct Convert<'a> {
    definitions: &'a Map<String, Value>,
    depth: usize,
}

/// Keywords that OpenAPI 3.0 has and Kubernetes reads, with plain values.
const PLAIN: &[&str] = &[
    "type",
    "format",
    "description",
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
    "nullable",
    "example",
];

impl Convert<'_> {
    fn schema(&mut self, schema: &Value) -> Value {
        let Some(fields) = schema.as_object() else { return anything("") };
        if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
            return self.reference(name, fields);
        }
        let mut out = Map::new();
        for (key, value) in fields {
            match key.as_str() {
                "type" => set_type(&mut out, value),
                "const" => {
                    out.insert("enum".to_owned(), json!([value]));
                }
                "properties" => {
                    let known = value.as_object().into_iter().flatten();
                    let all = known.map(|(name, below)| (name.clone(), self.schema(below)));
                    out.insert(key.clone(), Value::Object(all.collect()));
                }
                "additionalProperties" if value.is_object() => {
                    out.insert(key.clone(), self.schema(value));
                }
                "additionalProperties" if *value == Value::Bool(true) => {
                    out.insert(OPEN.to_owned(), Value::Bool(true));
                }
                "items" => {
                    out.insert(key.clone(), self.schema(value));
                }
                "anyOf" | "oneOf" => self.alternatives(&mut out, value),
                _ if key.starts_with("x-kubernetes-") || PLAIN.contains(&key.as_str()) => {
                    out.insert(key.clone(), value.clone());
                }
                _ => {}
            }
        }
        finish(out)
    }

    /// What is referred to, with what stands beside the reference.
    fn reference(&mut self, name: &str, beside: &Map<String, Value>) -> Value {
        let target = name.strip_prefix("#/$defs/").and_then(|name| self.definitions.get(name));
        let Some(target) = target.filter(|_| self.depth < REFERENCES_MAX) else {
            return anything("");
        };
        let mut merged = target.as_object().cloned().unwrap_or_default();
        for (key, value) in beside.iter().filter(|(key, _)| *key != "$ref") {
            merged.insert(key.clone(), value.clone());
        }
        self.depth += 1;
        let inlined = self.schema(&Value::Object(merged));
        self.depth -= 1;
        inlined
    }

    /// Alternatives: an optional value is nullable; words are an enumeration; objects
    /// with one field each are one object; anything else is free.
    fn alternatives(&mut self, out: &mut Map<String, Value>, list: &Value) {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let is_null = |one: &&Value| one.get("type") == Some(&json!("null"));
        let others: Vec<Value> =
            list.iter().filter(|one| !is_null(one)).map(|one| self.schema(one)).collect();
        if others.len() < list.len() {
            out.insert("nullable".to_owned(), Value::Bool(true));
        }
        let is_words = |one: &Value| one.get("enum").is_some() && one["type"] == "string";
        let is_object = |one: &Value| one["type"] == "object" && one.get("properties").is_some();
        if let [only] = others.as_slice() {
            for (key, value) in only.as_object().into_iter().flatten() {
                out.entry(key.clone()).or_insert_with(|| value.clone());
            }
        } else if others.iter().all(is_words) {
            let words: Vec<Value> = others
                .iter()
                .flat_map(|one| one["enum"].as_array().cloned().unwrap_or_default())
                .collect();
            append_words(out, &others);
            out.insert("type".to_owned(), json!("string"));
            out.insert("enum".to_owned(), Value::Array(words));
        } else if others.iter().all(is_object) {
            let fields: Map<String, Value> = others
                .iter()
                .flat_map(|one| one["properties"].as_object().cloned().unwrap_or_default())
                .collect();
            out.insert("type".to_owned(), json!("object"));
            out.insert("properties".to_owned(), Value::Object(fields));
        } else {
            out.insert(OPEN.to_owned(), Value::Bool(true));
        }
    }
}

const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// Says what each word means, as the words have descriptions of their own.
fn append_words(out: &mut Map<String, Value>, words: &[Value]) {
    let mut text = out.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for word in words {
        let meaning = word.get("description").and_then(Value::as_str).unwrap_or_default();
        if let (Some(name), false) = (word["enum"][0].as_str(), meaning.is_empty()) {
            text.push_str(&format!(" {name}: {meaning}"));
        }
    }
    if !text.is_empty() {
        out.insert("description".to_owned(), Value::String(text.trim().to_owned()));
    }
}

/// `"type": ["string", "null"]` is a nullable text.
fn set_type(out: &mut Map<String, Value>, value: &Value) {
    let Some(types) = value.as_array() else {
        out.insert("type".to_owned(), value.clone());
        return;
    };
    let others: Vec<&Value> = types.iter().filter(|one| *one != "null").collect();
    if others.len() < types.len() {
        out.insert("nullable".to_owned(), Value::Bool(true));
    }
    match others.as_slice() {
        [only] => {
            out.insert("type".to_owned(), (*only).clone());
        }
        _ => {
            out.insert(OPEN.to_owned(), Value::Bool(true));
        }
    }
}

fn anything(description: &str) -> Value {
    let mut schema = json!({OPEN: true});
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
    schema
}

/// The last touches: a schema without a type is free; formats of unsigned numbers
/// are not OpenAPI's.
fn finish(mut out: Map<String, Value>) -> Value {
    if out.get("default") == Some(&Value::Null) {
        out.remove("default");
    }
    if let Some(text) = out.get("description").and_then(Value::as_str) {
        let text = plain(text);
        out.insert("description".to_owned(), Value::String(text));
    }
    let format = out.get("format").and_then(Value::as_str).unwrap_or_default().to_owned();
    if format.starts_with("uint") || format.starts_with("int") {
        let wide = format.ends_with("64") || format == "uint32" || format == "uint";
        out.insert("format".to_owned(), json!(if wide { "int64" } else { "int32" }));
    }
    if out.get("type") == Some(&json!("array")) {
        out.entry("items").or_insert_with(|| anything(""));
    }
    let is_typed = out.contains_key("type")
        || out.contains_key(OPEN)
        || out.contains_key("x-kubernetes-int-or-string");
    if !is_typed {
        out.insert(OPEN.to_owned(), Value::Bool(true));
    }
    Value::Object(out)
}

/// A doc comment as plain text: no line breaks within a paragraph, no Markdown marks.
fn plain(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(JsonSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Sample {
        api_version: String,
        metadata: Inner,
        /// A `text`
        /// on two lines.
        some: Option<Inner>,
        /// Numbers.
        list: Vec<u32>,
        map: BTreeMap<String, Inner>,
        /// Which.
        word: Word,
        free: Value,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        /// How many.
        deep: u64,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Word {
        /// The first.
        One,
        /// The other.
        Two,
    }

    #[test]
    fn our_types_become_structural() {
        let schema = of::<Sample>();
        let text = schema.to_string();
        for gone in ["$ref", "$defs", "$schema", "anyOf", "oneOf", "uint"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        let fields = &schema["properties"];
        assert_eq!(fields["some"]["description"], "A text on two lines.");
        assert_eq!(fields["some"]["properties"]["deep"]["type"], "integer");
        assert_eq!(fields["map"]["additionalProperties"]["properties"]["deep"]["format"], "int64");
        assert_eq!(fields["word"]["enum"], json!(["one", "two"]));
        assert_eq!(fields["word"]["description"], "Which. one: The first. two: The other.");
        assert_eq!(fields["free"][OPEN], true);
        assert_eq!(fields["metadata"]["properties"]["labels"]["type"], "object");
        assert!(!schema["required"].as_array().unwrap().contains(&json!("metadata")));
    }

    #[test]
    fn every_part_of_every_schema_has_a_type() {
        for kind in crate::kinds::ALL {
            check((kind.schema)(), kind.kind);
        }
        check(of::<Sample>(), "Sample");
    }

    fn check(schema: Value, path: &str) {
        let is_typed = ["type", OPEN, "x-kubernetes-int-or-string"]
            .iter()
            .any(|keyword| schema.get(keyword).is_some());
        assert!(is_typed, "{path}: {schema}");
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            check(below.clone(), &format!("{path}.{name}"));
        }
        for keyword in ["items", "additionalProperties"] {
            if schema.get(keyword).is_some() {
                check(schema[keyword].clone(), &format!("{path}.{keyword}"));
            }
        }
    }
}
