//! Connections to instances, and HTTP/1.1 as it is spoken on them.
//!
//! Every warm request of every process function takes this hop, so it is our own
//! and not a general client: hyper's comes in two halves with a channel between
//! them, and costs more instructions per request than everything else here taken
//! together ([measure.md](../../../docs/measure.md)). One request is under way on a
//! connection at a time; the future of the request writes it and reads the answer's
//! head, then the answer's body reads on, and at its end the connection goes back to
//! the instance's [`Pool`]. Nothing is spawned. A connection in the pool is polled by
//! nobody; whether its peer has closed it is found out when it is taken.
//!
//! - `wire`: the socket, buffers and alarm that a connection keeps;
//! - `outgoing`: writing a request;
//! - `head`, `decode`: reading an answer. Pure, and tested with any split of the bytes.
//!
//! What always holds: a connection goes back to the pool only when its exchange
//! is complete on both sides; a dropped body closes its connection, which tells
//! the instance that nobody waits for the rest; what could be read in two ways is
//! refused, never guessed. Upgrades have a way of their own, [`crate::upgrade`].

mod decode;
mod head;
mod outgoing;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::{Body, BodyError, CallError, Endpoint, Request};
use gapless_types::Reason;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Stream;
use decode::{Decoder, Piece};
use head::{Framing, Head, HeadReader, Malformed};
use outgoing::{Outgoing, Unsent};
use wire::Wire;

/// How long connecting to an instance on this machine may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The idle connections of one instance, the one used last on top.
pub struct Pool {
    endpoint: Endpoint,
    #[allow(clippy::vec_box, reason = "a request moves it several times, and it is large")]
    idle: Mutex<Vec<Box<Wire>>>,
    idle_max: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool of {:?}", self.endpoint)
    }
}

impl Pool {
    /// A pool for an instance that serves `slots` requests at a time.
    pub fn new(endpoint: Endpoint, slots: u32) -> Arc<Self> {
        let idle_max = slots as usize;
        Arc::new(Pool { endpoint, idle: Mutex::new(Vec::new()), idle_max })
    }

    /// An idle connection that is still open.
    pub fn idle(self: &Arc<Self>) -> Option<Connected> {
        loop {
            let wire = self.idle.lock().pop()?;
            if wire.is_usable() {
                return Some(Connected { wire, pool: self.clone() });
            }
        }
    }

    /// A new connection.
    pub async fn connect(self: &Arc<Self>) -> Result<Connected, CallError> {
        let stream = open(&self.endpoint).await?;
        Ok(Connected { wire: Wire::new(stream), pool: self.clone() })
    }

    /// Where its connections lead.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn put_back(&self, mut wire: Box<Wire>) {
        wire.rest();
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            idle.push(wire);
        }
    }
}

/// Connects.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Stream, CallError> {
    let failed = |message: String| CallError {
        reason: Reason::InstanceDied,
        message,
        instance_is_dead: true,
        is_unsent: true,
    };
    tokio::time::timeout(CONNECT_TIMEOUT, Stream::connect(endpoint))
        .await
        .map_err(|_| failed(format!("the instance at {endpoint:?} does not accept connections")))?
        .map_err(|error| failed(format!("cannot connect to the instance at {endpoint:?}: {error}")))
}

/// A connection with nothing under way.
pub struct Connected {
    wire: Box<Wire>,
    pool: Arc<Pool>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to {:?}", self.pool.endpoint)
    }
}

/// Why there is no answer.
enum Failure {
    /// Nothing was sent.
    Unsent(std::io::Error),
    /// The client broke off.
    Body(BodyError),
    Malformed(Malformed),
    /// The connection ended.
    Ended(Option<std::io::Error>),
    Late,
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Failure::Malformed(malformed)
    }
}

impl Connected {
    /// Sends a request and waits for the answer's head, at most `until`; a late one
    /// fails with [`Reason::Timeout`]. The request is as it was if nothing of it was
    /// sent, which the error says. The answer's body brings the connection back to
    /// the pool when it ends.
    pub async fn send(
        mut self,
        request: &mut Request,
        until: Instant,
    ) -> Result<Response<ConnectionBody>, CallError> {
        let outgoing = Outgoing::begin(request, &mut self.wire.output);
        let mut sending = Sending { outgoing, is_over: false, is_broken: false };
        let mut reader = HeadReader::default();
        let answered = poll_fn(|cx| {
            let wire = &mut *self.wire;
            sending.poll(wire, request.body_mut(), cx)?;
            loop {
                if let Some(head) = reader.take(&mut wire.input, request.method())? {
                    return Poll::Ready(Ok(head));
                }
                match wire.poll_fill(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::Ended(None))),
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(Failure::Ended(Some(error))));
                    }
                    Poll::Pending => return wire.poll_late(cx, until).map(|()| Err(Failure::Late)),
                }
            }
        })
        .await;
        let Head { response, framing, mut stays } = answered.map_err(call_error)?;
        stays &= !sending.is_broken;
        let unsent =
            (!sending.is_over).then(|| Box::new((sending, std::mem::take(request.body_mut()))));
        Ok(response.map(|()| ConnectionBody::begin(framing, self, unsent, stays)))
    }
}

/// A request being sent while its answer is read.
struct Sending {
    outgoing: Outgoing,
    is_over: bool,
    /// The instance reads no more. It may have answered before.
    is_broken: bool,
}

impl Sending {
    /// Sends what it can.
    fn poll(
        &mut self,
        wire: &mut Wire,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if self.is_over {
            return Ok(());
        }
        match self.outgoing.poll_send(wire, body, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Unsent::Broken(error))) if !self.outgoing.is_spent => {
                return Err(Failure::Unsent(error));
            }
            Poll::Ready(Err(Unsent::Broken(_))) => self.is_broken = true,
            Poll::Ready(Err(Unsent::Body(error))) => return Err(Failure::Body(error)),
        }
        self.is_over = true;
        Ok(())
    }
}

fn call_error(failure: Failure) -> CallError {
    let is_unsent = matches!(failure, Failure::Unsent(_));
    let without = "the instance closed the connection without an answer";
    let (reason, message) = match failure {
        Failure::Malformed(what) => {
            (Reason::BadResponse, format!("the instance's answer is not valid HTTP: {what}"))
        }
        Failure::Ended(None) => (Reason::InstanceDied, without.to_owned()),
        Failure::Ended(Some(error)) | Failure::Unsent(error) => {
            (Reason::InstanceDied, format!("{without}: {error}"))
        }
        Failure::Body(error) => {
            (Reason::BadRequest, format!("the request's body broke off: {error}"))
        }
        Failure::Late => (Reason::Timeout, "the instance gave no answer in time".to_owned()),
    };
    CallError { reason, message, instance_is_dead: false, is_unsent }
}

/// The body of an answer, read from its connection as it is asked for.
pub struct ConnectionBody {
    decoder: Decoder,
    /// The whole body, if it came with the head.
    whole: Option<Bytes>,
    /// `None` once the connection has ended or gone back.
    connected: Option<Connected>,
    /// The rest of a request that was answered before it was sent to its end.
    unsent: Option<Box<(Sending, Body)>>,
    stays: bool,
}

impl fmt::Debug for ConnectionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionBody").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}

impl ConnectionBody {
    fn begin(
        framing: Framing,
        mut connected: Connected,
        unsent: Option<Box<(Sending, Body)>>,
        stays: bool,
    ) -> Self {
        let (mut decoder, mut whole) = (Decoder::new(framing), None);
        let input = &mut connected.wire.input;
        if let Decoder::Exactly(left) = decoder
            && left <= input.len() as u64
        {
            whole = Some(input.split_to(left as usize).freeze());
            decoder = Decoder::Done;
        }
        let mut body = ConnectionBody { decoder, whole, connected: Some(connected), unsent, stays };
        if decoder == Decoder::Done {
            body.settle();
        }
        body
    }

    /// Gives the connection back, or closes it if it cannot serve again: the instance
    /// said so, or said more than it was asked for, or has not read the request.
    fn settle(&mut self) {
        let Some(Connected { wire, pool }) = self.connected.take() else {
            return;
        };
        let is_sent = self.unsent.take().is_none();
        if self.stays && is_sent && wire.input.is_empty() {
            pool.put_back(wire);
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.decoder = Decoder::Done;
        (self.connected, self.unsent) = (None, None);
        Poll::Ready(Some(Err(error)))
    }

    /// Goes on sending the request. Returns why the exchange cannot go on.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Option<BodyError> {
        let (Some(unsent), Some(connected)) = (&mut self.unsent, &mut self.connected) else {
            return None;
        };
        let (sending, body) = &mut **unsent;
        match sending.poll(&mut connected.wire, body, cx) {
            Err(Failure::Body(error)) => return Some(error),
            Err(_) => self.stays = false,
            Ok(()) if !sending.is_over => return None,
            Ok(()) => self.stays &= !sending.is_broken,
        }
        self.unsent = None;
        None
    }
}

impl HttpBody for ConnectionBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(whole) = this.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        loop {
            let Some(connected) = &mut this.connected else {
                return Poll::Ready(None);
            };
            let piece = this.decoder.next(&mut connected.wire.input);
            if this.decoder == Decoder::Done {
                this.settle();
            }
            match piece {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Piece::Trailers(fields)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                }
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Err(malformed) => return this.fail(malformed.into()),
            }
            if let Some(error) = this.send_on(cx) {
                return this.fail(error);
            }
            let Some(connected) = &mut this.connected else {
                return Poll::Ready(None);
            };
            match connected.wire.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => match this.decoder.end() {
                    Ok(()) => {
                        (this.connected, this.unsent) = (None, None);
                        return Poll::Ready(None);
                    }
                    Err(broken_off) => return this.fail(broken_off.into()),
                },
                Poll::Ready(Err(error)) => return this.fail(error.into()),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.decoder == Decoder::Done
    }

    fn size_hint(&self) -> SizeHint {
        let whole = self.whole.as_ref().map_or(0, Bytes::len) as u64;
        match self.decoder.left() {
            Some(left) => SizeHint::with_exact(whole + left),
            None => SizeHint::default(),
        }
    }
}
