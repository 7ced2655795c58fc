//! Every answer that is ours and not a function's: one place for status,
//! headers and body.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use gapless_proto::{Body, CallError};
use gapless_types::{Reason, Revision};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::answer::Answer;

/// Names the reason of a refusal.
const REASON_HEADER: HeaderName = HeaderName::from_static("x-gapless-reason");

/// Advice to come back where nobody knows when: the least there is.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// Why there is no answer from the function.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    message: Cow<'static, str>,
    status: StatusCode,
    retry_after: Option<Duration>,
    revision: Option<Arc<Revision>>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        let passes_by_itself =
            matches!(reason, Reason::Draining | Reason::GatewayFull | Reason::NotReady);
        Refusal {
            reason,
            message: message.into(),
            status: status(reason),
            retry_after: passes_by_itself.then_some(RETRY_SOON),
            revision: None,
        }
    }

    /// A refusal of a dispatch core, which knows when to come back.
    pub(crate) fn of_core(reason: Reason, retry_after: Duration, detail: Option<&str>) -> Self {
        let message = match detail {
            Some(detail) => Cow::Owned(detail.to_owned()),
            None => Cow::Borrowed(sentence(reason)),
        };
        let is_worth_it = reason != Reason::FunctionGone;
        let retry_after = is_worth_it.then_some(retry_after);
        Refusal { retry_after, ..Refusal::new(reason, message) }
    }

    /// The platform cannot do what was asked (RFC 9110, section 15.6.2).
    pub(crate) fn not_implemented(message: &'static str) -> Self {
        Refusal { status: StatusCode::NOT_IMPLEMENTED, ..Refusal::new(Reason::BadRequest, message) }
    }

    /// The sentence for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn about(mut self, revision: &Arc<Revision>) -> Self {
        self.revision = Some(revision.clone());
        self
    }

    /// The answer for the client.
    pub(crate) fn into_response(self) -> Response<Answer> {
        let retry_after = self.retry_after.map(whole_seconds);
        let mut error = serde_json::json!({
            "reason": self.reason,
            "fault": self.reason.fault(),
            "message": self.message,
        });
        if let Some(revision) = &self.revision {
            error["function"] = revision.function.to_string().into();
            error["revision"] = revision.name.short().into();
        }
        if let Some(seconds) = retry_after {
            error["retryAfterSeconds"] = seconds.into();
        }
        let mut text = serde_json::json!({ "error": error }).to_string();
        text.push('\n');
        let mut response = Response::new(Answer::from(Body::from(text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REASON_HEADER, HeaderValue::from_static(self.reason.as_str()));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// `Retry-After` counts in whole seconds; none would mean at once.
fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Refusal::new(error.reason, error.message)
    }
}

/// The status a reason stands for.
pub(crate) fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::NoSuchFunction | Reason::NoSuchTag | Reason::FunctionGone => StatusCode::NOT_FOUND,
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
        Reason::FunctionGone => "the function was deleted or replaced while the request waited",
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
