//! How long to hold starts back after one failed or found no room.
//!
//! ```text
//!   open --failed, found no room--> blocked --its time has come--> probing
//!    ^  ^                              |                            |  |
//!    |  '------ (succeeded) -----------'     failed, no room: <-----'  |
//!    '------------------------- succeeded ----------------------------'
//! ```
//!
//! Failures count in rounds: fifty starts that fail together are one failure,
//! so one that comes while starts are blocked already is not counted. While
//! probing, one start is tried at a time, and only its success opens up.
//!
//! What counts as success depends on what went wrong. Starts that fail: any
//! instance that becomes ready, also while blocked. Want of room: an instance
//! that was placed while probing, for those placed before say nothing of room.
//!
//! A gateway that is told of a block refuses what cannot be served, so its
//! demand falls. Probing is therefore not told as a block: were it, nobody would
//! ask for the start that ends it.

use std::time::Duration;

use gapless_types::{InstanceId, Time};

use crate::Block;

/// Back-off after the first failed start; it doubles with each further one,
const FAILURE_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// up to this.
const FAILURE_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Back-off after the first start that found no room; it doubles with each further one,
const CAPACITY_BACKOFF_MIN: Duration = Duration::from_millis(100);
/// up to this. Short, because room appears whenever anybody's instance ends.
const CAPACITY_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Whether starts may be made.
#[derive(Clone, Copy, Debug, Default)]
enum Gate {
    /// As many as are wanted.
    #[default]
    Open,
    /// None.
    Blocked(Block),
    /// One at a time. `probe` is one made since the block, while it is on its way.
    Probing { is_capacity: bool, probe: Option<InstanceId> },
}

/// What holds starts back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    gate: Gate,
    /// Failed rounds in a row.
    failures: u32,
    /// Rounds in a row that found no room.
    shortages: u32,
}

impl Backoff {
    /// What blocks starts now.
    pub(crate) fn block(&self) -> Option<Block> {
        match self.gate {
            Gate::Blocked(block) => Some(block),
            Gate::Open | Gate::Probing { .. } => None,
        }
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Ends a block whose time has come. True if there was one.
    pub(crate) fn expire(&mut self, now: Time) -> bool {
        let Gate::Blocked(Block { until, is_capacity, .. }) = self.gate else {
            return false;
        };
        if now < until {
            return false;
        }
        self.gate = Gate::Probing { is_capacity, probe: None };
        true
    }

    /// How many starts may be made, with so many on their way. One of those already on their way
    /// can tell whether starts still fail, but not whether there is room for another.
    pub(crate) fn allowed(&self, starting: u32) -> u32 {
        match self.gate {
            Gate::Open => u32::MAX,
            Gate::Blocked(_) => 0,
            Gate::Probing { is_capacity: true, probe } => u32::from(probe.is_none()),
            Gate::Probing { is_capacity: false, .. } => u32::from(starting == 0),
        }
    }

    /// A start was made.
    pub(crate) fn started(&mut self, instance: InstanceId) {
        if let Gate::Probing { probe, .. } = &mut self.gate {
            *probe = Some(instance);
        }
    }

    /// A start is no longer on its way: cancelled, or with an outcome that is told next.
    pub(crate) fn ended(&mut self, instance: InstanceId) {
        if let Gate::Probing { probe, .. } = &mut self.gate {
            *probe = probe.filter(|probe| *probe != instance);
        }
    }

    /// A start failed, or an instance died soon after. True if that is a new block.
    pub(crate) fn failed(&mut self, now: Time) -> bool {
        if self.block().is_some_and(|block| !block.is_capacity) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let backoff = doubled(FAILURE_BACKOFF_MIN, self.failures, FAILURE_BACKOFF_MAX);
        let (until, failures) = (now + backoff, self.failures);
        self.gate = Gate::Blocked(Block { until, is_capacity: false, failures, backoff });
        true
    }

    /// A start found no room. True if that is a new block.
    pub(crate) fn found_no_room(&mut self, now: Time) -> bool {
        if self.block().is_some() {
            return false;
        }
        self.shortages = self.shortages.saturating_add(1);
        let backoff = doubled(CAPACITY_BACKOFF_MIN, self.shortages, CAPACITY_BACKOFF_MAX);
        let (until, failures) = (now + backoff, self.shortages);
        self.gate = Gate::Blocked(Block { until, is_capacity: true, failures, backoff });
        true
    }

    /// Room was freed: a block for want of it has lasted long enough.
    pub(crate) fn capacity_freed(&mut self, now: Time) {
        if let Gate::Blocked(block) = &mut self.gate
            && block.is_capacity
        {
            block.until = block.until.min(now);
        }
    }

    /// An instance was placed and is being made. True if that ends a block.
    pub(crate) fn placed(&mut self, instance: InstanceId) -> bool {
        let awaited = |probe: Option<InstanceId>| probe == Some(instance);
        match self.gate {
            Gate::Probing { is_capacity: true, probe } if awaited(probe) => self.open(),
            _ => false,
        }
    }

    /// An instance became ready. True if that ends a block.
    pub(crate) fn ready(&mut self, instance: InstanceId) -> bool {
        match self.gate {
            Gate::Blocked(block) if !block.is_capacity => self.open(),
            Gate::Probing { is_capacity: false, .. } => self.open(),
            _ => self.placed(instance),
        }
    }

    /// An instance stayed alive for long enough to call the revision healthy.
    pub(crate) fn healthy(&mut self) {
        self.failures = 0;
    }

    fn open(&mut self) -> bool {
        let was_blocked = self.block().is_some();
        (self.gate, self.shortages) = (Gate::Open, 0);
        was_blocked
    }
}

/// `min` doubled for each of `count` after the first, up to `max`.
fn doubled(min: Duration, count: u32, max: Duration) -> Duration {
    let doublings = count.saturating_sub(1).min(30);
    min.saturating_mul(1 << doublings).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let at = |count| doubled(FAILURE_BACKOFF_MIN, count, FAILURE_BACKOFF_MAX).as_millis();
        let first: Vec<u128> = (1..=11).map(at).collect();
        let expected = [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000];
        assert_eq!(first, expected);
        assert_eq!(at(u32::MAX), 60_000);
    }

    #[test]
    fn want_of_room_ends_only_with_what_was_placed_since() {
        let mut backoff = Backoff::default();
        assert!(backoff.found_no_room(Time::ZERO));
        backoff.ready(InstanceId(1));
        assert_eq!(backoff.allowed(0), 0, "that was placed before");
        assert!(!backoff.expire(Time::ZERO));
        backoff.capacity_freed(Time::ZERO);
        assert!(backoff.expire(Time::ZERO) && !backoff.expire(Time::ZERO));
        let others = 5;
        assert_eq!(backoff.allowed(others), 1, "those on their way have their room");
        backoff.started(InstanceId(9));
        assert_eq!(backoff.allowed(others), 0);
        backoff.ended(InstanceId(9));
        assert_eq!(backoff.allowed(others), 1, "cancelled: it told nothing");
        backoff.started(InstanceId(10));
        assert!(!backoff.placed(InstanceId(10)), "the block itself had ended before");
        assert_eq!(backoff.allowed(others), u32::MAX);
    }

    #[test]
    fn any_instance_that_becomes_ready_ends_a_block_for_failures() {
        let mut backoff = Backoff::default();
        assert!(backoff.failed(Time::ZERO) && !backoff.failed(Time::ZERO));
        assert!(!backoff.placed(InstanceId(1)) && backoff.ready(InstanceId(1)));
        assert_eq!((backoff.allowed(7), backoff.failures()), (u32::MAX, 1));
    }
}
