//! Accepts connections and serves requests on each.
//!
//! A connection is one task, and its requests run on it: nothing is handed to
//! another thread. When a client goes away, its connection's task drops the
//! handler's future, which is how a request is cancelled. HTTP/1.1 and HTTP/2
//! with prior knowledge share a port; they are told apart by the first bytes.
//!
//! A client has left when its side of the connection ends. HTTP/1.1 lets a client
//! close its sending side and still read the answer (RFC 9112, section 9.6), but
//! nearly none does, and nothing tells it from one that left: it counts as gone.
//! hyper sees the end only once it has read what came before it, so a handler that
//! makes a request wait should meanwhile ask for the first piece of its body.
//!
//! A client that stops reading is cut by the kernel: `TCP_USER_TIMEOUT` ends a
//! connection whose data stays unacknowledged, or whose window stays closed, for
//! [`Limits::client_stall`] (tcp(7)). How closing works when a client is still
//! sending is told in [`crate::linger`].
//!
//! hyper's `pipeline_flush` is left off on purpose: it holds back what is written
//! while anything received is unread, so the head of an answer would wait for a
//! request body that nobody reads yet.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::{BodyError, Request};
use gapless_rt::Shutdown;
use http::Response;
use http_body::Body as HttpBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::activity::{Activity, Counted, Stop};
use crate::linger::Lingering;

/// How long a connection that nobody used may take to close.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of its answers.
    type Body: HttpBody<Data = Bytes, Error = BodyError> + Send + Unpin + 'static;

    /// Answers one. Runs on the connection's task; dropped when the client leaves.
    fn handle(
        &self,
        client: SocketAddr,
        request: Request,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// A connection was opened (`true`) or has closed (`false`).
    fn connection(&self, is_open: bool) {
        let _ = is_open;
    }
}

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's backlog.
    pub connections: usize,
    /// Time for a request's head to arrive, and for the next request after one;
    /// a connection is closed after at most twice this.
    pub header_read: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// How long a client may leave what was sent to it unread.
    pub client_stall: Duration,
    /// How long requests may go on after shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 16_384,
            header_read: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            streams_per_connection: 1_024,
            client_stall: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves until shutdown begins; what is in flight then is tracked by `shutdown`,
/// which waits for it.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: Limits,
    shutdown: Shutdown,
) {
    let open = Arc::new(Semaphore::new(limits.connections));
    let (builder, stop) = (Arc::new(builder(&limits)), Arc::new(Stop::default()));
    loop {
        let permit = tokio::select! {
            permit = open.clone().acquire_owned() => permit,
            () = shutdown.begun() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => break,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        prepare(&stream, &limits);
        let (handler, builder, limits) = (handler.clone(), builder.clone(), limits.clone());
        let stop = stop.clone();
        shutdown.spawn(async move {
            handler.connection(true);
            connection(stream, client, handler.clone(), &builder, &limits, &stop).await;
            handler.connection(false);
            drop(permit);
        });
    }
    stop.stop();
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Instead there is `Activity`, which costs nothing per request.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes);
    builder
        .http2()
        .adaptive_window(true)
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    builder
}

/// Running out of descriptors or memory passes; a connection that broke before
/// it was accepted is nothing.
async fn pause_after(error: &io::Error) {
    let is_about_one_connection =
        matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !is_about_one_connection {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn prepare(stream: &TcpStream, limits: &Limits) {
    // Neither is needed for correctness: a socket that refuses is served as it is.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(limits.client_stall));
}

/// What a connection's requests share.
struct Connection<H> {
    handler: Arc<H>,
    client: SocketAddr,
    activity: Arc<Activity>,
}

impl<H: Handler> Connection<H> {
    async fn answer(self: Arc<Self>, request: Request) -> Response<Counted<H::Body>> {
        let busy = self.activity.begin();
        let response = self.handler.handle(self.client, request).await;
        response.map(|body| Counted::new(body, busy))
    }
}

/// Why a connection is not served on.
enum End {
    /// Clients break connections as they like; that is not ours to report.
    Closed,
    Shutdown,
    Idle,
}

async fn connection<H: Handler>(
    stream: TcpStream,
    client: SocketAddr,
    handler: Arc<H>,
    builder: &Builder<TokioExecutor>,
    limits: &Limits,
    stop: &Stop,
) {
    let activity = Arc::new(Activity::default());
    let shared = Arc::new(Connection { handler, client, activity: activity.clone() });
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let answering = shared.clone().answer(request.map(Into::into));
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let serving =
        builder.serve_connection_with_upgrades(TokioIo::new(Lingering::new(stream)), service);
    let mut serving = pin!(serving);
    let mut stopped = pin!(stop.stopped());
    let mut idle = pin!(activity.idle(limits.header_read));
    let end = poll_fn(|cx| {
        if serving.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Closed);
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Shutdown);
        }
        idle.as_mut().poll(cx).map(|()| End::Idle)
    });
    let grace = match end.await {
        End::Closed => return,
        End::Shutdown => limits.drain,
        End::Idle => IDLE_GRACE,
    };
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(grace, serving).await;
}
