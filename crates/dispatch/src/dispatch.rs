//! The state machine: see the crate's documentation for its states.
//!
//! The warm path (a request arrives at a free slot, and ends while nothing
//! waits) touches one tree node and one hash entry, allocates nothing and emits
//! only `Send`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_types::{InstanceId, Reason, RequestId, Time};

use crate::keep::Keeper;
use crate::learned::Learned;
use crate::planner::{self, Planner};
use crate::slots::{Slots, Taken};
use crate::{Action, Config, Event};

mod planning;

/// An idle instance is reported again this often at the most, however short its
/// keep-alive.
const IDLE_REPORT_MIN: Duration = Duration::from_secs(1);

/// While something waits the plan is reviewed after each expected start, but not
/// more often than this.
const REVIEW_MIN: Duration = Duration::from_millis(10);

/// Shortest advice to try again.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Keyed by numbers we gave out ourselves, so a fixed hash is safe, and the
/// same events always give the same run.
type FixedHash = FixedState;

/// One revision's queue, slots and start plan.
#[derive(Debug)]
pub struct Dispatch {
    config: Config,
    planner: Box<dyn Planner>,
    keeper: Keeper,
    learned: Learned,
    slots: Slots,
    /// Ordered by id, which is the order of arrival; with each its deadline.
    queue: BTreeMap<RequestId, Time>,
    in_service: HashMap<RequestId, Service, FixedHash>,
    /// The sum of the times at which those in service were sent, in nanoseconds.
    sent_sum: u128,
    blocked: Option<(Time, Reason)>,
    is_closed: bool,
    demand: u32,
    wake_at: Time,
}

/// A request in service.
#[derive(Clone, Copy, Debug)]
struct Service {
    instance: InstanceId,
    sent: Time,
}

impl Dispatch {
    /// A core with nothing in it.
    pub fn new(config: Config) -> Self {
        Dispatch {
            planner: planner::for_mode(config.mode),
            keeper: Keeper::new(config.keep_alive),
            learned: Learned::new(config.start_prior),
            config,
            slots: Slots::default(),
            queue: BTreeMap::new(),
            in_service: HashMap::default(),
            sent_sum: 0,
            blocked: None,
            is_closed: false,
            demand: 0,
            wake_at: Time::NEVER,
        }
    }

    /// Requests that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Requests in service.
    pub fn in_service(&self) -> usize {
        self.in_service.len()
    }

    /// Live instances that take requests.
    pub fn live(&self) -> u32 {
        self.slots.live_count()
    }

    /// Instances on their way.
    pub fn starting(&self) -> u32 {
        self.slots.starting_count()
    }

    /// Whether an instance is live, retiring or on its way.
    pub fn has_instance(&self, instance: InstanceId) -> bool {
        self.slots.contains(instance)
    }

    /// What was learned about the revision.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// When the idle instance whose time is nearest its end would be reported, if
    /// there is one that was not yet. What is kept longer is worth more per memory,
    /// so over all revisions the one with the earliest time is the first to give up
    /// when room is wanted (Greedy-Dual, as FaasCache, ASPLOS'21, has it).
    pub fn idle_until(&self) -> Option<Time> {
        self.soonest_idle().map(|(until, _)| until)
    }

    /// Takes one event; appends what is to be done, in order.
    pub fn on_event(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Arrive { request } => self.arrive(now, request, actions),
            Event::Cancel { request } => self.leave(now, request, false, actions),
            Event::Finish { request } => self.leave(now, request, true, actions),
            Event::InstanceStarting { instance } => {
                self.slots.starting(instance, now);
            }
            Event::InstanceReady { instance, slots, start } => {
                self.ready(now, instance, slots, start, actions);
            }
            Event::InstanceRetiring { instance } => self.retire(now, instance, actions),
            Event::InstanceGone { instance } => self.gone(now, instance, actions),
            Event::StartsBlocked { blocked } => {
                self.blocked = blocked;
                self.refuse_hopeless(now, actions);
                self.plan(now, false, actions);
            }
            Event::Configure { config } => {
                if config.mode != self.config.mode {
                    self.planner = planner::for_mode(config.mode);
                }
                self.keeper.set_policy(config.keep_alive, self.times());
                self.config = config;
                self.plan(now, false, actions);
            }
            Event::Reclaim => {
                if let Some((_, instance)) = self.soonest_idle()
                    && let Some(live) = self.slots.live_mut(instance)
                {
                    live.reported = Some(now);
                    actions.push(Action::Idle { instance });
                }
            }
            Event::Close => self.close(now, actions),
            Event::Open => {
                self.is_closed = false;
                self.plan(now, false, actions);
            }
            Event::Wake => self.wake(now, actions),
        }
    }

    fn arrive(&mut self, now: Time, request: RequestId, actions: &mut Vec<Action>) {
        if self.is_closed {
            refuse(request, Reason::FunctionGone, RETRY_AFTER_MIN, actions);
            return;
        }
        if self.queue.is_empty()
            && let Some(taken) = self.slots.take()
        {
            if let (Some(since), false) = (taken.idle_since, taken.is_first) {
                self.keeper.was_used(since, now, self.times());
            }
            self.send(now, request, taken, actions);
            self.note(now);
            return;
        }
        if let Some((reason, retry_after)) = self.hopeless(now) {
            refuse(request, reason, retry_after, actions);
            return;
        }
        if self.is_full(now) {
            refuse(request, Reason::QueueFull, self.drain_time(), actions);
            return;
        }
        let deadline = now + self.config.queue_wait;
        self.queue.insert(request, deadline);
        self.note(now);
        // With a planner that binds requests, a slot may be free although
        // something waits: it is for whoever has no instance of their own.
        self.serve(now, actions);
        self.plan(now, false, actions);
        self.arm(deadline.min(self.review_at(now)), actions);
    }

    fn send(&mut self, now: Time, request: RequestId, taken: Taken, actions: &mut Vec<Action>) {
        if taken.is_first {
            self.keeper.was_met(now, self.times());
        }
        let instance = taken.instance;
        self.in_service.insert(request, Service { instance, sent: now });
        self.sent_sum += u128::from(now.as_nanos());
        actions.push(Action::Send { request, instance });
    }

    /// Whether no more may wait: the queue has its size, or the planner expects that
    /// whoever came now would wait in vain.
    fn is_full(&self, now: Time) -> bool {
        self.queue.len() >= self.config.queue_size as usize
            || (!self.queue.is_empty()
                && self.planner.sheds(&self.situation(now), self.config.queue_wait))
    }

    fn note(&mut self, now: Time) {
        let in_flight = self.queue.len() + self.in_service.len();
        self.planner.note(now, u32::try_from(in_flight).unwrap_or(u32::MAX));
    }

    /// A request ends: it was in service, or waited, or is not known any more.
    fn leave(&mut self, now: Time, request: RequestId, served: bool, actions: &mut Vec<Action>) {
        let Some(service) = self.in_service.remove(&request) else {
            if self.queue.remove(&request).is_some() {
                self.note(now);
                self.plan(now, false, actions);
            }
            return;
        };
        self.sent_sum -= u128::from(service.sent.as_nanos());
        if served {
            self.learned.saw_service(service.sent, now);
        }
        self.note(now);
        let Some(live) = self.slots.give(service.instance, now) else {
            return;
        };
        if live.is_retiring {
            if live.busy == 0 {
                actions.push(Action::Released { instance: service.instance });
            }
            return;
        }
        if live.is_for_one && live.busy == 0 {
            actions.push(Action::Idle { instance: service.instance });
        }
        let is_idle = live.busy == 0 && !live.is_for_one;
        if !self.queue.is_empty() {
            self.serve(now, actions);
            self.plan(now, false, actions);
        } else if is_idle && self.planner.owns_scale_down().is_none() {
            self.keeper.fell_idle(self.times());
            self.arm(self.keeper.until(now, false), actions);
        }
    }

    fn ready(
        &mut self,
        now: Time,
        instance: InstanceId,
        slots: u32,
        start: Duration,
        actions: &mut Vec<Action>,
    ) {
        let is_for_one = self.planner.is_for_one_request(self.slots.live_count());
        let ready = self.slots.ready(instance, slots.max(1), is_for_one, now);
        let Some((others, begun)) = ready else {
            return;
        };
        self.learned.saw_start(start, others);
        self.keeper.was_missed(begun, self.times());
        if self.planner.binds_requests()
            && let Some((request, _)) = self.queue.pop_first()
            && let Some(taken) = self.slots.take()
        {
            // Its own instance: whoever waits longest is the one it was started for.
            self.send(now, request, taken, actions);
        }
        self.serve(now, actions);
        self.plan(now, false, actions);
        self.arm(self.keeper.until(now, true), actions);
    }

    fn retire(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        let Some(is_idle) = self.slots.retire(instance) else {
            return;
        };
        if let Some(live) = self.slots.live(instance)
            && is_idle
            && !live.is_for_one
        {
            self.keeper.gave_back(live.unused_since, live.is_unused);
        }
        self.plan(now, true, actions);
        if is_idle {
            actions.push(Action::Released { instance });
        }
    }

    fn gone(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        if self.slots.forget(instance) {
            self.refuse_hopeless(now, actions);
            // Whoever waited for this instance as their own may take any slot now.
            self.serve(now, actions);
            // One that was dropped because fewer were wanted is no reason to want more:
            // the plan depends on how many start, and would go back and forth forever.
            let there_are = self.slots.live_count() + self.slots.starting_count();
            if there_are + self.slots.for_one_count() < self.demand {
                self.plan(now, true, actions);
            }
        }
    }

    fn close(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.is_closed = true;
        self.refuse_all(Reason::FunctionGone, RETRY_AFTER_MIN, actions);
        self.plan(now, false, actions);
    }

    fn wake(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.wake_at = Time::NEVER;
        while let Some((&request, &deadline)) = self.queue.first_key_value()
            && deadline <= now
        {
            self.queue.pop_first();
            refuse(request, Reason::QueueTimeout, self.drain_time(), actions);
        }
        if let (true, Some((from, until))) = (self.has_none(), self.keeper.ahead())
            && (from..until).contains(&now)
            && !self.keeper.is_ahead(now)
        {
            self.keeper.starts_ahead(until);
        }
        self.plan(now, false, actions);
        let due = self.report_idle(now, actions);
        self.arm(due, actions);
        if let Some((deadline, review)) = self.waiting(now) {
            self.arm(deadline.min(review), actions);
        }
    }

    /// Hands free slots to those who wait.
    fn serve(&mut self, now: Time, actions: &mut Vec<Action>) {
        while self.slots.has_free() {
            let Some(request) = self.next_for_free_slot() else {
                return;
            };
            let Some(taken) = self.slots.take() else {
                return;
            };
            self.queue.remove(&request);
            self.send(now, request, taken, actions);
        }
    }

    /// Who takes a slot that is free: the head of the queue. With a planner that
    /// binds requests the first `starting` wait for their own instances, so it is
    /// the first behind them.
    fn next_for_free_slot(&self) -> Option<RequestId> {
        let bound = if self.planner.binds_requests() { self.slots.starting_count() } else { 0 };
        self.queue.keys().nth(bound as usize).copied()
    }

    /// Why a request that finds no slot cannot hope for one.
    fn hopeless(&self, now: Time) -> Option<(Reason, Duration)> {
        let (until, reason) = self.blocked?;
        let is_blocked = now < until;
        let nothing_to_come = self.slots.live_count() == 0 && self.slots.starting_count() == 0;
        (is_blocked && nothing_to_come).then(|| (reason, (until - now).max(RETRY_AFTER_MIN)))
    }

    fn refuse_hopeless(&mut self, now: Time, actions: &mut Vec<Action>) {
        if let Some((reason, retry_after)) = self.hopeless(now) {
            self.refuse_all(reason, retry_after, actions);
        }
    }

    fn refuse_all(&mut self, reason: Reason, retry_after: Duration, actions: &mut Vec<Action>) {
        while let Some((request, _)) = self.queue.pop_first() {
            refuse(request, reason, retry_after, actions);
        }
    }

    /// How long the queue will take to drain, as advice to come back.
    fn drain_time(&self) -> Duration {
        let service = self.learned.service().unwrap_or(RETRY_AFTER_MIN);
        let queued = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let rounds = queued.div_ceil(self.slots.slot_count().max(1));
        service
            .saturating_mul(rounds)
            .clamp(RETRY_AFTER_MIN, self.config.queue_wait.max(RETRY_AFTER_MIN))
    }

    /// Asks to be woken at `due` unless that is already so earlier.
    fn arm(&mut self, due: Time, actions: &mut Vec<Action>) {
        if due < self.wake_at {
            self.wake_at = due;
            actions.push(Action::WakeAt(due));
        }
    }

    /// Whether nothing of any request is left, for the property tests.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_service.is_empty()
    }

    /// Whether a slot is free while something waits for it.
    #[cfg(test)]
    pub(crate) fn wastes_a_slot(&self) -> bool {
        self.slots.has_free() && self.next_for_free_slot().is_some()
    }
}

fn refuse(request: RequestId, reason: Reason, retry_after: Duration, actions: &mut Vec<Action>) {
    actions.push(Action::Refuse { request, reason, retry_after });
}

#[cfg(test)]
mod tests;
