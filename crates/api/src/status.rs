//! Errors as the API answers them: the Kubernetes `Status` object, with a cause
//! per field.

use gapless_types::FieldError;
use serde::{Deserialize, Serialize};

/// An error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `v1`.
    pub api_version: String,
    /// `Status`.
    pub kind: String,
    /// Empty: clients expect it to be there.
    #[serde(default)]
    pub metadata: StatusMeta,
    /// `Failure`, or `Success`.
    pub status: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// One CamelCase word for machines, such as `NotFound`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where and why.
    #[serde(default)]
    pub details: StatusDetails,
    /// The HTTP status.
    pub code: u16,
}

/// What a status says of itself: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMeta {}

/// Where and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group of its kind; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural name of its kind, as in paths.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One per field at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
}

/// One field at fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusCause {
    /// `FieldValueInvalid`.
    pub reason: String,
    /// What was found and what is allowed.
    pub message: String,
    /// The path, such as `spec.scale.max`.
    pub field: String,
}

impl Status {
    /// A failure with HTTP status `code`.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Status {
            api_version: "v1".to_owned(),
            kind: "Status".to_owned(),
            metadata: StatusMeta {},
            status: "Failure".to_owned(),
            message: message.into(),
            reason: reason.to_owned(),
            details: StatusDetails::default(),
            code,
        }
    }

    /// What was asked for was done.
    pub fn success() -> Self {
        let mut status = Self::failure(200, "", "");
        status.status = "Success".to_owned();
        status
    }

    /// `422`: the object called `name` has wrong fields.
    pub fn invalid(name: &str, errors: &[FieldError]) -> Self {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut status = Self::failure(422, "Invalid", text.join("; "));
        status.details.name = name.to_owned();
        status.details.causes = errors
            .iter()
            .map(|error| StatusCause {
                reason: "FieldValueInvalid".to_owned(),
                message: error.message.clone(),
                field: error.path.clone(),
            })
            .collect();
        status
    }
}
