//! What is fuzzed: anything a client sends. Nothing may panic, overflow the stack or
//! make a document that cannot be read again, whatever the bytes.

#![allow(dead_code, reason = "each target uses one of the two")]

use std::sync::LazyLock;

use gapless_objects::apply;
use gapless_objects::decode::{self, BODY_BYTES_MAX};
use gapless_objects::fieldset::FieldSet;
use gapless_objects::kinds::{self, CONFIG_MAP, KNATIVE_SERVICE};
use gapless_objects::managed::{self, Writer};
use gapless_objects::meta::{self, NameRule};
use gapless_objects::patch::{Patch, PatchType};
use gapless_objects::selector::{FieldSelector, LabelSelector};
use gapless_objects::{fields, negotiate, protobuf};
use serde_json::Value;

/// Schemas take longer to read than most inputs.
static SCHEMAS: LazyLock<Vec<Value>> =
    LazyLock::new(|| kinds::ALL.iter().map(|kind| (kind.schema)()).collect());

/// The schema of the kind called `name`.
fn schema_of(name: &str) -> &'static Value {
    let place = kinds::ALL.iter().position(|kind| kind.kind == name).expect("a kind of ours");
    &SCHEMAS[place]
}

/// Bytes as a document, a selector, a header.
pub(crate) fn decode(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = LabelSelector::parse(text);
        let _ = FieldSelector::parse(text, &kinds::EVENT);
        let _ = negotiate::objects(text);
        let _ = fields::warning_header(text);
        let _ = meta::generated_name(text, "x7k2p");
    }
    let _ = protobuf::decode(bytes);
    let _ = protobuf::decode(&[b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret", bytes].concat());
    let Ok(read) = decode::json(bytes) else { return };
    for schema in SCHEMAS.iter() {
        let mut pruned = read.value.clone();
        fields::prune(&mut pruned, schema);
        assert_eq!(fields::unknown(&pruned, schema), []);
    }
    for rule in [NameRule::Label, NameRule::Subdomain] {
        let _ = meta::check(&read.value, rule, true);
    }
    if let Ok(set) = FieldSet::decode(&read.value) {
        assert_eq!(FieldSet::decode(&set.encode()), Ok(set));
    }
}

/// A kind of patch, a document, NUL, and what to do with it. Tells whether it was done.
pub(crate) fn patch(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    let Some(middle) = rest.iter().position(|byte| *byte == 0) else { return false };
    let (document, change) = (&rest[..middle], &rest[middle + 1..]);
    let Ok(document) = decode::json(document) else { return false };
    if !document.value.is_object() {
        return false;
    }
    let (kind, descriptor) = match kind % 4 {
        0 => (PatchType::Json, &CONFIG_MAP),
        1 => (PatchType::Merge, &CONFIG_MAP),
        2 => (PatchType::Strategic, &CONFIG_MAP),
        _ => return apply_to(&document.value, change),
    };
    let Ok(patch) = Patch::parse(kind, change) else { return false };
    let schema = schema_of(descriptor.kind);
    let Ok(result) = patch.apply(descriptor, schema, &document.value) else { return false };
    check(&result);
    true
}

fn apply_to(live: &Value, config: &[u8]) -> bool {
    let Ok(config) = decode::json(config) else { return false };
    let schema = schema_of(KNATIVE_SERVICE.kind);
    let by = Writer { manager: "fuzz", api_version: "v1", subresource: "" };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut is_done = false;
    if let Ok(result) = apply::apply(schema, live, &config.value, by, true, now) {
        check(&result);
        is_done = true;
        let again = apply::apply(schema, &result, &config.value, by, false, now);
        assert_eq!(again.as_ref(), Ok(&result));
    }
    if config.value.is_object() {
        let mut new = config.value;
        if managed::track(schema, live, &mut new, by, now).is_ok() {
            let once = new.clone();
            managed::track(schema, &once, &mut new, by, now).expect("it was possible");
            assert_eq!(new, once);
        }
    }
    is_done
}

/// It can be read again, unless it is too large.
fn check(result: &Value) {
    let text = result.to_string();
    assert!(text.len() > BODY_BYTES_MAX || decode::json(text.as_bytes()).is_ok());
}
