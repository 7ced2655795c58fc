//! Reads a declared object and tells everything that is wrong with its shape, not
//! only the first thing.
//!
//! The field that could not be read is told, taken out (or replaced by a stand-in
//! where it is required), and the rest is read again, a bounded number of times. So
//! every error is one a person made: what follows from another is left out.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::{Path, Segment};

use super::words;
use crate::FieldError;

/// Most errors that are told at a time.
const ERRORS_MAX: usize = 32;

/// What came of reading an object.
#[derive(Clone, Debug)]
pub struct Reading<T> {
    /// The object. Where there are errors, what could be read of it.
    pub object: Option<T>,
    /// Everything that is wrong with its shape.
    pub errors: Vec<FieldError>,
}

impl<T> Reading<T> {
    /// The object when nothing is wrong with it, `check`'s findings included. Those that
    /// only follow from an error of shape are left out.
    pub fn finish(self, check: impl FnOnce(&T) -> Vec<FieldError>) -> Result<T, Vec<FieldError>> {
        let Reading { object, mut errors } = self;
        let Some(object) = object else { return Err(errors) };
        let shape = errors.len();
        for found in check(&object) {
            let follows = errors[..shape].iter().any(|error| is_within(&error.path, &found.path));
            if !follows {
                errors.push(found);
            }
        }
        if errors.is_empty() { Ok(object) } else { Err(errors) }
    }
}

/// Whether one of the two paths holds the other.
fn is_within(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Reads an object of the declared API: unknown fields, missing ones and wrong types
/// are errors, all of them told.
pub fn read_object<T: DeserializeOwned>(mut value: Value) -> Reading<T> {
    let mut errors: Vec<FieldError> = Vec::new();
    while errors.len() < ERRORS_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(object) => return Reading { object: Some(object), errors },
            Err(error) => error,
        };
        let text = error.inner().to_string();
        let told = words::explain(&shown(error.path()), &text);
        let follows = errors.iter().any(|earlier| is_within(&earlier.path, &told.path));
        let mended = match &told.kind {
            words::Kind::Unknown(name) => {
                // The path ends at the field itself or at what holds it.
                let holder = holder(error.path(), name);
                at(&mut value, &holder)
                    .and_then(Value::as_object_mut)
                    .and_then(|map| map.remove(name))
                    .is_some()
            }
            // Where nothing can stand in, what is incomplete goes.
            words::Kind::Missing(name) => {
                stand_in(&mut value, error.path(), name) || take_out(&mut value, error.path())
            }
            words::Kind::Wrong => take_out(&mut value, error.path()),
        };
        if !follows {
            errors.push(FieldError::new(told.path, told.message));
        }
        if !mended {
            break;
        }
    }
    Reading { object: None, errors }
}

fn shown(path: &Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { path }
}

fn holder<'a>(path: &'a Path, name: &str) -> Vec<&'a Segment> {
    let mut segments: Vec<&Segment> = path.iter().collect();
    if matches!(segments.last(), Some(Segment::Map { key }) if key == name) {
        segments.pop();
    }
    segments
}

fn at<'a>(value: &'a mut Value, path: &[&Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Map { key } => value.get_mut(key),
        Segment::Seq { index } => value.get_mut(index),
        // The variant of an enum that is a mapping, or of one that is a word.
        Segment::Enum { .. } | Segment::Unknown => Some(value),
    })
}

/// Takes out the innermost field of a mapping on the path.
fn take_out(value: &mut Value, path: &Path) -> bool {
    let segments: Vec<&Segment> = path.iter().collect();
    for (index, segment) in segments.iter().enumerate().rev() {
        if let Segment::Map { key } = segment {
            let holder = at(value, &segments[..index]).and_then(Value::as_object_mut);
            return holder.is_some_and(|map| map.remove(key).is_some());
        }
    }
    false
}

/// Puts something readable in the place of a required field.
fn stand_in(value: &mut Value, path: &Path, name: &str) -> bool {
    let stand_in = match (shown(path).as_str(), name) {
        ("", "apiVersion" | "kind") | ("metadata", "name") => json!("x"),
        ("", "metadata") => json!({"name": "x"}),
        ("", "spec") => json!({}),
        _ => return false,
    };
    let segments: Vec<&Segment> = path.iter().collect();
    let holder = at(value, &segments).and_then(Value::as_object_mut);
    holder.is_some_and(|map| map.insert(name.to_owned(), stand_in).is_none())
}
