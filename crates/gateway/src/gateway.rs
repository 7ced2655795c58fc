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
use crate::routes::{Current, Found, Routes, Target};
use crate::shared::Shared;
use crate::ticket::Ticket;
use crate::{forward, own};

/// How often a request is handed to an instance: again only when nothing of it
/// was sent.
const ATTEMPTS_MAX: u32 = 4;
/// How often a request that waits is moved because its revision was replaced. Each
/// takes a change of the route, and where it is moved to it waits anew.
const MOVES_MAX: u32 = 1_000;

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
    /// Resolves when the client's connection has switched protocols, if it wants to.
    client_upgrade: Option<OnUpgrade>,
    is_upgrade: bool,
    /// Whether the body may be asked for before an instance does.
    may_read_early: bool,
    arrived: Time,
    trace: Trace,
    /// Until the answer holds it.
    in_flight: Option<InFlight>,
}

/// What one attempt to serve a request came to.
enum Attempt {
    Answered(Response<Answer>),
    /// Not served and not to be tried again.
    Failed(Refusal),
    /// Nothing of it was sent, and the request is as it was.
    Again(Refusal),
    /// Its revision takes nothing any more, and others may.
    Moved(Refusal),
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
        let in_flight = Some(self.enter()?);
        let may_read_early = !request.headers().contains_key(EXPECT);
        let is_upgrade = forward::prepare(&mut request, client, found.prefix_len);
        let client_upgrade = is_upgrade.then(|| hyper::upgrade::on(&mut request));
        let trace = Trace::default();
        let mut exchange = Exchange {
            request,
            client_upgrade,
            is_upgrade,
            may_read_early,
            arrived,
            trace,
            in_flight,
        };
        self.invoke(&found, &mut exchange).await
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
        exchange: &mut Exchange,
    ) -> Result<Response<Answer>, Refusal> {
        let (mut attempts_left, mut moves_left) = (ATTEMPTS_MAX, MOVES_MAX);
        loop {
            let (refusal, left) = match self.attempt(found, exchange).await {
                Attempt::Answered(response) => return Ok(response),
                Attempt::Failed(refusal) => return Err(refusal),
                Attempt::Again(refusal) => (refusal, &mut attempts_left),
                Attempt::Moved(refusal) => (refusal, &mut moves_left),
            };
            *left -= 1;
            if *left == 0 {
                return Err(refusal);
            }
        }
    }

    /// Gets a slot and calls the instance there.
    async fn attempt(&self, found: &Found, exchange: &mut Exchange) -> Attempt {
        let (current, chosen) = found.route.choose(found.tag.as_deref());
        let Some(chosen) = chosen else {
            return Attempt::Failed(leads_nowhere(&current, found.tag.as_deref()));
        };
        let Target { revision, readiness, entry } = &current.targets[chosen];
        if let RouteReadiness::Failed(why) = readiness {
            let refusal = Refusal::new(Reason::NotReady, why.to_string());
            return Attempt::Failed(refusal.about(revision));
        }
        let queue = entry.queue(|| self.new_queue(revision.clone()));
        let body = exchange.request.body_mut();
        let (verdict, ticket) = Ticket::admit(queue, body, exchange.may_read_early).await;
        let leased = match verdict {
            Verdict::Slot(leased) => leased,
            Verdict::Refused(refusal) => {
                let refusal = refusal.about(revision);
                if refusal.reason == Reason::FunctionGone && !found.route.is_removed() {
                    return Attempt::Moved(refusal);
                }
                queue.tally.refused(refusal.reason);
                return Attempt::Failed(refusal);
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
        exchange: &mut Exchange,
    ) -> Attempt {
        let Exchange { request, is_upgrade, arrived, trace, .. } = exchange;
        let (is_upgrade, arrived) = (*is_upgrade, *arrived);
        let clock = self.shared.clock;
        let began = clock.now();
        let start = note_start(leased, arrived, began, trace);
        let (timeout, when) = (revision.spec.timeout.0, (clock, began));
        let error = match forward::call(leased, request, is_upgrade, timeout, when, trace).await {
            Ok(mut response) => {
                forward::finish(&mut response, ticket.queue(), leased, start, trace);
                let status = response.status().as_u16();
                let took = clock.now() - began;
                ticket.queue().tally.answered(status, took);
                leased.answered(took);
                if start == Start::cold {
                    ticket.queue().tally.was_cold();
                }
                let _in_flight = exchange.in_flight.take();
                let held = Held { ticket, _in_flight, arrived, status, start };
                let client = exchange.client_upgrade.take();
                return Attempt::Answered(pass_on(response, client, held));
            }
            Err(error) => error,
        };
        if error.instance_is_dead {
            // Before its slot is free again.
            ticket.queue().broken(leased.id, &error.message);
        }
        let is_unsent = error.is_unsent;
        let refusal = Refusal::from(error).about(revision);
        if is_unsent {
            return Attempt::Again(refusal);
        }
        ticket.queue().tally.unanswered(refusal.reason, clock.now() - began);
        Attempt::Failed(refusal)
    }
}

/// A request whose tag, or whose function, has no revision to go to.
fn leads_nowhere(current: &Current, tag: Option<&str>) -> Refusal {
    let Some(tag) = tag else {
        let message = "no revision of the function takes requests; see its spec.traffic";
        return Refusal::new(Reason::NotReady, message);
    };
    let tags: Vec<&str> = current.tags().collect();
    let known = match tags.as_slice() {
        [] => "it has none".to_owned(),
        tags => format!("its tags are {}", tags.join(", ")),
    };
    let message = format!("the function has no tag {tag:?}; {known} (spec.traffic)");
    Refusal::new(Reason::NoSuchTag, message)
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
    client: Option<OnUpgrade>,
    held: Held,
) -> Response<Answer> {
    if let Some(client) = client
        && response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
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
