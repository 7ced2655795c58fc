//! The load generator: raw HTTP/1.1 over keep-alive TCP connections.
//!
//! It shares the machine with what it measures, so a request costs it one write,
//! one or two reads and a parse into buffers that are reused; there is no HTTP
//! library and no allocation per request, and its connections count into one
//! [`Report`] behind a lock that one thread of load never finds taken (a histogram
//! for each connection of a burst would cost more than the burst). What always
//! holds: every answer's status and body go through the caller's [`Check`], and an
//! answer that fails it is counted as wrong, never as a sample.
//!
//! | shape | where | who waits |
//! |---|---|---|
//! | closed loop | [`closed_loop`] | each connection sends when it has its answer |
//! | open loop | [`open_loop`] | each connection sends when its time has come; latency counts from then |
//! | burst | [`burst`] | every connection sends one request at the same moment |

mod connection;
mod report;
mod shapes;

pub use connection::{Answer, Connection};
pub use report::Report;
pub(crate) use report::{histogram, quantile_ms, record, stage_ms};
pub use shapes::{Burst, Load, burst, closed_loop, open_loop, prepare};

use std::net::SocketAddr;
use std::sync::Arc;

/// Judges an answer: why it is wrong, if it is.
pub type Check = Arc<dyn Fn(&Answer<'_>) -> Result<(), String> + Send + Sync>;

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to.
    pub address: SocketAddr,
    /// The request's bytes, head and body.
    pub request: Arc<[u8]>,
}

impl Target {
    /// A request of `method` for `path` at `address`, naming `host`, with `body`.
    pub fn new(address: SocketAddr, host: &str, method: &str, path: &str, body: &[u8]) -> Self {
        Target::with_fields(address, &[("host", host)], method, path, body)
    }

    /// A request with these header fields, `host` among them, and the length of `body`.
    pub fn with_fields(
        address: SocketAddr,
        fields: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in fields {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        if !body.is_empty() || matches!(method, "PUT" | "POST") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        Target { address, request: [head.as_bytes(), body].concat().into() }
    }

    /// `GET path` at `address`.
    pub fn get(address: SocketAddr, host: &str, path: &str) -> Self {
        Target::new(address, host, "GET", path, b"")
    }
}

/// Accepts `200` with exactly this body.
pub fn expect_body(body: &[u8]) -> Check {
    let expected: Arc<[u8]> = body.into();
    Arc::new(move |answer| match (answer.status, answer.body == &*expected) {
        (200, true) => Ok(()),
        (200, false) => Err(format!("an unexpected body of {} bytes", answer.body.len())),
        _ => Err(answer.describe()),
    })
}

#[cfg(test)]
mod tests;
