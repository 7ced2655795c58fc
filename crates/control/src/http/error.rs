//! Errors as answers: one place that turns a [`Status`] into a response.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::IntoResponse;
use gapless_api::{Status, StatusCause};
use gapless_declared::Refusal;
use gapless_types::FunctionKey;
use http::{HeaderValue, StatusCode, header};

/// An error of the API.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Status>);

impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        respond(&self.0)
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        ApiError(Box::new(status))
    }
}

impl From<Box<Status>> for ApiError {
    fn from(status: Box<Status>) -> Self {
        ApiError(status)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        ApiError(refusal.0)
    }
}

impl ApiError {
    /// The same, for those who answer in the words of declared objects.
    pub(crate) fn into_refusal(self) -> Refusal {
        Refusal(self.0)
    }
}

/// What the pure object machinery refuses.
pub(crate) fn refused(error: impl Into<gapless_objects::Refusal>) -> ApiError {
    let gapless_objects::Refusal { code, reason, message, causes } = error.into();
    let mut status = Status::failure(code, reason, message);
    let cause = |cause: gapless_objects::Cause| StatusCause {
        reason: cause.reason.to_owned(),
        message: cause.message,
        field: cause.field,
    };
    status.details.causes = causes.into_iter().map(cause).collect();
    status.into()
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

/// A task of ours that did not come to its end.
impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a request of the API ended by a bug");
        let message = "gapless failed on this request by a bug; see the platform's own log";
        ApiError::from(Status::failure(500, "InternalError", message))
    }
}

/// `400`.
pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::from(Status::failure(400, "BadRequest", message))
}

/// The key that a path names.
pub(crate) fn path_key(namespace: &str, name: &str) -> Result<FunctionKey, ApiError> {
    FunctionKey::new(namespace, name).map_err(|error| bad_request(error.to_string()))
}

/// The answer that an error is.
pub(crate) fn respond(status: &Status) -> axum::response::Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(status).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    (code, [(header::CONTENT_TYPE, json)], body).into_response()
}
