//! The request as the instance gets it, the call, and the answer's head.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gapless_net::{Connected, Pool, upgrade};
use gapless_proto::{CallError, Request};
use gapless_rt::Clock;
use gapless_telemetry::{Stage, Start, Trace};
use gapless_types::{Reason, Time};
use http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Response, StatusCode, Uri, Version};

use crate::answer::Source;
use crate::headers;
use crate::leased::{Leased, Reach};
use crate::queue::Queue;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const X_START: HeaderName = HeaderName::from_static("x-gapless-start");
const X_INSTANCE: HeaderName = HeaderName::from_static("x-gapless-instance");
const X_REVISION: HeaderName = HeaderName::from_static("x-gapless-revision");

/// Makes a client's request the one the function gets. `prefix_len` bytes of its
/// path named the function. Returns whether it asks to switch protocols.
pub(crate) fn prepare(request: &mut Request, client: SocketAddr, prefix_len: usize) -> bool {
    let protocol = wanted_protocol(request);
    name_host(request);
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let prefix = (prefix_len > 0).then(|| path[..prefix_len].to_owned());
    if prefix_len > 0 || request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(stripped(&path[prefix_len..]));
    }
    *request.version_mut() = Version::HTTP_11;
    let fields = request.headers_mut();
    headers::remove_hop_by_hop(fields);
    headers::for_function(fields, client, prefix.as_deref());
    let is_upgrade = protocol.is_some();
    if let Some(protocol) = protocol {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, protocol);
    }
    is_upgrade
}

/// What a request wants to switch to. An offer to go on as HTTP/2 is not taken up
/// (RFC 9113 withdrew it), which a server is free to do.
fn wanted_protocol(request: &Request) -> Option<HeaderValue> {
    if request.version() != Version::HTTP_11 || !upgrade::is_wanted(request) {
        return None;
    }
    request.headers().get(UPGRADE).filter(|protocol| *protocol != "h2c").cloned()
}

/// HTTP/2 and absolute targets name the host in the target; the instance, which
/// is spoken to in HTTP/1.1, gets it as `Host` (RFC 9112, section 3.2.2).
fn name_host(request: &mut Request) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// The target that is left once the function's name is taken off.
fn stripped(rest: &str) -> PathAndQuery {
    let target = match rest.as_bytes().first() {
        None => return PathAndQuery::from_static("/"),
        Some(b'?') => format!("/{rest}").parse(),
        Some(_) => rest.parse(),
    };
    // It was part of a valid target.
    target.unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

/// Sends a request to an instance and waits for the head of its answer. The slot
/// is held since `began`. The request is as it was if nothing of it was sent, which
/// the error says.
pub(crate) async fn call(
    leased: &Leased,
    request: &mut Request,
    is_upgrade: bool,
    timeout: Duration,
    (clock, began): (Clock, Time),
    trace: &mut Trace,
) -> Result<Response<Source>, CallError> {
    let answered = match &leased.reach {
        Reach::Remote(pool) if !is_upgrade => {
            let answered = remote(pool, request, (clock, began + timeout), trace).await;
            answered.map_err(|error| match error.reason {
                Reason::Timeout => late(timeout),
                _ => error,
            })
        }
        reach => clock
            .timeout(timeout, other(reach, request))
            .await
            .unwrap_or_else(|| Err(late(timeout))),
    };
    let connect = trace.get(Stage::Connect).unwrap_or_default();
    trace.set(Stage::Execute, (clock.now() - began).saturating_sub(connect));
    answered
}

/// Calls an instance by a connection of its pool, at most `until`.
async fn remote(
    pool: &Arc<Pool>,
    request: &mut Request,
    (clock, until): (Clock, Time),
    trace: &mut Trace,
) -> Result<Response<Source>, CallError> {
    let connection = match pool.idle() {
        Some(connection) => connection,
        None => {
            let left = until - clock.now();
            // Boxed, as few requests come here and all would carry its size.
            let connecting = Box::pin(connect(pool, clock, trace));
            clock.timeout(left, connecting).await.unwrap_or_else(|| Err(late(left)))?
        }
    };
    let response = connection.send(request, clock.instant(until)).await?;
    Ok(response.map(Source::Connection))
}

/// Calls a component, or asks a program to switch protocols.
async fn other(reach: &Reach, request: &mut Request) -> Result<Response<Source>, CallError> {
    let answered = match reach {
        // The component has the request, so it cannot be tried elsewhere.
        Reach::Local(service) => service
            .call(std::mem::take(request))
            .await
            .map_err(|error| CallError { is_unsent: false, ..error }),
        Reach::Remote(pool) => Box::pin(upgrade::send(pool.endpoint(), request)).await,
    };
    answered.map(|response| response.map(Source::Body))
}

async fn connect(
    pool: &Arc<Pool>,
    clock: Clock,
    trace: &mut Trace,
) -> Result<Connected, CallError> {
    let began = clock.now();
    let connected = pool.connect().await;
    trace.set(Stage::Connect, clock.now() - began);
    connected
}

fn late(timeout: Duration) -> CallError {
    let seconds = timeout.as_secs_f64();
    CallError {
        reason: Reason::Timeout,
        message: format!("the function gave no answer within {seconds}s (spec.timeout)"),
        instance_is_dead: false,
        is_unsent: false,
    }
}

/// Makes an instance's answer the one the client gets.
pub(crate) fn finish(
    response: &mut Response<Source>,
    queue: &Queue,
    leased: &Leased,
    start: Start,
    trace: &Trace,
) {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    let protocol = if is_switching { fields.get(UPGRADE).cloned() } else { None };
    headers::remove_hop_by_hop(fields);
    if let Some(protocol) = protocol {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, protocol);
    }
    if let Ok(timing) = HeaderValue::from_bytes(trace.server_timing().as_bytes()) {
        fields.append(SERVER_TIMING, timing);
    }
    let start = match start {
        Start::warm => "warm",
        Start::cold => "cold",
    };
    fields.insert(X_START, HeaderValue::from_static(start));
    fields.insert(X_INSTANCE, leased.label.clone());
    fields.insert(X_REVISION, queue.label.clone());
}
