//! One request to a seat, from the request to the response's head.
//!
//! Hot path: a guest that answers without waiting is polled once, here, and is
//! over: no task, no channel, no timer, nothing shared. Only a guest that waits
//! gets those.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use gapless_proto::{Body, CallError, Request, Response};
use http::Method;

use crate::body::{GuestBody, at_once, linger};
use crate::failure::no_answer;
use crate::guest::{GuestEnd, GuestResponse, Head, invoke};
use crate::run::{Cancel, Running, Step};
use crate::seat::{Permit, Seat};

/// Serves one request.
pub(crate) async fn call(seat: Arc<Seat>, mut request: Request) -> Result<Response, CallError> {
    let permit = seat.enter()?;
    let deadline = Instant::now() + seat.terms.timeout;
    name_host(&mut request);
    let is_head = request.method() == Method::HEAD;
    let (mut guest, mut head) = invoke(&seat, request, deadline);
    let first = poll_fn(|cx| {
        seat.ticker().touch();
        Poll::Ready(guest.as_mut().poll(cx))
    });
    match first.await {
        Poll::Ready(end) => {
            drop(guest);
            ended(&seat, end, permit, &mut head)
        }
        Poll::Pending => {
            let running = Running::share(seat, guest, permit, deadline);
            wait(running, head, is_head).await
        }
    }
}

/// A guest has to learn an authority; HTTP/1.0 requests may come without.
fn name_host(request: &mut Request) {
    let is_named =
        request.uri().authority().is_some() || request.headers().contains_key(http::header::HOST);
    if !is_named {
        let unknown = http::HeaderValue::from_static("localhost");
        request.headers_mut().insert(http::header::HOST, unknown);
    }
}

/// The answer of a guest that is over.
fn ended(
    seat: &Arc<Seat>,
    end: GuestEnd,
    permit: Permit,
    head: &mut Head,
) -> Result<Response, CallError> {
    let is_guests_own = head.body_is_guests_own();
    let response = match (end.result, head.take()) {
        (Err(failure), _) => {
            let error = failure.into_call_error(&seat.terms);
            seat.note(&error.message);
            Err(error)
        }
        (Ok(()), None) => Err(no_answer(None)),
        (Ok(()), Some(Err(said))) => Err(no_answer(Some(said))),
        (Ok(()), Some(Ok(response))) => Ok(response.map(|body| at_once(body, is_guests_own))),
    };
    seat.recycle(end.live, permit);
    response
}

/// Goes on with a guest that waits, until the head is there.
async fn wait(running: Running, mut head: Head, is_head: bool) -> Result<Response, CallError> {
    // A head that was set before the guest began to wait.
    if let Some(set) = head.take() {
        return answer(running, set, &head, is_head);
    }
    let late = tokio::time::sleep_until(running.deadline.into());
    let mut late = std::pin::pin!(late);
    let step = poll_fn(|cx| poll_until_head(&running, &mut head, late.as_mut(), cx)).await;
    match step {
        Waited::Head(set) => answer(running, set, &head, is_head),
        Waited::Over(Step::Ended(end, permit)) => ended(&running.seat, end, permit, &mut head),
        Waited::Over(Step::Cancelled(why)) => {
            let error = running.cancelled(why);
            running.seat.note(&error.message);
            Err(error)
        }
    }
}

enum Waited {
    Head(Result<GuestResponse, wasmtime::Error>),
    Over(Step),
}

fn poll_until_head(
    running: &Running,
    head: &mut Head,
    late: Pin<&mut tokio::time::Sleep>,
    cx: &mut Context<'_>,
) -> Poll<Waited> {
    // An end with a head is a whole answer, so it goes first.
    if let Poll::Ready(step) = running.poll(cx) {
        return Poll::Ready(Waited::Over(step));
    }
    if let Some(set) = head.take() {
        return Poll::Ready(Waited::Head(set));
    }
    if late.poll(cx).is_ready() {
        running.cancel(Cancel::TimedOut);
        return Poll::Ready(Waited::Over(Step::Cancelled(Cancel::TimedOut)));
    }
    Poll::Pending
}

/// The answer of a guest that is still at work on the body.
fn answer(
    running: Running,
    set: Result<GuestResponse, wasmtime::Error>,
    head: &Head,
    is_head: bool,
) -> Result<Response, CallError> {
    let response = set.map_err(|said| no_answer(Some(said)))?;
    let (parts, body) = response.into_parts();
    if is_head {
        // Nobody will read a body: the guest finds its stream closed and goes on.
        drop(body);
        linger(running);
        return Ok(Response::from_parts(parts, Body::Empty));
    }
    let streamed = GuestBody::new(running, body, &parts.headers, head.body_is_guests_own());
    Ok(Response::from_parts(parts, Body::boxed(streamed)))
}
