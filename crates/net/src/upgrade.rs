//! Upgraded connections (RFC 9110, section 7.8): after `101 Switching Protocols`
//! the bytes of both sides are copied until either closes.

use gapless_proto::{Endpoint, Request, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::client::{self, Unanswered};

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
/// instance may agree (101), or answer as to any other request.
pub async fn send(endpoint: &Endpoint, request: Request) -> Result<Response, Unanswered> {
    let (mut sender, mover) = match client::open(endpoint).await {
        Ok(halves) => halves,
        Err(error) => return Err((error, Some(Box::new(request)))),
    };
    // Here a task is right: the connection outlives the request.
    gapless_rt::spawn(mover.with_upgrades());
    let answered = sender.try_send_request(request).await;
    answered.map(|response| response.map(Into::into)).map_err(client::unanswered)
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
