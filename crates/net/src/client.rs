//! Connections to instances.
//!
//! A hyper client connection comes in two halves: one that takes requests and
//! one that moves bytes. The usual way is to spawn the second as a task, which
//! costs two hand-offs per request. Here both halves stay together: the future
//! of the request polls the second half, then the body of the answer does, and
//! at its end both go back to the instance's [`Pool`]. A connection that lies in
//! the pool is polled by nobody; whether its peer has closed it is found out when
//! it is taken.
//!
//! What always holds: a connection goes back to the pool only when its exchange
//! is complete on both sides; a dropped body closes its connection, which tells
//! the instance that nobody waits for the rest.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::{Body, BodyError, CallError, Endpoint, Request};
use gapless_types::Reason;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use crate::Stream;

/// How long connecting to an instance on this machine may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

type Mover = Connection<TokioIo<Stream>, Body>;

/// Both halves of a connection.
struct Halves {
    sender: SendRequest<Body>,
    mover: Pin<Box<Mover>>,
}

impl Halves {
    /// Moves bytes. Returns whether the connection has ended.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> bool {
        !self.sender.is_closed() && self.mover.as_mut().poll(cx).is_ready()
    }
}

/// The idle connections of one instance, the one used last on top.
pub struct Pool {
    endpoint: Endpoint,
    idle: Mutex<Vec<Halves>>,
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
            let mut halves = self.idle.lock().pop()?;
            let has_ended = halves.poll_move(&mut unwoken());
            if !has_ended && halves.sender.is_ready() {
                return Some(Connected { halves, pool: self.clone() });
            }
        }
    }

    /// A new connection.
    pub async fn connect(self: &Arc<Self>) -> Result<Connected, CallError> {
        let (sender, mover) = open(&self.endpoint).await?;
        let halves = Halves { sender, mover: Box::pin(mover) };
        Ok(Connected { halves, pool: self.clone() })
    }

    /// Where its connections lead.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn put_back(&self, halves: Halves) {
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            idle.push(halves);
        }
    }
}

/// For polls that are repeated anyway before anybody waits. The halves of one
/// connection tell each other what happens by waking the task, which is the one
/// that polls them: every such wake-up would run the whole task once more.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Connects and shakes hands.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<(SendRequest<Body>, Mover), CallError> {
    let failed = |message: String| CallError {
        reason: Reason::InstanceDied,
        message,
        instance_is_dead: true,
        is_unsent: true,
    };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, Stream::connect(endpoint))
        .await
        .map_err(|_| failed(format!("the instance at {endpoint:?} does not accept connections")))?
        .map_err(|error| {
            failed(format!("cannot connect to the instance at {endpoint:?}: {error}"))
        })?;
    http1::Builder::new()
        .preserve_header_case(false)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(format!("cannot speak HTTP to the instance: {error}")))
}

/// A connection with nothing under way.
pub struct Connected {
    halves: Halves,
    pool: Arc<Pool>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to {:?}", self.pool.endpoint)
    }
}

/// A request that got no answer, and the request itself if nothing of it was sent.
pub type Unanswered = (CallError, Option<Box<Request>>);

impl Connected {
    /// Sends a request. Resolves with the answer's head; its body brings the
    /// connection back to the pool when it ends.
    pub async fn send(
        self,
        request: Request,
    ) -> Result<http::Response<ConnectionBody>, Unanswered> {
        let Connected { mut halves, pool } = self;
        let mut answer = std::pin::pin!(halves.sender.try_send_request(request));
        let mut mover = halves.mover;
        let mut has_ended = false;
        let answered = poll_fn(|cx| {
            // Sends, then looks whether that brought the answer, which can come
            // from nowhere else. Once the mover has ended it has settled it.
            if has_ended {
                return answer.as_mut().poll(cx);
            }
            has_ended = mover.as_mut().poll(cx).is_ready();
            answer.as_mut().poll(&mut unwoken())
        })
        .await;
        if !has_ended && answered.is_ok() {
            // Asking for the body would wake whoever the mover was last polled
            // for: this task, which is awake and moves it anyway.
            has_ended = mover.as_mut().poll(&mut unwoken()).is_ready();
        }
        let halves = (!has_ended).then_some(Halves { sender: halves.sender, mover });
        match answered {
            Ok(response) => Ok(response.map(|incoming| body(incoming, halves, pool))),
            Err(error) => Err(unanswered(error)),
        }
    }
}

pub(crate) fn unanswered(mut error: TrySendError<Request>) -> Unanswered {
    let unsent = error.take_message().map(Box::new);
    (call_error(error.error(), unsent.is_some()), unsent)
}

fn call_error(error: &hyper::Error, is_unsent: bool) -> CallError {
    let is_garbage = error.is_parse();
    let (reason, what) = if is_garbage {
        (Reason::BadResponse, "the instance's answer is not valid HTTP")
    } else {
        (Reason::InstanceDied, "the instance closed the connection without an answer")
    };
    CallError { reason, message: format!("{what}: {error}"), instance_is_dead: false, is_unsent }
}

fn body(incoming: Incoming, halves: Option<Halves>, pool: Arc<Pool>) -> ConnectionBody {
    let mut body = ConnectionBody { incoming, halves, pool };
    if body.incoming.is_end_stream() {
        body.settle();
    }
    body
}

/// The body of an answer, moving its connection's bytes as it is read.
pub struct ConnectionBody {
    incoming: Incoming,
    /// `None` once the connection has ended or gone back.
    halves: Option<Halves>,
    pool: Arc<Pool>,
}

impl fmt::Debug for ConnectionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answer of {:?}", self.pool.endpoint)
    }
}

impl ConnectionBody {
    /// Gives the connection back if its exchange is complete.
    fn settle(&mut self) {
        let Some(mut halves) = self.halves.take() else {
            return;
        };
        // The mover learns that the exchange is complete when it is next polled.
        // It needs no waker: whoever takes the connection polls it anew.
        let has_ended = halves.poll_move(&mut unwoken());
        if !has_ended && halves.sender.is_ready() {
            self.pool.put_back(halves);
        }
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
        // What comes, comes by moving, so that is what this task is woken for;
        // when the connection has ended, everything is there.
        let mut frame = Pin::new(&mut this.incoming).poll_frame(&mut unwoken());
        if frame.is_pending() {
            if let Some(halves) = &mut this.halves
                && halves.poll_move(cx)
            {
                this.halves = None;
            }
            frame = match &this.halves {
                Some(_) => Pin::new(&mut this.incoming).poll_frame(&mut unwoken()),
                None => Pin::new(&mut this.incoming).poll_frame(cx),
            };
        }
        if matches!(frame, Poll::Ready(None)) {
            this.settle();
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ConnectionBody {
    fn drop(&mut self) {
        // Whoever reads a body of known length may stop without asking for its end.
        if self.incoming.is_end_stream() {
            self.settle();
        }
    }
}
