//! An answer's body on its way to the client. It holds the slot, the request's
//! place in the gateway's total and its record, until the last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use gapless_net::ConnectionBody;
use gapless_proto::{Body, BodyError};
use gapless_telemetry::{Metrics, Start};
use gapless_types::Time;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::ticket::Ticket;

/// A request's place in the gateway's total. The count is the metric: one number.
pub(crate) struct InFlight {
    metrics: Arc<Metrics>,
}

impl InFlight {
    /// A place, if there are fewer than `max`.
    pub(crate) fn enter(max: usize, metrics: &Arc<Metrics>) -> Option<Self> {
        let others = metrics.gateway.in_flight.inc();
        let place = InFlight { metrics: metrics.clone() };
        usize::try_from(others).is_ok_and(|others| others < max).then_some(place)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.gateway.in_flight.dec();
    }
}

/// What an exchange holds until its end, and what is then recorded.
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) _in_flight: Option<InFlight>,
    pub(crate) arrived: Time,
    pub(crate) status: u16,
    pub(crate) start: Start,
}

impl Held {
    /// The answer is complete.
    fn answered(mut self) {
        self.ticket.answered();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let queue = self.ticket.queue();
        let took = queue.shared.clock.now() - self.arrived;
        queue.metrics.ended(self.status, self.start, took);
    }
}

/// Where an answer's bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A component, or the gateway itself.
    Body(Body),
    /// A connection to an instance.
    Connection(ConnectionBody),
}

/// An answer's body.
pub struct Answer {
    // Before what is held: a connection is back in its pool, or closed, before
    // the slot it was used for is free.
    source: Source,
    held: Option<Held>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("source", &self.source).finish_non_exhaustive()
    }
}

impl From<Body> for Answer {
    fn from(body: Body) -> Self {
        Answer { source: Source::Body(body), held: None }
    }
}

/// An answer that holds what it must until its last byte was passed on.
pub(crate) fn holding(response: Response<Source>, held: Held) -> Response<Answer> {
    response.map(|source| {
        let mut answer = Answer { source, held: Some(held) };
        if answer.is_end_stream() {
            answer.complete();
        }
        answer
    })
}

impl Answer {
    fn complete(&mut self) {
        if let Some(held) = self.held.take() {
            held.answered();
        }
    }

    /// The instance stopped in the middle. It is asked for no further frame.
    fn broke_off(&self) {
        if let Some(held) = &self.held
            && held.status < 500
        {
            held.ticket.queue().tally.broke_off();
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
        let frame = match &mut this.source {
            Source::Body(body) => Pin::new(body).poll_frame(cx),
            Source::Connection(body) => Pin::new(body).poll_frame(cx),
        };
        match &frame {
            Poll::Ready(None) => this.complete(),
            Poll::Ready(Some(Err(_))) => this.broke_off(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Body(body) => body.is_end_stream(),
            Source::Connection(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Body(body) => body.size_hint(),
            Source::Connection(body) => body.size_hint(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Whoever reads a body of known length may stop without asking for its
        // end. Otherwise the client left, and the ticket says so.
        let is_complete = self.is_end_stream();
        self.source = Source::Body(Body::Empty);
        if is_complete {
            self.complete();
        }
    }
}
