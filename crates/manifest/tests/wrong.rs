//! What is told of wrong manifests: `wrong.txt` has the texts and, under each, the exact
//! errors. Blocks are separated by `=== WHAT IS WRONG`; in a block, what follows `---->` is
//! what is told, a line each.
//!
//! `TELL=1 cargo test -p gapless-manifest --test wrong -- --nocapture` prints the file as
//! the errors are now, to be read before it is kept.

use std::fmt::Write as _;

use gapless_api::PlacementProfile;
use gapless_manifest::{Declared, Format, ReadError, read};
use gapless_secret::{Sealer, admit_config_map, admit_secret};
use gapless_types::{FieldError, Function, nearest};
use serde_json::Value;

const TABLE: &str = include_str!("wrong.txt");
const KINDS: [&str; 5] = ["Function", "Service", "Secret", "ConfigMap", "PlacementProfile"];

/// Checks an object as every entry does.
fn check(object: &Declared) -> Vec<FieldError> {
    let mut value = object.value.clone();
    match value["kind"].as_str() {
        Some("Function") => Function::from_value(value).err().unwrap_or_default(),
        Some("Service") => gapless_knative::to_function(&value).err().unwrap_or_default(),
        Some("PlacementProfile") => PlacementProfile::from_value(value).err().unwrap_or_default(),
        Some("Secret") => {
            let sealer = Sealer::ephemeral();
            admit_secret(&mut value, None, &sealer).err().unwrap_or_default()
        }
        Some("ConfigMap") => admit_config_map(&mut value, None).err().unwrap_or_default(),
        Some(kind) => {
            let hint = nearest(kind, &KINDS);
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            vec![FieldError::new("kind", format!("there is no kind {kind:?}{hint}"))]
        }
        None => vec![FieldError::new("kind", "is missing")],
    }
}

/// Everything that is told of a text.
fn told(text: &[u8]) -> Vec<String> {
    let source = match read(text, Format::Either) {
        Ok(source) => source,
        Err(ReadError { place, message, help }) => {
            let place = place.map_or_else(String::new, |place| format!(":{place}"));
            return vec![format!("FILE{place}: {message} (help: {help})")];
        }
    };
    let objects = source.objects().iter();
    objects
        .flat_map(|object| {
            let errors = check(object).into_iter();
            errors.map(|error| source.describe("FILE", object, &error)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_wrong_manifest_is_told_exactly() {
    let (mut wrong, mut now) = (Vec::new(), String::new());
    let blocks: Vec<&str> = TABLE.split("=== ").skip(1).collect();
    assert!(blocks.len() >= 60, "{} blocks", blocks.len());
    for block in blocks {
        let (title, rest) = block.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("---->\n").unwrap_or((rest, ""));
        let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
        let found = told(text.as_bytes());
        let _ = write!(now, "=== {title}\n{text}---->\n{}\n\n", found.join("\n"));
        if found.is_empty() || found != expected {
            wrong.push(format!("{title}\n  told:     {found:#?}\n  expected: {expected:#?}"));
        }
    }
    if std::env::var_os("TELL").is_some() {
        print!("{now}");
    }
    assert!(wrong.is_empty(), "{} of the table:\n{}", wrong.len(), wrong.join("\n"));
}

fn only(text: &[u8]) -> String {
    let told = told(text);
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

#[test]
fn a_text_that_is_no_text_is_told_by_byte() {
    let error = only(b"kind: Function\nname: \xff\xfe\n");
    assert_eq!(error, "FILE:2:7: it is not text: byte 21 is not UTF-8 (help: save it as UTF-8)");
}

#[test]
fn a_text_too_large_is_not_read() {
    let error = only(&vec![b' '; gapless_manifest::BYTES_MAX + 1]);
    assert!(error.starts_with("FILE: it has 4194305 bytes, allowed are 4194304"), "{error}");
}

#[test]
fn nesting_is_bounded_in_every_form() {
    for text in [
        format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)),
        format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        format!("a: {}{}", "[".repeat(100), "]".repeat(100)),
        (0..100).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n"),
    ] {
        let error = only(text.as_bytes());
        assert!(error.contains("nested deeper than 64 levels"), "{error}");
    }
}

#[test]
fn aliases_that_expand_to_too_much_are_not_expanded() {
    // "A billion laughs": each line holds ten of the one before.
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let ten = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{ten}]");
    }
    let error = only(text.as_bytes());
    assert!(error.contains("expand to too much"), "{error}");
}

#[test]
fn many_documents_are_bounded() {
    let error = only("kind: A\n---\n".repeat(10_001).as_bytes());
    assert!(error.contains("split it"), "{error}");
}

#[test]
fn an_object_without_kind_is_told() {
    assert_eq!(only(b"{\"metadata\": {}}"), "FILE: kind: is missing");
    let value: Value = serde_json::json!({"kind": "Functoin"});
    assert_eq!(
        only(value.to_string().as_bytes()),
        "FILE:1:2: kind: there is no kind \"Functoin\"; did you mean Function?"
    );
}
