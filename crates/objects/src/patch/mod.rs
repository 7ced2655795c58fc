//! Patches: changes to an object as the client writes them down.
//!
//! A patch is read once ([`Patch::parse`]) and may be applied more than once: a
//! server that loses a race for a resource version applies it to the newer object.
//! Whatever the patch, the result is bounded in size and depth.

mod json;
mod merge;
mod strategic;

use serde_json::Value;

use crate::decode::{self, BODY_BYTES_MAX};
use crate::descriptor::Descriptor;

pub use merge::diff;

/// Most operations of a JSON patch, as in Kubernetes.
pub const OPERATIONS_MAX: usize = 10_000;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// A list of operations (RFC 6902).
    Json,
    /// An object with what changes, null for what goes (RFC 7386).
    Merge,
    /// A merge patch that knows how lists merge; only for core kinds.
    Strategic,
}

impl PatchType {
    /// The type a `Content-Type` names. Server-side apply is not a patch of this
    /// kind: see [`crate::apply::CONTENT_TYPE`].
    pub fn from_content_type(text: &str) -> Option<PatchType> {
        match text.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(PatchType::Json),
            "application/merge-patch+json" => Some(PatchType::Merge),
            "application/strategic-merge-patch+json" => Some(PatchType::Strategic),
            _ => None,
        }
    }
}

/// A patch that was read.
#[derive(Clone, Debug)]
pub struct Patch {
    body: Body,
    duplicates: Vec<String>,
}

#[derive(Clone, Debug)]
enum Body {
    Json(Vec<json_patch::PatchOperation>),
    Merge(Value),
    Strategic(Value),
}

/// Why a patch cannot be read or applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch, or what it would make, is too large.
    #[error("{what} has more than {allowed} bytes")]
    TooLarge {
        /// The patch or the result.
        what: &'static str,
        /// How many bytes there may be.
        allowed: usize,
    },
    /// A JSON patch with too many operations.
    #[error("The allowed maximum operations in a JSON patch is {allowed}, got {found}")]
    TooManyOperations {
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// The body is not a patch.
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// A merge patch that would replace the object by something else.
    #[error("error decoding patch: a merge patch of an object must be an object")]
    NotAnObject,
    /// A strategic merge patch for a kind that has none.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml \
         ({kind} has no strategic merge patch)"
    )]
    UnsupportedType {
        /// The kind.
        kind: &'static str,
    },
    /// An operation of a JSON patch cannot be carried out.
    #[error("operation {index} ({operation} {path:?}): {reason}")]
    Operation {
        /// Which one, from 0.
        index: usize,
        /// Its word.
        operation: &'static str,
        /// Where.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A field of a strategic merge patch cannot be merged.
    #[error("{path}: {reason}")]
    Field {
        /// Where.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A JSON patch whose operations shift too much about.
    #[error("the operations of the patch move too many values; send a merge patch instead")]
    TooCostly,
    /// The result would be nested too deeply.
    #[error("the result is nested more than {allowed} deep")]
    TooDeep {
        /// How deep it may be.
        allowed: usize,
    },
    /// The result is no object any more.
    #[error("the result of the patch is not an object")]
    ResultNotAnObject,
}

impl Patch {
    /// Reads a patch.
    pub fn parse(kind: PatchType, bytes: &[u8]) -> Result<Patch, PatchError> {
        if bytes.len() > BODY_BYTES_MAX {
            return Err(PatchError::TooLarge { what: "the patch", allowed: BODY_BYTES_MAX });
        }
        let malformed = |text: String| PatchError::Malformed(text);
        let read = decode::json(bytes).map_err(|error| malformed(error.to_string()))?;
        let body = match kind {
            PatchType::Json => Body::Json(json::parse(read.value)?),
            _ if !read.value.is_object() => return Err(PatchError::NotAnObject),
            PatchType::Merge => Body::Merge(read.value),
            PatchType::Strategic => Body::Strategic(read.value),
        };
        Ok(Patch { body, duplicates: read.duplicates })
    }

    /// Paths of keys that the patch has more than once.
    pub fn duplicates(&self) -> &[String] {
        &self.duplicates
    }

    /// What `current` is after the patch. `schema` is the kind's schema: it says how
    /// lists merge.
    pub fn apply(
        &self,
        kind: &Descriptor,
        schema: &Value,
        current: &Value,
    ) -> Result<Value, PatchError> {
        let result = match &self.body {
            Body::Json(operations) => json::apply(operations, current)?,
            Body::Merge(patch) => merge::apply(current, patch),
            Body::Strategic(_) if !kind.group.is_empty() => {
                return Err(PatchError::UnsupportedType { kind: kind.kind });
            }
            Body::Strategic(patch) => strategic::apply(current, patch, schema)?,
        };
        if result.is_object() { Ok(result) } else { Err(PatchError::ResultNotAnObject) }
    }
}

/// Bytes of `value` as JSON, roughly and never too few; stops counting above `limit`.
pub(crate) fn size(value: &Value, limit: usize) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().fold(2, |sum, item| match sum > limit {
            true => sum,
            false => sum + 1 + size(item, limit - sum),
        }),
        Value::Object(map) => map.iter().fold(2, |sum, (key, item)| match sum > limit {
            true => sum,
            false => sum + key.len() + 4 + size(item, limit - sum),
        }),
        _ => 24,
    }
}
