//! The state machine: see the crate's documentation for its states.
//!
//! The warm path (a request arrives at a free slot, and ends while nothing
//! waits) touches one tree node and one hash entry, allocates nothing and emits
//! only `Send`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_types::{InstanceId, Reason, RequestId, Time};

use crate::learned::Learned;
use crate::planner::{self, Planner, Situation};
use crate::slots::Slots;
use crate::{Action, Config, Event};

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
                self.planner = planner::for_mode(config.mode);
                self.config = config;
                self.plan(now, false, actions);
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
            && let Some(instance) = self.slots.take()
        {
            self.send(now, request, instance, actions);
            return;
        }
        if let Some((reason, retry_after)) = self.hopeless(now) {
            refuse(request, reason, retry_after, actions);
            return;
        }
        if self.queue.len() >= self.config.queue_size as usize {
            refuse(request, Reason::QueueFull, self.drain_time(), actions);
            return;
        }
        let deadline = now + self.config.queue_wait;
        self.queue.insert(request, deadline);
        // With a planner that binds requests, a slot may be free although
        // something waits: it is for whoever has no instance of their own.
        self.serve(now, actions);
        self.plan(now, false, actions);
        self.arm(deadline.min(self.review_at(now)), actions);
    }

    fn send(
        &mut self,
        now: Time,
        request: RequestId,
        instance: InstanceId,
        actions: &mut Vec<Action>,
    ) {
        self.in_service.insert(request, Service { instance, sent: now });
        self.sent_sum += u128::from(now.as_nanos());
        actions.push(Action::Send { request, instance });
    }

    /// A request ends: it was in service, or waited, or is not known any more.
    fn leave(&mut self, now: Time, request: RequestId, served: bool, actions: &mut Vec<Action>) {
        let Some(service) = self.in_service.remove(&request) else {
            if self.queue.remove(&request).is_some() {
                self.plan(now, false, actions);
            }
            return;
        };
        self.sent_sum -= u128::from(service.sent.as_nanos());
        if served {
            self.learned.saw_service(service.sent, now);
        }
        let Some(live) = self.slots.give(service.instance, now) else {
            return;
        };
        if live.is_retiring {
            if live.busy == 0 {
                actions.push(Action::Released { instance: service.instance });
            }
            return;
        }
        let is_idle = live.busy == 0;
        if !self.queue.is_empty() {
            self.serve(now, actions);
            self.plan(now, false, actions);
        } else if is_idle {
            self.arm(now + self.config.keep_alive, actions);
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
        if !self.slots.ready(instance, slots.max(1), now) {
            return;
        }
        self.learned.saw_start(start);
        self.serve(now, actions);
        self.plan(now, false, actions);
        self.arm(now + self.config.keep_alive, actions);
    }

    fn retire(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        let Some(is_idle) = self.slots.retire(instance) else {
            return;
        };
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
            self.plan(now, true, actions);
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
        let keep_alive = self.config.keep_alive;
        let mut next = match self.queue.first_key_value() {
            Some((_, deadline)) => self.review_at(now).min(*deadline),
            None => Time::NEVER,
        };
        for (instance, live) in self.slots.idle_mut() {
            let due = match live.reported {
                None => live.unused_since + keep_alive,
                Some(reported) => reported + keep_alive.max(IDLE_REPORT_MIN),
            };
            if due <= now {
                live.reported = Some(now);
                actions.push(Action::Idle { instance });
                next = next.min(now + keep_alive.max(IDLE_REPORT_MIN));
            } else {
                next = next.min(due);
            }
        }
        self.plan(now, false, actions);
        self.arm(next, actions);
    }

    /// Hands free slots to those who wait.
    fn serve(&mut self, now: Time, actions: &mut Vec<Action>) {
        while self.slots.has_free() {
            let Some(request) = self.next_for_free_slot() else {
                return;
            };
            let Some(instance) = self.slots.take() else {
                return;
            };
            self.queue.remove(&request);
            self.send(now, request, instance, actions);
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

    /// Says how many instances are wanted, if that changed, or if `again` and
    /// more are wanted than there are: an instance was lost, and control, which
    /// counted it as wanted, must hear the wish anew.
    fn plan(&mut self, now: Time, again: bool, actions: &mut Vec<Action>) {
        let live = self.slots.live_count();
        let wanted = if self.is_closed {
            0
        } else if self.queue.is_empty() {
            live
        } else {
            self.planner.wanted(&self.situation(now)).min(self.config.instances_max).max(live)
        };
        if wanted != self.demand || (again && wanted > live) {
            self.demand = wanted;
            actions.push(Action::Demand { instances: wanted });
        }
    }

    fn situation(&self, now: Time) -> Situation {
        Situation {
            queued: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            live: self.slots.live_count(),
            live_slots: self.slots.slot_count(),
            starting: self.slots.starting_count(),
            starting_age: self.slots.starting_age_mean(now),
            slots_each: self.config.concurrency.max(1),
            start: self.learned.start(),
            service: self.service_expected(now),
            instances_max: self.config.instances_max,
        }
    }

    /// How long a service is expected to take: what was learned, or longer when
    /// those in service have been there longer on average. So requests that hang
    /// are not waited for.
    fn service_expected(&self, now: Time) -> Option<Duration> {
        let learned = self.learned.service()?;
        let count = self.in_service.len() as u128;
        let age_nanos = (u128::from(now.as_nanos()) * count).saturating_sub(self.sent_sum);
        let age_mean = u64::try_from(age_nanos / count.max(1)).unwrap_or(u64::MAX);
        Some(learned.max(Duration::from_nanos(age_mean)))
    }

    /// When to look again at the plan while something waits.
    fn review_at(&self, now: Time) -> Time {
        now + self.learned.start().max(REVIEW_MIN)
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
