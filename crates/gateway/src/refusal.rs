//! Every answer that is ours and not a function's: one place for status,
//! headers and body.

use std::time::Duration;

use gapless_proto::{Body, CallError, Response};
use gapless_types::{Reason, RevisionName};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

/// Names the reason of a refusal.
pub(crate) const REASON_HEADER: HeaderName = HeaderName::from_static("x-gapless-reason");

/// Why there is no answer from the function.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) revision: Option<RevisionName>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal { reason, message: message.into(), retry_after: None, revision: None }
    }

    /// A refusal of a dispatch core, which knows when to come back.
    pub(crate) fn of_core(reason: Reason, retry_after: Duration, detail: Option<&str>) -> Self {
        let message = match detail {
            Some(detail) => detail.to_owned(),
            None => sentence(reason).to_owned(),
        };
        Refusal { reason, message, retry_after: Some(retry_after), revision: None }
    }

    pub(crate) fn about(mut self, revision: &RevisionName) -> Self {
        self.revision = Some(revision.clone());
        self
    }

    /// The answer for the client.
    pub(crate) fn into_response(self) -> Response {
        let retry_after = self.retry_after.map(|wait| wait.as_millis().div_ceil(1000).max(1));
        let mut error = serde_json::json!({
            "reason": self.reason,
            "fault": self.reason.fault(),
            "message": self.message,
        });
        if let Some(revision) = &self.revision {
            error["revision"] = revision.as_str().into();
        }
        if let Some(seconds) = retry_after {
            error["retryAfterSeconds"] = (seconds as u64).into();
        }
        let mut text = serde_json::json!({ "error": error }).to_string();
        text.push('\n');
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status(self.reason);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REASON_HEADER, HeaderValue::from_static(self.reason.as_str()));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        response
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Refusal::new(error.reason, error.message)
    }
}

/// The status a reason stands for.
pub(crate) fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::NoSuchFunction => StatusCode::NOT_FOUND,
        Reason::BadRequest => StatusCode::BAD_REQUEST,
        Reason::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        Reason::QueueTimeout
        | Reason::GatewayFull
        | Reason::Draining
        | Reason::NoCapacity
        | Reason::NotReady
        | Reason::StartFailed => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::InstanceDied | Reason::BadResponse => StatusCode::BAD_GATEWAY,
        Reason::FunctionGone => StatusCode::NOT_FOUND,
    }
}

/// What a core's reason means to people, where nobody said more.
fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::QueueFull => {
            "as many requests wait for this function as may (spec.queue.size); try again later, \
             or raise spec.scale.max"
        }
        Reason::QueueTimeout => {
            "no instance was free in time (spec.queue.wait); try again later, or raise \
             spec.scale.max"
        }
        Reason::FunctionGone => "the function was deleted while the request waited",
        Reason::NoCapacity => "no node has room for another instance",
        _ => "the function cannot take the request now",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_whole_seconds_and_at_least_one() {
        for (wait_ms, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let wait = Duration::from_millis(wait_ms);
            let response = Refusal::of_core(Reason::QueueFull, wait, None).into_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
            assert_eq!(response.headers()[REASON_HEADER], "queue-full");
        }
    }

    #[test]
    fn every_reason_is_an_error_status() {
        for reason in Reason::ALL {
            assert!(status(*reason).is_client_error() || status(*reason).is_server_error());
        }
    }
}
