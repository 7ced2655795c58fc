//! One revision's queue: the dispatch core and what its numbers stand for, the
//! clients that wait and the instances that are leased, behind one short lock.
//!
//! Run to completion: whoever brings an event takes the lock, feeds the core and
//! carries out what it answers. What only this process sees happens under the lock
//! (telling a waiting client, moving the alarm, which must not be overtaken by an
//! older wish); what control must hear is collected and said after it is released.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use foldhash::fast::FixedState;
use futures::channel::oneshot;
use gapless_dispatch::{Action, Config, Dispatch, Event};
use gapless_proto::{Demand, InstanceFact, Lease, Served, StartsBlocked};
use gapless_rt::Timer;
use gapless_telemetry::FunctionMetrics;
use gapless_types::{Code, InstanceId, KeepAlive, Reason, RequestId, Revision, Time};
use http::HeaderValue;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::leased::{self, Leased};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::tally::Tally;

/// How long requests for a revision that was refused are told to stay away.
const NOT_READY_RETRY: Duration = Duration::from_secs(1);

/// What a cold start is worth where nothing else was declared, in time that an
/// instance of 128 MiB is kept idle for it. On generated days that gives the p99 slowdown of a
/// fixed minute in two thirds of the memory; `gapless lab start` has other values.
const COLD_START_WORTH: Duration = Duration::from_secs(1200);

/// What became of a request that asked for a slot.
pub(crate) enum Verdict {
    Slot(Arc<Leased>),
    Refused(Refusal),
}

/// A revision's queue.
pub(crate) struct Queue {
    pub(crate) revision: Arc<Revision>,
    pub(crate) metrics: FunctionMetrics,
    pub(crate) tally: Tally,
    pub(crate) shared: Arc<Shared>,
    /// The revision's name, as a header's value.
    pub(crate) label: HeaderValue,
    me: Weak<Queue>,
    timer: OnceLock<Timer>,
    state: Mutex<State>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue of {}", self.revision.name)
    }
}

/// Keyed by numbers we gave out ourselves.
type Waiting = std::collections::HashMap<RequestId, oneshot::Sender<Verdict>, FixedState>;

struct State {
    core: Dispatch,
    /// Kept for its capacity; empty between events.
    actions: Vec<Action>,
    waiting: Waiting,
    leases: BTreeMap<InstanceId, Arc<Leased>>,
    last_request: u64,
    demand_seq: u64,
    blocked: Option<(Reason, Arc<str>)>,
    is_closed: bool,
}

/// What control is told once the lock is released.
enum Wish {
    Demand(Demand),
    Idle(InstanceId),
    Released(InstanceId, Served),
}

type Wishes = SmallVec<[Wish; 2]>;

impl Queue {
    /// How many requests wait for a slot.
    pub(crate) fn waiting(&self) -> u32 {
        u32::try_from(self.state.lock().core.queued()).unwrap_or(u32::MAX)
    }

    pub(crate) fn new(revision: Arc<Revision>, shared: Arc<Shared>) -> Arc<Self> {
        let state = State {
            core: Dispatch::new(config(&revision)),
            actions: Vec::new(),
            waiting: Waiting::default(),
            leases: BTreeMap::new(),
            last_request: 0,
            demand_seq: 0,
            blocked: None,
            is_closed: false,
        };
        Arc::new_cyclic(|me| Queue {
            metrics: shared.metrics.gateway.function(&revision.function),
            tally: Tally::default(),
            label: leased::label(revision.name.short()),
            revision,
            shared,
            me: me.clone(),
            timer: OnceLock::new(),
            state: Mutex::new(state),
        })
    }

    /// A request asks for a slot: it has one, or is refused, or hears later.
    pub(crate) fn arrive(&self) -> (RequestId, Result<Verdict, oneshot::Receiver<Verdict>>) {
        let mut wishes = Wishes::new();
        let arrived = {
            let mut state = self.state.lock();
            state.last_request += 1;
            let request = RequestId(state.last_request);
            let event = Event::Arrive { request };
            let decided = self.step(&mut state, event, &mut wishes, Some(request));
            let outcome = decided.ok_or_else(|| {
                let (tell, told) = oneshot::channel();
                state.waiting.insert(request, tell);
                told
            });
            (request, outcome)
        };
        self.say(wishes);
        arrived
    }

    /// A request has ended: answered to the last byte, or given up.
    pub(crate) fn leave(&self, request: RequestId, is_answered: bool) {
        let mut wishes = Wishes::new();
        let is_finished = {
            let mut state = self.state.lock();
            let event = if is_answered {
                Event::Finish { request }
            } else {
                state.waiting.remove(&request);
                Event::Cancel { request }
            };
            self.step(&mut state, event, &mut wishes, None);
            state.is_finished()
        };
        self.say(wishes);
        if is_finished {
            self.shared.routes.forget_if_finished(&self.revision.name);
        }
    }

    /// Control states one of the revision's instances.
    pub(crate) fn instance(&self, instance: InstanceId, fact: InstanceFact) {
        match fact {
            InstanceFact::Starting => self.drive(Event::InstanceStarting { instance }),
            InstanceFact::Ready(lease) => self.ready(instance, lease),
            InstanceFact::Retiring => self.retire(instance),
            InstanceFact::Gone(_) => self.gone(instance),
        }
    }

    fn ready(&self, instance: InstanceId, lease: Lease) {
        let (slots, start) = (lease.slots, lease.start.total());
        let leased = Arc::new(Leased::new(instance, lease, self.shared.clock.now()));
        let mut wishes = Wishes::new();
        {
            let mut state = self.state.lock();
            state.leases.entry(instance).or_insert(leased);
            let event = Event::InstanceReady { instance, slots, start };
            self.step(&mut state, event, &mut wishes, None);
            if !state.core.has_instance(instance) {
                // The core took it for old news.
                state.leases.remove(&instance);
            }
        }
        self.say(wishes);
    }

    fn retire(&self, instance: InstanceId) {
        let mut wishes = Wishes::new();
        {
            let mut state = self.state.lock();
            let event = Event::InstanceRetiring { instance };
            self.step(&mut state, event, &mut wishes, None);
            let is_said = wishes.iter().any(|wish| matches!(wish, Wish::Released(..)));
            if !is_said && !state.leases.contains_key(&instance) {
                // Nothing is known of it, so nothing of it is in use.
                wishes.push(Wish::Released(instance, Served::default()));
            }
        }
        self.say(wishes);
    }

    fn gone(&self, instance: InstanceId) {
        let mut wishes = Wishes::new();
        {
            let mut state = self.state.lock();
            self.step(&mut state, Event::InstanceGone { instance }, &mut wishes, None);
            state.leases.remove(&instance);
        }
        self.say(wishes);
    }

    /// Starts are blocked, or no longer.
    pub(crate) fn starts_blocked(&self, blocked: Option<StartsBlocked>) {
        let mut wishes = Wishes::new();
        {
            let mut state = self.state.lock();
            state.blocked = blocked.as_ref().map(|block| (block.reason, block.message.clone()));
            let blocked = blocked.map(|block| (block.until, block.reason));
            self.step(&mut state, Event::StartsBlocked { blocked }, &mut wishes, None);
        }
        self.say(wishes);
    }

    /// The revision was refused, with the reason, or is (again) not.
    pub(crate) fn refused(&self, why: Option<&Arc<str>>) {
        match why {
            Some(why) => self.starts_blocked(Some(StartsBlocked {
                until: self.shared.clock.now() + NOT_READY_RETRY,
                reason: Reason::NotReady,
                message: why.clone(),
            })),
            None if self.is_refused() => self.starts_blocked(None),
            None => {}
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.state.lock().blocked, Some((Reason::NotReady, _)))
    }

    /// When its idle instance whose time is nearest its end would be given back.
    pub(crate) fn idle_until(&self) -> Option<Time> {
        self.state.lock().core.idle_until()
    }

    /// Room is wanted: that instance is given back now.
    pub(crate) fn reclaim(&self) {
        self.drive(Event::Reclaim);
    }

    /// The revision takes nothing new; what waits is refused with `FunctionGone`.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.drive(Event::Close);
    }

    /// The revision takes new requests again.
    pub(crate) fn open(&self) {
        let was_closed = std::mem::take(&mut self.state.lock().is_closed);
        if was_closed {
            self.drive(Event::Open);
        }
    }

    /// Whether it is closed and nothing of it is left.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.lock().is_finished()
    }

    /// An instance did not answer and cannot: no further request goes there.
    pub(crate) fn broken(&self, instance: InstanceId, why: &str) {
        self.gone(instance);
        if let Some(control) = self.shared.control.get() {
            control.broken(&self.revision.name, instance, why);
        }
    }

    fn drive(&self, event: Event) {
        let mut wishes = Wishes::new();
        self.step(&mut self.state.lock(), event, &mut wishes, None);
        self.say(wishes);
    }

    /// Feeds the core one event and does what it answers, save what control must
    /// hear. Returns what became of request `of`, if that was decided.
    fn step(
        &self,
        state: &mut State,
        event: Event,
        wishes: &mut Wishes,
        of: Option<RequestId>,
    ) -> Option<Verdict> {
        let mut actions = std::mem::take(&mut state.actions);
        state.core.on_event(self.shared.clock.now(), event, &mut actions);
        let mut decided = None;
        for action in actions.drain(..) {
            let (request, verdict) = match action {
                Action::Send { request, instance } => (request, state.slot(instance)),
                Action::Refuse { request, reason, retry_after } => {
                    (request, state.refuse(reason, retry_after))
                }
                Action::WakeAt(at) => {
                    self.timer().set(at);
                    continue;
                }
                Action::Demand { instances } => {
                    state.demand_seq += 1;
                    let seq = state.demand_seq;
                    wishes.push(Wish::Demand(Demand { seq, instances }));
                    continue;
                }
                Action::Idle { instance } => {
                    wishes.push(Wish::Idle(instance));
                    continue;
                }
                Action::Released { instance } => {
                    let leased = state.leases.remove(&instance);
                    let served = leased.map_or_else(Served::default, |leased| leased.served());
                    wishes.push(Wish::Released(instance, served));
                    continue;
                }
            };
            if Some(request) == of {
                decided = Some(verdict);
            } else if let Some(tell) = state.waiting.remove(&request) {
                // One who no longer listens has a ticket, whose drop frees the slot.
                let _ = tell.send(verdict);
            }
        }
        state.actions = actions;
        decided
    }

    /// Tells control. No lock is held here.
    fn say(&self, wishes: Wishes) {
        if wishes.is_empty() {
            return;
        }
        let Some(control) = self.shared.control.get() else {
            return;
        };
        let name = &self.revision.name;
        for wish in wishes {
            match wish {
                Wish::Demand(demand) => control.demand(name, demand),
                Wish::Idle(instance) => control.idle(name, instance),
                Wish::Released(instance, served) => {
                    control.served(name, instance, served);
                    control.released(name, instance);
                }
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
    fn is_finished(&self) -> bool {
        self.is_closed && self.leases.is_empty() && self.core.in_service() == 0
    }

    fn slot(&self, instance: InstanceId) -> Verdict {
        match self.leases.get(&instance) {
            Some(leased) => Verdict::Slot(leased.clone()),
            None => {
                debug_assert!(false, "the core sent to {instance}, which has no lease");
                let message = "the instance died before it was called";
                Verdict::Refused(Refusal::new(Reason::InstanceDied, message))
            }
        }
    }

    fn refuse(&self, reason: Reason, retry_after: Duration) -> Verdict {
        let detail = self.blocked.as_ref().filter(|(blocked, _)| *blocked == reason);
        let detail = detail.map(|(_, message)| &**message);
        Verdict::Refused(Refusal::of_core(reason, retry_after, detail))
    }
}

/// What a revision's specification means to its core.
fn config(revision: &Revision) -> Config {
    let spec = &revision.spec;
    Config {
        queue_size: spec.queue.size,
        queue_wait: spec.queue.wait.0,
        concurrency: spec.concurrency,
        instances_max: spec.scale.max,
        keep_alive: match spec.scale.keep_alive {
            KeepAlive::For(span) => gapless_dispatch::KeepAlive::For(span.0),
            KeepAlive::Auto => gapless_dispatch::KeepAlive::Learned { worth: COLD_START_WORTH }
                .for_memory(spec.resources.memory),
        },
        mode: spec.start.mode,
        start_prior: match spec.code() {
            // Orders of magnitude, until the first start was seen.
            Code::Wasm => Duration::from_millis(1),
            Code::Command(_) => Duration::from_millis(200),
            Code::Fake(model) => model.start.0,
        },
    }
}
