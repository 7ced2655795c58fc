//! A revision is tried before it takes requests.
//!
//! The probe goes through the revision's own queue, as a request would: it asks for a
//! slot, so demand starts an instance by the same path as ever, and what it finds is
//! what the first request would have found.

use std::sync::Arc;

use gapless_proto::{Body, ProbeFailure, Request};
use gapless_telemetry::Trace;
use gapless_types::{Fault, Probe, Reason, RevisionName};
use http::header::{HOST, USER_AGENT};
use http_body::Body as _;

use crate::answer::Source;
use crate::forward;
use crate::leased::Leased;
use crate::queue::{Queue, Verdict};
use crate::refusal::Refusal;
use crate::ticket::Ticket;

/// How often a probe is sent anew because nothing of it was sent.
const ATTEMPTS_MAX: u32 = 4;

/// Tries a revision.
pub(crate) async fn probe(queue: &Arc<Queue>) -> Result<(), ProbeFailure> {
    let mut attempts_left = ATTEMPTS_MAX;
    loop {
        attempts_left -= 1;
        let (verdict, mut ticket) = Ticket::admit(queue, &mut Body::Empty, false).await;
        let leased = match verdict {
            Verdict::Slot(leased) => leased,
            Verdict::Refused(refusal) => return Err(failure(refusal.reason, refusal.message())),
        };
        let Some(probe) = &queue.revision.spec.probe else {
            ticket.answered();
            return Ok(());
        };
        match send(queue, &leased, probe).await {
            Ok(result) => {
                ticket.answered();
                return result;
            }
            Err((_, true)) if attempts_left > 0 => {}
            Err((failure, _)) => return Err(failure),
        }
    }
}

/// Sends the request and reads the answer to its end. `Err` says whether nothing was sent.
async fn send(
    queue: &Queue,
    leased: &Leased,
    probe: &Probe,
) -> Result<Result<(), ProbeFailure>, (ProbeFailure, bool)> {
    let clock = queue.shared.clock;
    let timeout = probe.timeout.0;
    let mut request = request(queue, probe);
    let (when, mut trace) = ((clock, clock.now()), Trace::default());
    let called = forward::call(leased, &mut request, false, timeout, when, &mut trace).await;
    let response = match called {
        Ok(response) => response,
        Err(error) => {
            let is_unsent = error.is_unsent;
            if error.instance_is_dead {
                queue.broken(leased.id, &error.message);
            }
            let failure = match error.reason {
                Reason::Timeout => late(probe),
                reason => failure(reason, Refusal::from(error).message()),
            };
            return Err((failure, is_unsent));
        }
    };
    let status = response.status();
    let drained = clock.timeout(timeout, drain(response.into_body())).await;
    if !matches!(drained, Some(true)) {
        return Err((late(probe), false));
    }
    if (200..400).contains(&status.as_u16()) {
        return Ok(Ok(()));
    }
    let message = format!(
        "GET {} was answered with {status}, and must be with 200 to 399 (spec.probe)",
        probe.path
    );
    Ok(Err(ProbeFailure { fault: Fault::Function, message }))
}

fn request(queue: &Queue, probe: &Probe) -> Request {
    let function = &queue.revision.function;
    let mut request = Request::new(Body::Empty);
    // Both were checked when the function was declared.
    *request.uri_mut() = probe.path.parse().unwrap_or_default();
    let host = format!("{}.{}.localhost", function.name(), function.namespace());
    if let Ok(host) = host.parse() {
        request.headers_mut().insert(HOST, host);
    }
    let agent = http::HeaderValue::from_static("gapless-probe");
    request.headers_mut().insert(USER_AGENT, agent);
    request
}

/// Whether a body came to its end.
async fn drain(mut body: Source) -> bool {
    loop {
        let frame = std::future::poll_fn(|cx| match &mut body {
            Source::Body(body) => std::pin::Pin::new(body).poll_frame(cx),
            Source::Connection(body) => std::pin::Pin::new(body).poll_frame(cx),
        });
        match frame.await {
            None => return true,
            Some(Ok(_)) => {}
            Some(Err(_)) => return false,
        }
    }
}

fn late(probe: &Probe) -> ProbeFailure {
    let message = format!(
        "GET {} had no whole answer within {} (spec.probe.timeout)",
        probe.path, probe.timeout
    );
    ProbeFailure { fault: Fault::Function, message }
}

fn failure(reason: Reason, message: &str) -> ProbeFailure {
    ProbeFailure { fault: reason.fault(), message: message.to_owned() }
}

/// The gateway does not know the revision.
pub(crate) fn not_routed(revision: &RevisionName) -> ProbeFailure {
    let message = format!("{revision} is not routed to, so it cannot be tried");
    ProbeFailure { fault: Fault::Platform, message }
}
