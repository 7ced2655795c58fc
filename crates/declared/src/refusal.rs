//! Why a verb was refused: a Kubernetes `Status`, worded as the API server words it
//! where clients read the words, and as a sentence that says what to do where people do.

use gapless_api::Status;
use gapless_objects::Descriptor;
use gapless_store::StoreError;
use gapless_types::FieldError;

use crate::key::qualified;

/// What a verb comes to.
pub type Outcome<T> = Result<T, Refusal>;

/// Why it was refused.
#[derive(Clone, Debug)]
pub struct Refusal(pub Box<Status>);

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Refusal(Box::new(status))
    }
}

impl From<Box<Status>> for Refusal {
    fn from(status: Box<Status>) -> Self {
        Refusal(status)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Compacted { .. } => expired(&error.to_string()),
            _ => {
                tracing::error!(%error, "the store refused");
                let message = format!("nothing was changed: {error}");
                Status::failure(500, "InternalError", message).into()
            }
        }
    }
}

impl Refusal {
    /// The status.
    pub fn status(&self) -> &Status {
        &self.0
    }

    /// It is about this object.
    #[must_use]
    pub(crate) fn about(mut self, descriptor: &Descriptor, name: &str) -> Self {
        let details = &mut self.0.details;
        details.name = name.to_owned();
        details.group = descriptor.group.to_owned();
        details.kind = descriptor.plural.to_owned();
        self
    }
}

/// `404`.
pub(crate) fn not_found(descriptor: &Descriptor, name: &str) -> Refusal {
    let message = format!("{} {name:?} not found", qualified(descriptor));
    Refusal::from(Status::failure(404, "NotFound", message)).about(descriptor, name)
}

/// `409`: it exists.
pub(crate) fn exists(descriptor: &Descriptor, name: &str) -> Refusal {
    let message = format!("{} {name:?} already exists", qualified(descriptor));
    Refusal::from(Status::failure(409, "AlreadyExists", message)).about(descriptor, name)
}

/// `409`: somebody else was faster, or a precondition does not hold.
pub(crate) fn conflict(descriptor: &Descriptor, name: &str, why: &str) -> Refusal {
    let what = qualified(descriptor);
    let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
    Refusal::from(Status::failure(409, "Conflict", message)).about(descriptor, name)
}

/// What a writer with an old version is told.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// `422`: these fields are wrong.
pub(crate) fn invalid(descriptor: &Descriptor, name: &str, errors: &[FieldError]) -> Refusal {
    let mut status = Status::invalid(name, errors);
    status.message = format!("{} {name:?} is invalid: {}", descriptor.kind, status.message);
    Refusal::from(status).about(descriptor, name)
}

/// `410`: what was asked for is no longer kept.
pub(crate) fn expired(why: &str) -> Refusal {
    Status::failure(410, "Expired", format!("{why}; list again and go on from there")).into()
}

/// `400`.
pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
    Status::failure(400, "BadRequest", message).into()
}

/// `405`.
pub(crate) fn not_allowed(descriptor: &Descriptor, verb: &str) -> Refusal {
    let message = format!("{verb} is not supported on {}", qualified(descriptor));
    Status::failure(405, "MethodNotAllowed", message).into()
}
