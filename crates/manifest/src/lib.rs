//! Reads declarations as people and tools write them: YAML or JSON, many documents in a
//! file, lists of objects. For files of the CLI and for bodies of the API alike, so that
//! both accept the same and say the same.
//!
//! It knows no kinds: what a document declares is checked by who knows its kind, and those
//! checks name fields by path. [`Source::place`] tells where in the text a path is, by
//! reading it a second time with positions, and only when something is wrong.
//!
//! What always holds: reading is bounded, whatever the text: in bytes, depth, nodes and
//! what aliases expand to. A key that is there twice is an error, never the last one.

mod json;
mod tree;
mod words;
mod yaml;

use std::fmt;

use gapless_types::FieldError;
use serde_json::Value;

/// Largest text that is read.
pub const BYTES_MAX: usize = 4 << 20;
/// Most objects in one text.
pub const OBJECTS_MAX: usize = 10_000;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON when it begins like it, otherwise YAML.
    #[default]
    Either,
    /// YAML 1.2, one or many documents.
    Yaml,
    /// JSON, one or many values.
    Json,
}

impl Format {
    /// The format that a `Content-Type` names; `None` for one that is neither.
    pub fn of_content_type(content_type: &str) -> Option<Format> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        match essence.as_str() {
            "" => Some(Format::Either),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
                Some(Format::Yaml)
            }
            _ if essence == "application/json" || essence.ends_with("+json") => Some(Format::Json),
            _ if essence.ends_with("+yaml") => Some(Format::Yaml),
            _ => None,
        }
    }
}

/// A line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a text is not a manifest at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Where, as far as is known.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

impl ReadError {
    fn new(message: impl Into<String>, help: &'static str) -> Self {
        ReadError { place: None, message: message.into(), help }
    }
}

/// An object that a text declares, not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// The object.
    pub value: Value,
    /// In which document, from 0.
    document: usize,
    /// Where it begins in its document: empty, or `items[3].` in a list.
    prefix: String,
}

/// A text that was read.
#[derive(Debug)]
pub struct Source {
    text: String,
    objects: Vec<Declared>,
}

/// Reads a text.
///
/// ```
/// let source = gapless_manifest::read(b"kind: A\n---\nkind: B\n", Default::default()).unwrap();
/// let kinds: Vec<_> = source.objects().iter().map(|object| &object.value["kind"]).collect();
/// assert_eq!(kinds, ["A", "B"]);
/// ```
pub fn read(bytes: &[u8], format: Format) -> Result<Source, ReadError> {
    if bytes.len() > BYTES_MAX {
        let message = format!("it has {} bytes, allowed are {BYTES_MAX}", bytes.len());
        return Err(ReadError::new(message, "split it, and deploy code with `gapless deploy`"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("it is not text: byte {} is not UTF-8", error.valid_up_to());
        let place = Some(place_of(&bytes[..error.valid_up_to()]));
        ReadError { place, ..ReadError::new(message, "save it as UTF-8") }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = match format {
        Format::Yaml => yaml::read(text),
        Format::Json => json::read(text),
        Format::Either if !text.trim_start().starts_with(['{', '[']) => yaml::read(text),
        // A flow mapping of YAML begins like JSON.
        Format::Either => json::read(text).or_else(|wrong| yaml::read(text).map_err(|_| wrong)),
    }?;
    let mut objects = Vec::new();
    for (document, value) in documents.into_iter().enumerate() {
        expand(value, document, &mut objects);
    }
    if objects.len() > OBJECTS_MAX {
        let message = format!("it holds {} objects, allowed are {OBJECTS_MAX}", objects.len());
        return Err(ReadError::new(message, "split it"));
    }
    Ok(Source { text: text.to_owned(), objects })
}

/// Takes the objects out of a `List`, as `kubectl get -o yaml` writes one.
fn expand(mut value: Value, document: usize, objects: &mut Vec<Declared>) {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items").filter(|items| is_list && items.is_array()) {
        Some(Value::Array(items)) => {
            let items = std::mem::take(items).into_iter().enumerate();
            objects.extend(items.map(|(index, value)| Declared {
                value,
                document,
                prefix: format!("items[{index}]."),
            }));
        }
        _ => objects.push(Declared { value, document, prefix: String::new() }),
    }
}

fn place_of(before: &[u8]) -> Place {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let characters = String::from_utf8_lossy(&before[line_start..]).chars().count();
    Place { line: lines as u64 + 1, column: characters as u64 + 1 }
}

impl Source {
    /// What it declares, in order.
    pub fn objects(&self) -> &[Declared] {
        &self.objects
    }

    /// What it declares, in order, to be changed.
    pub fn objects_mut(&mut self) -> &mut [Declared] {
        &mut self.objects
    }

    /// Where the field `path` of an object is; its nearest parent when it is absent.
    pub fn place(&self, object: &Declared, path: &str) -> Option<Place> {
        let path = format!("{}{path}", object.prefix);
        yaml::places(&self.text)?.get(object.document)?.find(path.trim_end_matches('.'))
    }

    /// Tells an error as `NAME:LINE:COLUMN: PATH: MESSAGE`.
    pub fn describe(&self, name: &str, object: &Declared, error: &FieldError) -> String {
        let place = self.place(object, &error.path);
        let place = place.map_or_else(String::new, |place| format!(":{place}"));
        let field = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        format!("{name}{place}: {field}{}", error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, path: &str) -> Option<String> {
        let source = read(text.as_bytes(), Format::Either).unwrap();
        source.place(&source.objects()[source.objects().len() - 1], path).map(|p| p.to_string())
    }

    #[test]
    fn documents_lists_and_json_are_read_alike() {
        for text in [
            "kind: A\n---\nkind: B\n",
            "---\n# nothing but a remark\n---\nkind: A\n---\n---\nkind: B\n...\n",
            "kind: List\nitems:\n- kind: A\n- kind: B\n",
            "{\"kind\": \"FunctionList\", \"items\": [{\"kind\": \"A\"}, {\"kind\": \"B\"}]}",
            "{\"kind\": \"A\"}\n{\"kind\":\t\"B\"}",
            "\u{feff}{kind: A}\n---\n{kind: B}\n",
        ] {
            let source = read(text.as_bytes(), Format::Either).unwrap();
            let kinds: Vec<_> = source.objects().iter().map(|o| o.value["kind"].clone()).collect();
            assert_eq!(kinds, ["A", "B"], "{text}");
        }
        assert!(read(b"", Format::Either).unwrap().objects().is_empty());
    }

    #[test]
    fn a_field_has_its_place_in_every_form() {
        let two = "kind: A\n---\nkind: B\nspec:\n  env: {X: 1}\n";
        assert_eq!(at(two, "spec.env.X").unwrap(), "5:9");
        assert_eq!(at(two, "spec.scale.max").unwrap(), "4:1", "the nearest parent");
        let list = "kind: List\nitems:\n- kind: A\n- kind: B\n  spec: {a: [1, 2]}\n";
        assert_eq!(at(list, "spec.a[1]").unwrap(), "5:17");
        let json = "{\"kind\": \"A\",\n \"spec\": {\"files\": {\"a.json\": 3}}}";
        assert_eq!(at(json, "spec.files.a.json").unwrap(), "2:21", "a key with a dot");
        let tabs = "{\n\t\"kind\": \"A\",\n\t\"spec\": {}}";
        assert_eq!(at(tabs, "spec").unwrap(), "3:2");
    }

    #[test]
    fn what_looks_like_a_truth_stays_the_text_it_is() {
        let source = read(b"a: yes\nb: no\nc: true\nd: on", Format::Yaml).unwrap();
        assert_eq!(
            source.objects()[0].value,
            serde_json::json!({"a": "yes", "b": "no", "c": true, "d": "on"})
        );
    }

    #[test]
    fn content_types_name_a_format() {
        assert_eq!(Format::of_content_type("application/yaml; charset=utf-8"), Some(Format::Yaml));
        assert_eq!(Format::of_content_type("application/apply-patch+yaml"), Some(Format::Yaml));
        assert_eq!(Format::of_content_type("application/merge-patch+json"), Some(Format::Json));
        assert_eq!(Format::of_content_type("application/vnd.kubernetes.protobuf"), None);
    }
}
