//! The life of one request, top to bottom, and what the gateway is made of.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use gapless_net::{Handler, Limits, upgrade};
use gapless_proto::{Body, ControlLink, Request, Response, RouteReadiness};
use gapless_rt::{Clock, Shutdown};
use gapless_telemetry::{Metrics, Stage, Start, Trace};
use gapless_types::{Reason, Revision, Time};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};
use tokio::net::TcpListener;

use crate::answer::{self, Held, InFlight};
use crate::forward;
use crate::queue::{Leased, Queue, Shared, Ticket, Verdict};
use crate::refusal::Refusal;
use crate::routes::{Found, Routes};

/// How often a request is handed to an instance: again only when nothing of it
/// was sent, or when its revision was replaced while it waited.
const ATTEMPTS_MAX: u32 = 4;

/// Bounds of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Requests at a time, over all functions.
    pub in_flight_max: usize,
    /// Bounds of its connections.
    pub limits: Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig { in_flight_max: 20_000, limits: Limits::default() }
    }
}

/// A gateway.
pub struct Gateway {
    config: GatewayConfig,
    shared: Arc<Shared>,
    routes: Routes,
    in_flight: Arc<AtomicUsize>,
    shutdown: Shutdown,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A request and what is known of it while it goes through.
struct Exchange {
    client: SocketAddr,
    arrived: Time,
    trace: Trace,
}

impl Gateway {
    /// A gateway without routes. Give it its control by [`Gateway::connect`].
    pub fn new(
        config: GatewayConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared { clock, metrics, control: OnceLock::new() });
        let (routes, in_flight) = (Routes::default(), Arc::default());
        Arc::new(Gateway { config, shared, routes, in_flight, shutdown })
    }

    /// Says who hears its wishes. Once.
    pub fn connect(&self, control: Arc<dyn ControlLink>) {
        let is_first = self.shared.control.set(control).is_ok();
        debug_assert!(is_first, "a gateway has one control");
    }

    /// Serves until shutdown begins.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let (limits, shutdown) = (self.config.limits.clone(), self.shutdown.clone());
        gapless_net::serve(listener, self, limits, shutdown).await;
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(crate) fn control(&self) -> Option<&Arc<dyn ControlLink>> {
        self.shared.control.get()
    }

    pub(crate) fn new_queue(&self, revision: Arc<Revision>) -> Arc<Queue> {
        Queue::new(revision, self.shared.clone())
    }

    async fn respond(&self, client: SocketAddr, request: Request) -> Response {
        match self.exchange(client, request).await {
            Ok(response) => response,
            Err(refusal) => {
                self.shared.metrics.gateway.refused(refusal.reason);
                refusal.into_response()
            }
        }
    }

    async fn exchange(&self, client: SocketAddr, request: Request) -> Result<Response, Refusal> {
        let arrived = self.shared.clock.now();
        if self.shutdown.has_begun() {
            return Err(Refusal::new(Reason::Draining, "the gateway is shutting down"));
        }
        let found = match self.find(&request) {
            Some(found) => found,
            None => return own_answer(&request),
        };
        if request.method() == Method::CONNECT {
            return Err(Refusal::new(Reason::BadRequest, "CONNECT is not a function's method"));
        }
        let max = self.config.in_flight_max;
        let in_flight =
            InFlight::enter(&self.in_flight, max, &self.shared.metrics).ok_or_else(|| {
                let message = format!("the gateway carries {max} requests, as many as it may");
                Refusal::new(Reason::GatewayFull, message)
            })?;
        let exchange = Exchange { client, arrived, trace: Trace::default() };
        self.invoke(found, request, exchange, in_flight).await
    }

    fn find(&self, request: &Request) -> Option<Found> {
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST).and_then(|host| host.to_str().ok())?,
        };
        self.routes.find(host, request.uri().path())
    }

    /// Gets a slot, calls the instance there, and again elsewhere if nothing was
    /// sent.
    async fn invoke(
        &self,
        found: Found,
        mut request: Request,
        mut exchange: Exchange,
        in_flight: InFlight,
    ) -> Result<Response, Refusal> {
        let client_upgrade = hyper::upgrade::on(&mut request);
        let protocol = forward::prepare(&mut request, exchange.client, found.prefix_len);
        let is_upgrade = protocol.is_some();
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            let current = found.route.current();
            let name = &current.revision.name;
            if let RouteReadiness::Failed(why) = &current.readiness {
                return Err(Refusal::new(Reason::NotReady, &**why).about(name));
            }
            let queue = current.entry.queue(|| self.new_queue(current.revision.clone()));
            let (leased, ticket) = match queue.admit().await {
                (Verdict::Slot(leased), ticket) => (leased, ticket),
                (Verdict::Refused(refusal), _) => {
                    let was_replaced = found.route.current().revision.name != *name;
                    if refusal.reason == Reason::FunctionGone && was_replaced {
                        last = Some(refusal.about(name));
                        continue;
                    }
                    return Err(refusal.about(name));
                }
            };
            let start = self.note_start(&leased, &mut exchange);
            let timeout = current.revision.spec.timeout.0;
            let clock = self.shared.clock;
            let calling =
                forward::call(&leased, request, is_upgrade, timeout, clock, &mut exchange.trace);
            let (error, unsent) = match calling.await {
                Ok(mut response) => {
                    forward::finish(&mut response, queue, &leased, start, &exchange.trace);
                    let status = response.status().as_u16();
                    let arrived = exchange.arrived;
                    let held = Held { ticket, in_flight, clock, arrived, status, start };
                    return Ok(pass_on(response, is_upgrade, client_upgrade, held));
                }
                Err(unanswered) => unanswered,
            };
            note_failure(&ticket, &leased, &error);
            drop(ticket);
            last = Some(Refusal::from(error).about(name));
            match unsent {
                Some(unsent) => request = *unsent,
                None => break,
            }
        }
        Err(last.unwrap_or_else(|| Refusal::new(Reason::InstanceDied, "no instance answered")))
    }

    /// Notes how long the request waited, and the start it waited for.
    fn note_start(&self, leased: &Leased, exchange: &mut Exchange) -> Start {
        let waited = self.shared.clock.now() - exchange.arrived;
        exchange.trace.set(Stage::Queue, waited);
        if leased.ready_at < exchange.arrived {
            return Start::warm;
        }
        exchange.trace.set_start(&leased.start.phases);
        Start::cold
    }
}

/// An instance that died takes no further request.
fn note_failure(ticket: &Ticket, leased: &Leased, error: &gapless_proto::CallError) {
    if error.instance_is_dead {
        ticket.queue().broken(leased.id, &error.message);
    }
}

/// Passes an answer on, or joins both sides when they switch protocols.
fn pass_on(
    mut response: Response,
    is_upgrade: bool,
    client: hyper::upgrade::OnUpgrade,
    held: Held,
) -> Response {
    if is_upgrade && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let instance = hyper::upgrade::on(&mut response);
        upgrade::join(client, instance, held);
        return response.map(|_| Body::Empty);
    }
    answer::holding(response, held)
}

/// Answers a request that is for no function.
fn own_answer(request: &Request) -> Result<Response, Refusal> {
    if request.uri().path() == "/healthz" {
        let mut response = Response::new(Body::from("ok\n"));
        let text = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, text);
        return Ok(response);
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let message = format!(
        "no function answers to host {host:?} and path {:?}; a function NAME in NAMESPACE answers to \
         the host NAME.NAMESPACE.localhost and to the path /fn/NAMESPACE/NAME/ \
         (see `gapless get functions -A`)",
        request.uri().path()
    );
    Err(Refusal::new(Reason::NoSuchFunction, message))
}

impl Handler for Gateway {
    fn handle(
        &self,
        client: SocketAddr,
        request: Request,
    ) -> impl Future<Output = Response> + Send {
        self.respond(client, request)
    }

    fn connection(&self, is_open: bool) {
        self.shared.metrics.gateway.connections.inc_by(if is_open { 1 } else { -1 });
    }
}
