//! The state machine: see the crate's documentation for its phases.
//!
//! Every event changes the state first and ends in [`Fleet::reconcile`], which
//! compares what there is with what is wanted. That is all the memory there is
//! of the past: whatever was lost, repeated or reordered, the next event that
//! gets through corrects.
//!
//! When a ready instance is lost or taken back, the remembered demand falls by
//! one: the gateway had counted it in, and whether it is to be replaced is the
//! gateway's to say, which it does in answer to the same fact. Without that an
//! instance taken back for being idle would be replaced at once.

use std::time::Duration;

use gapless_types::{InstanceId, Time};

use crate::backoff::Backoff;
use crate::instances::{Instances, Phase};
use crate::{Action, Block, Config, Event};

/// An instance that serves for this long makes its revision healthy: earlier
/// failures are forgotten, and its own death is not one.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The instances of one revision.
#[derive(Clone, Debug)]
pub struct Fleet {
    config: Config,
    instances: Instances,
    backoff: Backoff,
    demand_seq: Option<u64>,
    demand: u32,
    is_runnable: bool,
    is_closing: bool,
    /// Whether [`Action::Closed`] was said.
    is_closed: bool,
    wake_at: Time,
}

impl Fleet {
    /// A fleet without instances. It starts none before [`Event::Runnable`].
    pub fn new(config: Config) -> Self {
        Fleet {
            config,
            instances: Instances::default(),
            backoff: Backoff::default(),
            demand_seq: None,
            demand: 0,
            is_runnable: false,
            is_closing: false,
            is_closed: false,
            wake_at: Time::NEVER,
        }
    }

    /// Takes one event, which happened at `now`, and appends what is to be done.
    ///
    /// `ids` makes the ids of new instances: each greater than all before it,
    /// over every fleet of one control process.
    pub fn on_event(
        &mut self,
        now: Time,
        event: Event,
        ids: &mut dyn FnMut() -> InstanceId,
        actions: &mut Vec<Action>,
    ) {
        match event {
            Event::Demand { seq, instances } => self.set_demand(seq, instances),
            Event::Starting { instance } => self.begun(instance, actions),
            Event::Ready { instance } => self.ready_now(now, instance, actions),
            Event::Idle { instance } => self.idle(instance, actions),
            Event::Released { instance } => self.released(now, instance, actions),
            Event::Gone { instance, failed } => self.gone(now, instance, failed, actions),
            Event::NoCapacity { instance } => self.no_capacity(now, instance, actions),
            Event::CapacityFreed => self.backoff.capacity_freed(now),
            Event::Runnable => self.is_runnable = true,
            Event::Configure { config } => self.config = config,
            Event::Close => self.close(actions),
            Event::Wake if self.wake_at <= now => self.wake_at = Time::NEVER,
            Event::Wake => {}
        }
        self.reconcile(now, ids, actions);
    }

    /// Instances that serve and are to go on serving.
    pub fn ready(&self) -> u32 {
        self.instances.ready()
    }

    /// Instances on their way.
    pub fn starting(&self) -> u32 {
        self.instances.starting()
    }

    /// Instances the gateway was asked to give back.
    pub fn retiring(&self) -> u32 {
        self.instances.retiring()
    }

    /// How many instances there should be.
    pub fn desired(&self) -> u32 {
        match self.is_closing {
            true => 0,
            false => self.demand.max(self.config.min).min(self.config.max),
        }
    }

    /// Failures in a row, of starts or of instances soon after.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// What blocks starts, as stated last by [`Action::Blocked`].
    pub fn blocked(&self) -> Option<Block> {
        self.backoff.block()
    }

    /// Whether it is closed and nothing is left of it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn set_demand(&mut self, seq: u64, instances: u32) {
        if self.demand_seq.is_none_or(|latest| seq > latest) {
            self.demand_seq = Some(seq);
            self.demand = instances;
        }
    }

    fn begun(&mut self, instance: InstanceId, actions: &mut Vec<Action>) {
        if let Some(Phase::Starting { .. }) = self.instances.phase(instance) {
            self.instances.set(instance, Phase::Starting { has_begun: true });
            if self.backoff.placed(instance) {
                actions.push(Action::Blocked(None));
            }
        }
    }

    fn ready_now(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        if let Some(Phase::Starting { .. }) = self.instances.phase(instance) {
            self.instances.set(instance, Phase::Ready { since: now });
            if self.backoff.ready(instance) {
                actions.push(Action::Blocked(None));
            }
        }
    }

    /// An idle instance is taken back, unless it belongs to the minimum, or more are wanted than
    /// there are: then somebody waits and the report is out of date.
    fn idle(&mut self, instance: InstanceId, actions: &mut Vec<Action>) {
        let ready = self.instances.ready();
        if ready > self.config.min && self.demand <= ready {
            self.retire(instance, actions);
        }
    }

    fn retire(&mut self, instance: InstanceId, actions: &mut Vec<Action>) {
        if let Some(Phase::Ready { since }) = self.instances.phase(instance) {
            self.instances.set(instance, Phase::Retiring { since });
            self.demand = self.demand.saturating_sub(1);
            actions.push(Action::Retire { instance });
        }
    }

    fn released(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        let since = match self.instances.phase(instance) {
            Some(Phase::Ready { since }) => {
                self.demand = self.demand.saturating_sub(1);
                since
            }
            Some(Phase::Retiring { since }) => since,
            Some(Phase::Starting { .. } | Phase::Stopping) | None => return,
        };
        self.note_life(now, since);
        self.instances.set(instance, Phase::Stopping);
        actions.push(Action::Stop { instance });
    }

    fn gone(&mut self, now: Time, instance: InstanceId, failed: bool, actions: &mut Vec<Action>) {
        let oldest_since = self.instances.ready_since();
        let lived_since = match self.instances.remove(instance) {
            None | Some(Phase::Stopping) => return,
            Some(Phase::Starting { .. }) => None,
            Some(Phase::Ready { since }) => {
                self.demand = self.demand.saturating_sub(1);
                Some(since)
            }
            Some(Phase::Retiring { since }) => Some(since),
        };
        self.backoff.ended(instance);
        // Any instance that serves for long speaks for the revision, also this one.
        oldest_since.into_iter().for_each(|since| self.note_life(now, since));
        let was_healthy = lived_since.is_some_and(|since| now.since(since) >= HEALTHY_AFTER);
        let is_failure = failed && !was_healthy && !self.is_closing;
        if is_failure && self.backoff.failed(now) {
            actions.push(Action::Blocked(self.backoff.block()));
        }
    }

    fn note_life(&mut self, now: Time, since: Time) {
        if now.since(since) >= HEALTHY_AFTER {
            self.backoff.healthy();
        }
    }

    fn no_capacity(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        if let Some(Phase::Starting { .. }) = self.instances.phase(instance) {
            self.instances.remove(instance);
            self.backoff.ended(instance);
            if !self.is_closing && self.backoff.found_no_room(now) {
                actions.push(Action::Blocked(self.backoff.block()));
            }
        }
    }

    fn close(&mut self, actions: &mut Vec<Action>) {
        self.is_closing = true;
        self.cancel_starts(u32::MAX, |_| true, actions);
        for instance in self.instances.youngest(u32::MAX, is_ready) {
            self.retire(instance, actions);
        }
    }

    /// Brings what there is closer to what is wanted.
    fn reconcile(
        &mut self,
        now: Time,
        ids: &mut dyn FnMut() -> InstanceId,
        actions: &mut Vec<Action>,
    ) {
        if self.is_closing {
            self.finish_closing(actions);
            return self.wake_at(Time::NEVER, actions);
        }
        if self.backoff.expire(now) {
            actions.push(Action::Blocked(None));
        }
        let excess = self.count().saturating_sub(self.desired());
        self.cancel_starts(excess, |has_begun| !has_begun, actions);
        self.respect_max(actions);
        if self.is_runnable {
            self.start_missing(ids, actions);
        }
        // Also when nothing is missing: a gateway that was told of a block has to hear its end.
        let until = self.backoff.block().map(|block| block.until);
        self.wake_at(until.unwrap_or(Time::NEVER), actions);
    }

    fn start_missing(&mut self, ids: &mut dyn FnMut() -> InstanceId, actions: &mut Vec<Action>) {
        let missing = self.desired().saturating_sub(self.count());
        let allowed = self.backoff.allowed(self.instances.starting());
        for _ in 0..missing.min(allowed) {
            let instance = ids();
            debug_assert!(self.instances.phase(instance).is_none(), "ids are new");
            self.instances.set(instance, Phase::Starting { has_begun: false });
            self.backoff.started(instance);
            actions.push(Action::Start { instance });
        }
    }

    /// Instances that count against `desired` and `max`.
    fn count(&self) -> u32 {
        self.instances.starting() + self.instances.ready()
    }

    /// Cancels the youngest starts, those that `may_cancel` given whether they have begun.
    fn cancel_starts(
        &mut self,
        count: u32,
        may_cancel: impl Fn(bool) -> bool,
        actions: &mut Vec<Action>,
    ) {
        if count == 0 || self.instances.starting() == 0 {
            return;
        }
        let is_meant =
            |phase| matches!(phase, Phase::Starting { has_begun } if may_cancel(has_begun));
        for instance in self.instances.youngest(count, is_meant) {
            self.instances.remove(instance);
            self.backoff.ended(instance);
            actions.push(Action::CancelStart { instance });
        }
    }

    /// Takes back what is too many since the maximum was lowered.
    fn respect_max(&mut self, actions: &mut Vec<Action>) {
        let excess = self.count().saturating_sub(self.config.max);
        self.cancel_starts(excess, |_| true, actions);
        let excess = self.count().saturating_sub(self.config.max);
        if excess > 0 {
            for instance in self.instances.youngest(excess, is_ready) {
                self.retire(instance, actions);
            }
        }
    }

    fn finish_closing(&mut self, actions: &mut Vec<Action>) {
        if self.instances.len() == 0 && !self.is_closed {
            self.is_closed = true;
            actions.push(Action::Closed);
        }
    }

    fn wake_at(&mut self, at: Time, actions: &mut Vec<Action>) {
        if at != self.wake_at {
            self.wake_at = at;
            actions.push(Action::WakeAt(at));
        }
    }
}

fn is_ready(phase: Phase) -> bool {
    matches!(phase, Phase::Ready { .. })
}

#[cfg(test)]
mod tests;
