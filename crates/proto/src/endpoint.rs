//! How an instance is reached.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use gapless_types::Reason;

use crate::Body;

/// A request on its way to an instance.
pub type Request = http::Request<Body>;
/// An instance's answer.
pub type Response = http::Response<Body>;

/// Where an instance takes requests.
#[derive(Clone)]
pub enum Endpoint {
    /// In this process: a call, no socket.
    Local(Arc<dyn LocalService>),
    /// HTTP/1.1 on a Unix socket.
    Unix(Arc<Path>),
    /// HTTP/1.1 on a TCP address.
    Tcp(SocketAddr),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Local(_) => f.write_str("local"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// The future of one call.
pub type LocalCall = Pin<Box<dyn Future<Output = Result<Response, CallError>> + Send>>;

/// An instance in this process.
///
/// The future runs the guest on the caller's task, so a request needs no
/// hand-off to another thread. Dropping it, or dropping the response's body
/// before its end, cancels the invocation and frees what it held.
pub trait LocalService: Send + Sync {
    /// Serves one request. Resolves with the response's head; the body streams after it.
    fn call(&self, request: Request) -> LocalCall;
}

/// Why an instance gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What the caller of the function is told.
    pub reason: Reason,
    /// Cause, for people.
    pub message: String,
    /// Whether the instance can take no further request.
    pub instance_is_dead: bool,
    /// Whether nothing of the request reached the instance, so that it may be sent again.
    pub is_unsent: bool,
}
