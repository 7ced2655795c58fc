//! What a client is told when what it asks cannot be done: the HTTP status, the
//! word for machines and the sentence for people. Each operation has an error of
//! its own; this is the one place where they become answers.

use crate::apply::ApplyError;
use crate::decode::DecodeError;
use crate::fields::StrictError;
use crate::managed::ManagedError;
use crate::meta::{MetaError, PreconditionError};
use crate::patch::PatchError;
use crate::protobuf::ProtobufError;
use crate::selector::SelectorError;

/// An answer that refuses. It has what a `Status` object needs, except the
/// object's name and kind, which the server knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// One CamelCase word, as in `Status.reason`.
    pub reason: &'static str,
    /// What was found, where, and what would do.
    pub message: String,
    /// One per field at fault.
    pub causes: Vec<Cause>,
}

/// One field at fault, as in `Status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// One CamelCase word, such as `FieldManagerConflict`.
    pub reason: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// Its path.
    pub field: String,
}

impl Refusal {
    /// A refusal without causes.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, reason, message: message.into(), causes: Vec::new() }
    }

    /// `422`, with one cause: kubectl shows the causes of what is invalid and nothing
    /// else.
    fn invalid(field: String, message: String) -> Self {
        let cause = Cause { reason: "FieldValueInvalid", message: message.clone(), field };
        Refusal { code: 422, reason: "Invalid", message, causes: vec![cause] }
    }
}

impl From<PatchError> for Refusal {
    fn from(error: PatchError) -> Self {
        let (code, reason) = match &error {
            PatchError::TooLarge { .. }
            | PatchError::TooManyOperations { .. }
            | PatchError::TooCostly => (413, "RequestEntityTooLarge"),
            PatchError::Malformed(_) | PatchError::NotAnObject => (400, "BadRequest"),
            PatchError::UnsupportedType { .. } => (415, "UnsupportedMediaType"),
            PatchError::Operation { path, .. } | PatchError::Field { path, .. } => {
                return Refusal::invalid(path.clone(), error.to_string());
            }
            PatchError::TooDeep { .. } | PatchError::ResultNotAnObject => {
                return Refusal::invalid(String::new(), error.to_string());
            }
        };
        Refusal::new(code, reason, error.to_string())
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Conflict(conflicts) => {
                let mut refusal = Refusal::new(409, "Conflict", message);
                refusal.causes = conflicts
                    .into_iter()
                    .map(|conflict| Cause {
                        reason: "FieldManagerConflict",
                        message: format!("conflict with {}", conflict.manager),
                        field: conflict.path,
                    })
                    .collect();
                refusal
            }
            ApplyError::Managed(error) => error.into(),
            _ => Refusal::new(400, "BadRequest", message),
        }
    }
}

impl From<ManagedError> for Refusal {
    fn from(error: ManagedError) -> Self {
        let field = match &error {
            ManagedError::Manager(_) => "fieldManager",
            ManagedError::TooMany { .. } | ManagedError::TooLarge => "metadata.managedFields",
        };
        Refusal::invalid(field.to_owned(), error.to_string())
    }
}

impl From<SelectorError> for Refusal {
    fn from(error: SelectorError) -> Self {
        Refusal::new(400, "BadRequest", error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let (code, reason) = match error {
            DecodeError::TooLarge { .. } => (413, "RequestEntityTooLarge"),
            DecodeError::Malformed(_) | DecodeError::Protobuf(ProtobufError::Damaged) => {
                (400, "BadRequest")
            }
            DecodeError::UnsupportedType(_) | DecodeError::Protobuf(_) => {
                (415, "UnsupportedMediaType")
            }
        };
        Refusal::new(code, reason, error.to_string())
    }
}

impl From<StrictError> for Refusal {
    fn from(error: StrictError) -> Self {
        Refusal::new(400, "BadRequest", error.to_string())
    }
}

impl From<PreconditionError> for Refusal {
    fn from(error: PreconditionError) -> Self {
        Refusal::new(409, "Conflict", error.to_string())
    }
}

impl From<Vec<MetaError>> for Refusal {
    fn from(errors: Vec<MetaError>) -> Self {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let causes = errors
            .into_iter()
            .map(|error| Cause { reason: error.reason, message: error.message, field: error.path })
            .collect();
        Refusal { code: 422, reason: "Invalid", message: text.join("; "), causes }
    }
}
