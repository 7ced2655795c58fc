//! One invocation of a guest, as a future that owns everything it needs and can
//! be polled by whoever holds it.
//!
//! The response's head leaves it by a slot, not by a channel: whoever polls the
//! guest looks into the slot afterwards, so there is nobody to wake.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::channel::oneshot;
use gapless_proto::{BodyError, Request};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::handler::{Prepared, Proxy, ProxyPre};
use wasmtime_wasi_http::p2::bindings::Proxy as P2;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use crate::failure::GuestFailure;
use crate::host::Host;
use crate::live::Live;
use crate::seat::Seat;

/// A response's head with the body behind it.
pub(crate) type GuestResponse = http::Response<WasiBody>;

/// A guest at work.
pub(crate) type Guest = Pin<Box<dyn Future<Output = GuestEnd> + Send>>;

/// A guest that has ended.
pub(crate) struct GuestEnd {
    /// Its store, when it came to no harm.
    pub(crate) live: Option<Live>,
    pub(crate) result: Result<(), GuestFailure>,
}

type P2Slot = Arc<Mutex<Option<Result<GuestResponse, ErrorCode>>>>;
type P3Sender = oneshot::Sender<Result<GuestResponse, wasmtime::Error>>;

/// Where the response's head appears.
pub(crate) enum Head {
    P2(P2Slot),
    P3(oneshot::Receiver<Result<GuestResponse, wasmtime::Error>>),
}

impl Head {
    /// The head, once. An error is the guest's own answer "I failed".
    pub(crate) fn take(&mut self) -> Option<Result<GuestResponse, wasmtime::Error>> {
        match self {
            Head::P2(slot) => slot.lock().take().map(|set| set.map_err(Into::into)),
            Head::P3(receiver) => receiver.try_recv().ok().flatten(),
        }
    }

    /// Whether only the guest itself can add to the response's body.
    pub(crate) fn body_is_guests_own(&self) -> bool {
        matches!(self, Head::P2(_))
    }
}

enum HeadSender {
    P2(P2Slot),
    P3(P3Sender),
}

/// Makes the invocation of one request; nothing runs until it is polled.
pub(crate) fn invoke(seat: &Arc<Seat>, request: Request, deadline: Instant) -> (Guest, Head) {
    let (sender, head) = match seat.module.pre {
        ProxyPre::P2(_) => {
            let slot = P2Slot::default();
            (HeadSender::P2(slot.clone()), Head::P2(slot))
        }
        ProxyPre::P3(_) => {
            let (sender, receiver) = oneshot::channel();
            (HeadSender::P3(sender), Head::P3(receiver))
        }
    };
    let ready = seat.take_idle();
    (Box::pin(run(seat.clone(), ready, request, sender, deadline)), head)
}

async fn run(
    seat: Arc<Seat>,
    ready: Option<Live>,
    request: Request,
    head: HeadSender,
    deadline: Instant,
) -> GuestEnd {
    let mut live = match ready {
        Some(live) => live,
        None => match seat.make_live().await {
            Ok(live) => live,
            Err(error) => {
                return GuestEnd { live: None, result: Err(GuestFailure::NotInstantiated(error)) };
            }
        },
    };
    live.begin(deadline);
    let result = match (&live.proxy, head) {
        (Proxy::P2(proxy), HeadSender::P2(slot)) => {
            run_p2(&mut live.store, proxy, request, slot).await
        }
        (proxy, HeadSender::P3(sender)) => run_p3(&mut live.store, proxy, request, sender).await,
        (Proxy::P3(_), HeadSender::P2(_)) => unreachable!("both come from the module's generation"),
    };
    match result {
        Ok(()) => GuestEnd { live: Some(live), result: Ok(()) },
        Err(failure) => GuestEnd { live: None, result: Err(failure) },
    }
}

async fn run_p2(
    store: &mut Store<Host>,
    proxy: &P2,
    request: Request,
    slot: P2Slot,
) -> Result<(), GuestFailure> {
    let request = request.map(|body| body.map_err(from_body_error));
    let mut view = store.data_mut().http();
    let request =
        view.new_incoming_request(Scheme::Http, request).map_err(GuestFailure::BadRequest)?;
    let out = view
        .new_response_outparam_from_callback(move |set| *slot.lock() = Some(set))
        .map_err(GuestFailure::NotInstantiated)?;
    let called = proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await;
    called.map_err(|error| died(store, error))
}

/// A 0.3 guest may go on after its response, in tasks of its own; it has ended
/// when none of them is left.
async fn run_p3(
    store: &mut Store<Host>,
    proxy: &Proxy,
    request: Request,
    sender: P3Sender,
) -> Result<(), GuestFailure> {
    let request = request.map(|body| body.map_err(from_body_error).boxed_unsync());
    let ran = store
        .run_concurrent(async |accessor| {
            let prepared = accessor.with(|mut access| {
                Prepared::new(access.as_context_mut(), proxy, request, Host::http, sender)
            })?;
            prepared.run(accessor, std::future::pending()).await?;
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::Result::Ok(())
        })
        .await;
    ran.and_then(|result| result).map_err(|error| died(store, error))
}

fn died(store: &Store<Host>, error: wasmtime::Error) -> GuestFailure {
    GuestFailure::Died { error, memory_was_refused: store.data().memory_was_refused() }
}

/// What a guest is told of a request body that ended early.
fn from_body_error(error: BodyError) -> Error {
    Error::InternalError(Some(error.to_string()))
}
