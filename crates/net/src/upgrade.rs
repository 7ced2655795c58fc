//! Upgraded connections (RFC 9110, section 7.8): after `101 Switching Protocols`
//! the bytes of both sides are copied until either closes.

use gapless_proto::{Body, CallError, Endpoint, Request, Response};
use gapless_types::Reason;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::Stream;
use crate::client;

/// Whether a request asks for an upgrade.
pub fn is_wanted(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains_key(http::header::UPGRADE)
        && headers.get_all(http::header::CONNECTION).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
            })
        })
}

/// Sends a request that asks for an upgrade, on a connection of its own. The
/// instance may agree (101), or answer as to any other request. The request is as
/// it was if nothing of it was sent, which the error says.
pub async fn send(endpoint: &Endpoint, request: &mut Request) -> Result<Response, CallError> {
    let (mut sender, mover) = open(endpoint).await?;
    // Here a task is right: the connection outlives the request.
    gapless_rt::spawn(mover.with_upgrades());
    match sender.try_send_request(std::mem::take(request)).await {
        Ok(response) => Ok(response.map(Into::into)),
        Err(mut error) => {
            let unsent = error.take_message();
            let is_unsent = unsent.is_some();
            *request = unsent.unwrap_or_default();
            Err(call_error(error.error(), is_unsent))
        }
    }
}

/// Connects and shakes hands. This is hyper's client and not [`crate::client`]: an
/// upgrade is rare, and lives long.
async fn open(
    endpoint: &Endpoint,
) -> Result<(SendRequest<Body>, Connection<TokioIo<Stream>, Body>), CallError> {
    let stream = client::open(endpoint).await?;
    http1::handshake(TokioIo::new(stream)).await.map_err(|error| CallError {
        reason: Reason::InstanceDied,
        message: format!("cannot speak HTTP to the instance: {error}"),
        instance_is_dead: true,
        is_unsent: true,
    })
}

fn call_error(error: &hyper::Error, is_unsent: bool) -> CallError {
    let (reason, what) = if error.is_parse() {
        (Reason::BadResponse, "the instance's answer is not valid HTTP")
    } else {
        (Reason::InstanceDied, "the instance closed the connection without an answer")
    };
    let message = format!("{what}: {error}");
    CallError { reason, message, instance_is_dead: false, is_unsent }
}

/// Copies between both sides once both have switched; ends when either closes.
/// `held` is dropped then: it stands for whatever the exchange holds.
pub fn join<T: Send + 'static>(client: OnUpgrade, instance: OnUpgrade, held: T) {
    gapless_rt::spawn(async move {
        if let (Ok(client), Ok(instance)) = tokio::join!(client, instance) {
            let (mut client, mut instance) = (TokioIo::new(client), TokioIo::new(instance));
            // Either side may break off as it likes.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut instance).await;
        }
        drop(held);
    });
}
