//! The life of one request, top to bottom, and what the gateway is made of.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use gapless_net::{Handler, Limits, upgrade};
use gapless_proto::{Body, ControlLink, Request, RouteReadiness};
use gapless_rt::{Clock, Shutdown};
use gapless_telemetry::{Metrics, Stage, Start, Trace};
use gapless_types::{Reason, Revision, Time};
use http::header::EXPECT;
use http::{Method, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio::net::TcpListener;

use crate::answer::{self, Answer, Held, InFlight, Source};
use crate::leased::{Leased, Reach};
use crate::queue::{Queue, Verdict};
use crate::refusal::Refusal;
use crate::routes::{Found, Routes};
use crate::shared::Shared;
use crate::ticket::Ticket;
use crate::{forward, own};

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
        GatewayConfig { in_flight_max: 10_000, limits: Limits::default() }
    }
}

/// A gateway.
pub struct Gateway {
    config: GatewayConfig,
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A request on its way, and what is known of it.
struct Exchange {
    request: Request,
    /// Resolves when the client's connection has switched protocols.
    client_upgrade: OnUpgrade,
    is_upgrade: bool,
    /// Whether the body may be asked for before an instance does.
    may_read_early: bool,
    arrived: Time,
    trace: Trace,
    in_flight: InFlight,
}

/// What one attempt to serve a request came to.
enum Attempt {
    Answered(Response<Answer>),
    /// Not served and not to be tried again.
    Failed(Refusal),
    /// Nothing of it was sent.
    Again(Box<Exchange>, Refusal),
}

impl Gateway {
    /// A gateway without routes. Give it its control by [`Gateway::connect`].
    pub fn new(
        config: GatewayConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let control = OnceLock::new();
        let shared = Arc::new(Shared { clock, metrics, control, routes: Routes::default() });
        Arc::new(Gateway { config, shared, shutdown })
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

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn new_queue(&self, revision: Arc<Revision>) -> Arc<Queue> {
        Queue::new(revision, self.shared.clone())
    }

    async fn respond(&self, client: SocketAddr, request: Request) -> Response<Answer> {
        match self.exchange(client, request).await {
            Ok(response) => response,
            Err(refusal) => {
                self.shared.metrics.gateway.refused(refusal.reason);
                refusal.into_response()
            }
        }
    }

    async fn exchange(
        &self,
        client: SocketAddr,
        mut request: Request,
    ) -> Result<Response<Answer>, Refusal> {
        let arrived = self.shared.clock.now();
        if self.shutdown.has_begun() {
            return Err(Refusal::new(Reason::Draining, "the gateway is shutting down"));
        }
        let Some(found) = self.shared.routes.find(own::host(&request), request.uri().path()) else {
            return own::answer(&request);
        };
        if request.method() == Method::CONNECT {
            return Err(Refusal::new(Reason::BadRequest, "CONNECT is not a function's method"));
        }
        let in_flight = self.enter()?;
        let client_upgrade = hyper::upgrade::on(&mut request);
        let may_read_early = !request.headers().contains_key(EXPECT);
        let is_upgrade = forward::prepare(&mut request, client, found.prefix_len);
        let trace = Trace::default();
        let exchange = Exchange {
            request,
            client_upgrade,
            is_upgrade,
            may_read_early,
            arrived,
            trace,
            in_flight,
        };
        self.invoke(&found, exchange).await
    }

    fn enter(&self) -> Result<InFlight, Refusal> {
        let max = self.config.in_flight_max;
        InFlight::enter(max, &self.shared.metrics).ok_or_else(|| {
            let message = format!("the gateway carries {max} requests, as many as it may");
            Refusal::new(Reason::GatewayFull, message)
        })
    }

    /// Tries, and again elsewhere if nothing was sent.
    async fn invoke(
        &self,
        found: &Found,
        mut exchange: Exchange,
    ) -> Result<Response<Answer>, Refusal> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(found, exchange).await {
                Attempt::Answered(response) => return Ok(response),
                Attempt::Failed(refusal) => return Err(refusal),
                Attempt::Again(_, refusal) if attempts == ATTEMPTS_MAX => return Err(refusal),
                Attempt::Again(unsent, _) => exchange = *unsent,
            }
        }
    }

    /// Gets a slot and calls the instance there.
    async fn attempt(&self, found: &Found, mut exchange: Exchange) -> Attempt {
        let current = found.route.current();
        let revision = &current.revision;
        if let RouteReadiness::Failed(why) = &current.readiness {
            let refusal = Refusal::new(Reason::NotReady, why.to_string());
            return Attempt::Failed(refusal.about(revision));
        }
        let queue = current.entry.queue(|| self.new_queue(revision.clone()));
        let body = exchange.request.body_mut();
        let (verdict, ticket) = Ticket::admit(queue, body, exchange.may_read_early).await;
        let leased = match verdict {
            Verdict::Slot(leased) => leased,
            Verdict::Refused(refusal) => {
                let refusal = refusal.about(revision);
                let is_replaced = found.route.current().revision.name != revision.name;
                return if refusal.reason == Reason::FunctionGone && is_replaced {
                    Attempt::Again(Box::new(exchange), refusal)
                } else {
                    Attempt::Failed(refusal)
                };
            }
        };
        if exchange.is_upgrade && matches!(leased.reach, Reach::Local(_)) {
            let message = "a component cannot switch protocols; use a function with spec.command";
            return Attempt::Failed(Refusal::not_implemented(message).about(revision));
        }
        self.call(revision, &leased, ticket, exchange).await
    }

    /// Calls an instance of which a slot is held.
    async fn call(
        &self,
        revision: &Arc<Revision>,
        leased: &Leased,
        ticket: Ticket,
        exchange: Exchange,
    ) -> Attempt {
        let Exchange { request, client_upgrade, is_upgrade, arrived, mut trace, .. } = exchange;
        let clock = self.shared.clock;
        let began = clock.now();
        let start = note_start(leased, arrived, began, &mut trace);
        let (timeout, when) = (revision.spec.timeout.0, (clock, began));
        let calling = forward::call(leased, request, is_upgrade, timeout, when, &mut trace);
        let (error, unsent) = match calling.await {
            Ok(mut response) => {
                forward::finish(&mut response, ticket.queue(), leased, start, &trace);
                let status = response.status().as_u16();
                let _in_flight = exchange.in_flight;
                let held = Held { ticket, _in_flight, arrived, status, start };
                return Attempt::Answered(pass_on(response, is_upgrade, client_upgrade, held));
            }
            Err(unanswered) => unanswered,
        };
        if error.instance_is_dead {
            // Before its slot is free again.
            ticket.queue().broken(leased.id, &error.message);
        }
        let refusal = Refusal::from(error).about(revision);
        match unsent {
            Some(request) => {
                let (may_read_early, in_flight) = (exchange.may_read_early, exchange.in_flight);
                let request = *request;
                let exchange = Exchange {
                    request,
                    client_upgrade,
                    is_upgrade,
                    may_read_early,
                    arrived,
                    trace,
                    in_flight,
                };
                Attempt::Again(Box::new(exchange), refusal)
            }
            None => Attempt::Failed(refusal),
        }
    }
}

/// Notes how long a request waited, and the start it waited for.
fn note_start(leased: &Leased, arrived: Time, began: Time, trace: &mut Trace) -> Start {
    trace.set(Stage::Queue, began - arrived);
    if leased.ready_at < arrived {
        return Start::warm;
    }
    trace.set_start(&leased.start.phases);
    Start::cold
}

/// Passes an answer on, or joins both sides when they switch protocols.
fn pass_on(
    mut response: Response<Source>,
    is_upgrade: bool,
    client: OnUpgrade,
    held: Held,
) -> Response<Answer> {
    if is_upgrade && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let instance = hyper::upgrade::on(&mut response);
        upgrade::join(client, instance, held);
        return response.map(|_| Answer::from(Body::Empty));
    }
    answer::holding(response, held)
}

impl Handler for Gateway {
    type Body = Answer;

    fn handle(
        &self,
        client: SocketAddr,
        request: Request,
    ) -> impl Future<Output = Response<Answer>> + Send {
        self.respond(client, request)
    }

    fn connection(&self, is_open: bool) {
        self.shared.metrics.gateway.connections.inc_by(if is_open { 1 } else { -1 });
    }
}
