//! A request's place in its revision's queue, then its slot.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::oneshot;
use gapless_proto::{Body, BodyError};
use gapless_telemetry::Metrics;
use gapless_types::{Reason, RequestId, Time};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::queue::{Queue, Verdict};
use crate::refusal::Refusal;

/// A request's place in the queue, then its slot. Dropping it gives back what it
/// holds, so a request whose client left, in whichever stage, leaves nothing.
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    request: RequestId,
    is_answered: bool,
}

impl Ticket {
    /// Asks for a slot and waits for it.
    ///
    /// While it waits, and if it may, it asks for the first piece of the request's
    /// body: only so does the server read on and learn that a client has left (see
    /// [`gapless_net::server`]). The piece is put back in front of the body.
    pub(crate) async fn admit(
        queue: &Arc<Queue>,
        body: &mut Body,
        may_read: bool,
    ) -> (Verdict, Ticket) {
        let (request, arrived) = queue.arrive();
        let ticket = Ticket { queue: queue.clone(), request, is_answered: false };
        let verdict = match arrived {
            Ok(verdict) => verdict,
            Err(told) => {
                let _waiting = Waiting::begin(queue);
                wait(told, body, may_read && !body.is_end_stream()).await
            }
        };
        (verdict, ticket)
    }

    /// The instance answered to the last byte.
    pub(crate) fn answered(&mut self) {
        self.is_answered = true;
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.leave(self.request, self.is_answered);
    }
}

/// Counts a request as waiting while it lives.
struct Waiting<'a> {
    metrics: &'a Metrics,
    queue: &'a Queue,
    since: Time,
}

impl<'a> Waiting<'a> {
    fn begin(queue: &'a Queue) -> Self {
        let metrics = &*queue.shared.metrics;
        metrics.gateway.queued.inc();
        Waiting { metrics, queue, since: queue.shared.clock.now() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.metrics.gateway.queued.dec();
        let waited = self.queue.shared.clock.now() - self.since;
        self.metrics.gateway.queue_wait_seconds.observe(waited);
    }
}

async fn wait(mut told: oneshot::Receiver<Verdict>, body: &mut Body, may_read: bool) -> Verdict {
    let mut first = None;
    let mut reads = may_read;
    let verdict = poll_fn(|cx| {
        if let Poll::Ready(verdict) = Pin::new(&mut told).poll(cx) {
            return Poll::Ready(verdict.unwrap_or_else(|_| client_left()));
        }
        if reads && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            reads = false;
            match frame {
                Some(Err(_)) => return Poll::Ready(client_left()),
                frame => first = frame,
            }
        }
        Poll::Pending
    })
    .await;
    if let Some(Ok(first)) = first {
        let rest = std::mem::take(body);
        *body = Body::boxed(Begun { first: Some(first), rest });
    }
    verdict
}

/// Nobody will read this.
fn client_left() -> Verdict {
    Verdict::Refused(Refusal::new(Reason::BadRequest, "the request's body broke off"))
}

/// A body of which the first piece was already read.
struct Begun {
    first: Option<Frame<Bytes>>,
    rest: Body,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
