//! One revision's dispatch core and what its numbers stand for: request ids are
//! clients that wait here, instance ids are leases.
//!
//! The core is driven by whoever has an event for it, under one lock held for a
//! few hundred nanoseconds: a task that owned it would cost every request two
//! hand-offs between threads. What the core wants from control is collected
//! under the lock and said after it is released.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::channel::oneshot;
use gapless_dispatch::{Action, Config, Dispatch, Event};
use gapless_net::Pool;
use gapless_proto::{
    ControlLink, Demand, Endpoint, InstanceFact, Lease, LocalService, StartReport, StartsBlocked,
};
use gapless_rt::{Clock, Timer};
use gapless_telemetry::{FunctionMetrics, Metrics};
use gapless_types::{Code, InstanceId, Reason, RequestId, Revision, Time};
use http::HeaderValue;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::refusal::Refusal;

/// What every queue of a gateway uses.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) control: OnceLock<Arc<dyn ControlLink>>,
}

/// An instance this gateway holds the lease of.
pub(crate) struct Leased {
    pub(crate) id: InstanceId,
    pub(crate) reach: Reach,
    pub(crate) start: Arc<StartReport>,
    pub(crate) ready_at: Time,
    /// Its id, as a header's value.
    pub(crate) label: HeaderValue,
}

/// How an instance is reached.
pub(crate) enum Reach {
    /// By a call.
    Local(Arc<dyn LocalService>),
    /// By a connection.
    Remote(Arc<Pool>),
}

/// What became of a request that asked for a slot.
pub(crate) enum Verdict {
    Slot(Arc<Leased>),
    Refused(Refusal),
}

/// A revision's queue.
pub(crate) struct Queue {
    pub(crate) revision: Arc<Revision>,
    pub(crate) metrics: FunctionMetrics,
    /// The revision's name, as a header's value.
    pub(crate) label: HeaderValue,
    shared: Arc<Shared>,
    me: Weak<Queue>,
    timer: OnceLock<Timer>,
    state: Mutex<State>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue of {}", self.revision.name)
    }
}

struct State {
    core: Dispatch,
    actions: Vec<Action>,
    waiting: HashMap<RequestId, oneshot::Sender<Verdict>>,
    leases: HashMap<InstanceId, Arc<Leased>>,
    last_request: u64,
    demand_seq: u64,
    block_message: Option<Arc<str>>,
    is_closed: bool,
}

/// What is said once the lock is released.
enum Effect {
    Demand(Demand),
    Idle(InstanceId),
    Released(InstanceId),
    Wake(Time),
}

type Effects = SmallVec<[Effect; 2]>;

impl Queue {
    pub(crate) fn new(revision: Arc<Revision>, shared: Arc<Shared>) -> Arc<Self> {
        let state = State {
            core: Dispatch::new(config(&revision)),
            actions: Vec::new(),
            waiting: HashMap::new(),
            leases: HashMap::new(),
            last_request: 0,
            demand_seq: 0,
            block_message: None,
            is_closed: false,
        };
        Arc::new_cyclic(|me| Queue {
            metrics: shared.metrics.gateway.function(&revision.function),
            label: header_value(revision.name.short()),
            revision,
            shared,
            me: me.clone(),
            timer: OnceLock::new(),
            state: Mutex::new(state),
        })
    }

    /// Asks for a slot and waits for it. The ticket holds the place in the queue
    /// and then the slot; dropping it gives back what it holds.
    pub(crate) async fn admit(self: &Arc<Self>) -> (Verdict, Ticket) {
        let mut effects = Effects::new();
        let (request, decided) = {
            let mut state = self.state.lock();
            state.last_request += 1;
            let request = RequestId(state.last_request);
            let now = self.shared.clock.now();
            let mut decided = state.step(now, Event::Arrive { request }, &mut effects, request);
            let waiting = if decided.is_none() {
                let (tell, told) = oneshot::channel();
                state.waiting.insert(request, tell);
                Some(told)
            } else {
                None
            };
            (request, decided.take().ok_or(waiting))
        };
        self.perform(effects);
        let mut ticket = Ticket { queue: self.clone(), request, ending: Ending::Cancel };
        let verdict = match decided {
            Ok(verdict) => verdict,
            Err(Some(told)) => {
                let asked_at = self.shared.clock.now();
                let queued = &self.shared.metrics.gateway.queued;
                queued.inc();
                let _counted = scopeguard(|| {
                    queued.dec();
                });
                let told = told.await;
                let waited = self.shared.clock.now() - asked_at;
                self.shared.metrics.gateway.queue_wait_seconds.observe(waited.as_secs_f64());
                told.unwrap_or_else(|_| gone())
            }
            Err(None) => gone(),
        };
        if matches!(verdict, Verdict::Refused(_)) {
            ticket.ending = Ending::Nothing;
        }
        (verdict, ticket)
    }

    /// Control states one of the revision's instances.
    pub(crate) fn instance(&self, instance: InstanceId, fact: InstanceFact) {
        let event = match fact {
            InstanceFact::Starting => Event::InstanceStarting { instance },
            InstanceFact::Ready(lease) => return self.ready(instance, lease),
            InstanceFact::Retiring => Event::InstanceRetiring { instance },
            InstanceFact::Gone(_) => Event::InstanceGone { instance },
        };
        self.drive(event);
    }

    fn ready(&self, instance: InstanceId, lease: Lease) {
        let reach = match lease.endpoint {
            Endpoint::Local(service) => Reach::Local(service),
            endpoint => Reach::Remote(Pool::new(endpoint, lease.slots)),
        };
        let now = self.shared.clock.now();
        let start = lease.start.total();
        let label = header_value(&instance.to_string());
        let leased = Leased { id: instance, reach, start: lease.start, ready_at: now, label };
        let mut effects = Effects::new();
        {
            let mut state = self.state.lock();
            state.leases.entry(instance).or_insert_with(|| Arc::new(leased));
            let event = Event::InstanceReady { instance, slots: lease.slots, start };
            state.step(now, event, &mut effects, RequestId(0));
            state.forget_dead_leases(instance);
        }
        self.perform(effects);
    }

    /// Starts are blocked, or no longer.
    pub(crate) fn starts_blocked(&self, blocked: Option<StartsBlocked>) {
        self.state.lock().block_message = blocked.as_ref().map(|block| block.message.clone());
        let blocked = blocked.map(|block| (block.until, block.reason));
        self.drive(Event::StartsBlocked { blocked });
    }

    /// The revision takes nothing new; what waits is refused with `FunctionGone`.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.drive(Event::Close);
    }

    /// Whether it is closed and nothing of it is left.
    pub(crate) fn is_finished(&self) -> bool {
        let state = self.state.lock();
        state.is_closed && state.leases.is_empty() && state.core.in_service() == 0
    }

    /// An instance did not answer and cannot: no further request goes there.
    pub(crate) fn broken(&self, instance: InstanceId, why: &str) {
        self.drive(Event::InstanceGone { instance });
        if let Some(control) = self.shared.control.get() {
            control.broken(&self.revision.name, instance, why);
        }
    }

    fn drive(&self, event: Event) {
        let mut effects = Effects::new();
        {
            let mut state = self.state.lock();
            let now = self.shared.clock.now();
            let gone = match &event {
                Event::InstanceGone { instance } => Some(*instance),
                _ => None,
            };
            state.step(now, event, &mut effects, RequestId(0));
            if let Some(gone) = gone {
                state.leases.remove(&gone);
            }
        }
        self.perform(effects);
    }

    /// Says what the core wanted said. No lock is held here.
    fn perform(&self, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        let name = &self.revision.name;
        for effect in effects {
            let control = self.shared.control.get();
            match (effect, control) {
                (Effect::Wake(at), _) => self.timer().set(at),
                (Effect::Demand(demand), Some(control)) => control.demand(name, demand),
                (Effect::Idle(instance), Some(control)) => control.idle(name, instance),
                (Effect::Released(instance), Some(control)) => control.released(name, instance),
                (_, None) => {}
            }
        }
    }

    fn timer(&self) -> &Timer {
        self.timer.get_or_init(|| {
            let me = self.me.clone();
            Timer::spawn(self.shared.clock, move || {
                if let Some(queue) = me.upgrade() {
                    queue.drive(Event::Wake);
                }
            })
        })
    }
}

impl State {
    /// Takes one event. Returns what became of request `of`, if that was decided;
    /// everybody else is told by their channel.
    fn step(
        &mut self,
        now: Time,
        event: Event,
        effects: &mut Effects,
        of: RequestId,
    ) -> Option<Verdict> {
        let mut actions = std::mem::take(&mut self.actions);
        self.core.on_event(now, event, &mut actions);
        let mut decided = None;
        for action in actions.drain(..) {
            let (request, verdict) = match action {
                Action::Send { request, instance } => (request, self.slot(instance)),
                Action::Refuse { request, reason, retry_after } => {
                    (request, self.refuse(reason, retry_after))
                }
                Action::Demand { instances } => {
                    self.demand_seq += 1;
                    effects.push(Effect::Demand(Demand { seq: self.demand_seq, instances }));
                    continue;
                }
                Action::Idle { instance } => {
                    effects.push(Effect::Idle(instance));
                    continue;
                }
                Action::Released { instance } => {
                    self.leases.remove(&instance);
                    effects.push(Effect::Released(instance));
                    continue;
                }
                Action::WakeAt(at) => {
                    effects.push(Effect::Wake(at));
                    continue;
                }
            };
            if request == of {
                decided = Some(verdict);
            } else if let Some(tell) = self.waiting.remove(&request) {
                // One who no longer listens has a ticket, whose drop frees the slot.
                let _ = tell.send(verdict);
            }
        }
        self.actions = actions;
        decided
    }

    fn slot(&self, instance: InstanceId) -> Verdict {
        match self.leases.get(&instance) {
            Some(leased) => Verdict::Slot(leased.clone()),
            None => gone(),
        }
    }

    fn refuse(&self, reason: Reason, retry_after: Duration) -> Verdict {
        let is_blocked = matches!(reason, Reason::StartFailed | Reason::NoCapacity);
        let detail = if is_blocked { self.block_message.as_deref() } else { None };
        Verdict::Refused(Refusal::of_core(reason, retry_after, detail))
    }

    /// Drops the lease of an instance the core took for old news.
    fn forget_dead_leases(&mut self, instance: InstanceId) {
        if !self.core.has_instance(instance) {
            self.leases.remove(&instance);
        }
    }
}

fn gone() -> Verdict {
    Verdict::Refused(Refusal::new(Reason::InstanceDied, "the instance died before it was called"))
}

/// What a ticket's drop tells the core.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Cancel,
    Finish,
    Nothing,
}

/// A request's place in the queue, then its slot.
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    request: RequestId,
    ending: Ending,
}

impl Ticket {
    /// The instance answered to the last byte.
    pub(crate) fn finish(mut self) {
        self.ending = Ending::Finish;
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let request = self.request;
        let event = match self.ending {
            Ending::Nothing => return,
            Ending::Finish => Event::Finish { request },
            Ending::Cancel => {
                self.queue.state.lock().waiting.remove(&request);
                Event::Cancel { request }
            }
        };
        self.queue.drive(event);
    }
}

/// Runs `end` when dropped.
fn scopeguard<F: FnMut()>(end: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

/// What a revision's specification means to its core.
fn config(revision: &Revision) -> Config {
    let spec = &revision.spec;
    Config {
        queue_size: spec.queue.size,
        queue_wait: spec.queue.wait.0,
        concurrency: spec.concurrency,
        instances_max: spec.scale.max,
        keep_alive: spec.scale.keep_alive.span(),
        mode: spec.start.mode,
        start_prior: match spec.code() {
            // Orders of magnitude, until the first start was seen.
            Code::Wasm => Duration::from_millis(1),
            Code::Command(_) => Duration::from_millis(200),
            Code::Fake(model) => model.start.0,
        },
    }
}
