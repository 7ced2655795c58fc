//! The request as the instance gets it, the call, and the answer's head.

use std::net::SocketAddr;
use std::time::Duration;

use gapless_net::upgrade;
use gapless_proto::{CallError, Request, Response};
use gapless_rt::Clock;
use gapless_telemetry::{Stage, Start, Trace};
use gapless_types::Reason;
use http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri, Version};

use crate::headers;
use crate::queue::{Leased, Queue, Reach};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const X_START: HeaderName = HeaderName::from_static("x-gapless-start");
const X_INSTANCE: HeaderName = HeaderName::from_static("x-gapless-instance");
const X_REVISION: HeaderName = HeaderName::from_static("x-gapless-revision");

/// A request that got no answer, and the request itself if nothing of it was sent.
pub(crate) type Unanswered = (CallError, Option<Box<Request>>);

/// Makes a client's request the one the function gets. `prefix_len` bytes of its
/// path named the function. Returns the protocol it asks to switch to, if any.
pub(crate) fn prepare(
    request: &mut Request,
    client: SocketAddr,
    prefix_len: usize,
) -> Option<HeaderValue> {
    let wants_upgrade = request.version() == Version::HTTP_11 && upgrade::is_wanted(request);
    let protocol = wants_upgrade.then(|| request.headers().get(UPGRADE).cloned()).flatten();
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let prefix = (prefix_len > 0).then(|| path[..prefix_len].to_owned());
    let rest = match &path[prefix_len..] {
        "" => PathAndQuery::from_static("/"),
        rest if rest.starts_with('/') => {
            rest.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
        }
        query => format!("/{query}").parse().unwrap_or_else(|_| PathAndQuery::from_static("/")),
    };
    if prefix.is_some() || request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(rest);
    }
    *request.version_mut() = Version::HTTP_11;
    let fields = request.headers_mut();
    headers::remove_hop_by_hop(fields);
    headers::for_function(fields, client, prefix.as_deref());
    if let Some(protocol) = &protocol {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, protocol.clone());
    }
    protocol
}

/// Sends a request to an instance and waits for the head of its answer.
pub(crate) async fn call(
    leased: &Leased,
    request: Request,
    is_upgrade: bool,
    timeout: Duration,
    clock: Clock,
    trace: &mut Trace,
) -> Result<Response, Unanswered> {
    let began = clock.now();
    let answering = async {
        match &leased.reach {
            Reach::Local(_) if is_upgrade => Err((no_upgrade(), None)),
            Reach::Local(service) => service.call(request).await.map_err(|error| (error, None)),
            Reach::Remote(pool) if is_upgrade => {
                upgrade::send(pool.endpoint(), request).await.map_err(|error| (error, None))
            }
            Reach::Remote(pool) => {
                let connection = match pool.connect().await {
                    Ok(connection) => connection,
                    Err(error) => return Err((error, Some(Box::new(request)))),
                };
                trace.set(Stage::Connect, clock.now() - began);
                connection.send(request).await
            }
        }
    };
    let answered = clock.timeout(timeout, answering).await;
    let connect = trace.get(Stage::Connect).unwrap_or_default();
    trace.set(Stage::Execute, (clock.now() - began).saturating_sub(connect));
    answered.unwrap_or_else(|| Err((late(timeout), None)))
}

fn late(timeout: Duration) -> CallError {
    CallError {
        reason: Reason::Timeout,
        message: format!(
            "the function gave no answer within {}s (spec.timeout)",
            timeout.as_secs_f64()
        ),
        instance_is_dead: false,
        is_unsent: false,
    }
}

fn no_upgrade() -> CallError {
    CallError {
        reason: Reason::BadRequest,
        message: "a component cannot switch protocols; use a function with spec.command".to_owned(),
        instance_is_dead: false,
        is_unsent: false,
    }
}

/// Makes an instance's answer the one the client gets.
pub(crate) fn finish(
    response: &mut Response,
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
    if let Ok(timing) = HeaderValue::try_from(trace.server_timing()) {
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
