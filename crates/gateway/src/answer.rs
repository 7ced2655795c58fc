//! The body of an answer on its way to the client. It holds the slot, the
//! request's place in the gateway's total and its record, until the last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use gapless_proto::{Body, BodyError, Response};
use gapless_rt::Clock;
use gapless_telemetry::{Metrics, Start};
use gapless_types::Time;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::queue::Ticket;

/// A request's place in the gateway's total.
pub(crate) struct InFlight {
    count: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl InFlight {
    /// A place, if there are fewer than `max`.
    pub(crate) fn enter(
        count: &Arc<AtomicUsize>,
        max: usize,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) >= max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        metrics.gateway.in_flight.inc();
        Some(InFlight { count: count.clone(), metrics: metrics.clone() })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.metrics.gateway.in_flight.dec();
    }
}

/// What an exchange holds until its end.
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) in_flight: InFlight,
    pub(crate) clock: Clock,
    pub(crate) arrived: Time,
    pub(crate) status: u16,
    pub(crate) start: Start,
}

impl Held {
    /// The answer is complete.
    fn complete(self) {
        let took = self.clock.now() - self.arrived;
        self.ticket.queue().metrics.ended(self.status, self.start, took);
        self.ticket.finish();
        drop(self.in_flight);
    }
}

/// An answer that holds what it must until its last byte was passed on.
pub(crate) fn holding(response: Response, held: Held) -> Response {
    response.map(|body| {
        if body.is_end_stream() {
            held.complete();
            return body;
        }
        Body::boxed(Answer { body, held: Some(held) })
    })
}

struct Answer {
    body: Body,
    held: Option<Held>,
}

impl Answer {
    fn complete(&mut self) {
        if let Some(held) = self.held.take() {
            held.complete();
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            this.complete();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Whoever reads a body of known length may stop without asking for its
        // end. Otherwise the client left, and the ticket says so.
        if self.body.is_end_stream() {
            self.complete();
        }
    }
}
