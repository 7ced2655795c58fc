//! How long to hold starts back after one failed or found no room.
//!
//! Failures count in rounds: fifty starts that fail together are one failure,
//! so one that comes while starts are blocked already is not counted. A block
//! ends in steps: when its time has come one start is tried (see
//! [`Backoff::allowed`]), and only when that succeeds is the block lifted.
//!
//! What lifts it depends on what it is for. Starts that fail: any instance that
//! becomes ready. Want of room: an instance that was placed after the block
//! began, for those placed before it say nothing about room.

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

/// What holds starts back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    block: Option<Block>,
    /// Failed rounds in a row.
    failures: u32,
    /// Rounds in a row that found no room.
    shortages: u32,
    /// The first start made since the block's time had come.
    probe: Option<InstanceId>,
}

impl Backoff {
    pub(crate) fn block(&self) -> Option<Block> {
        self.block
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next start may be made, if not at once.
    pub(crate) fn until(&self, now: Time) -> Option<Time> {
        self.block
            .map(|block| block.until)
            .filter(|until| now < *until)
    }

    /// How many starts may be made now, with so many on their way.
    pub(crate) fn allowed(&self, now: Time, starting: u32) -> u32 {
        match self.block {
            None => u32::MAX,
            Some(block) if now < block.until => 0,
            Some(_) => u32::from(starting == 0),
        }
    }

    /// A start was made.
    pub(crate) fn started(&mut self, instance: InstanceId) {
        if self.block.is_some() && self.probe.is_none() {
            self.probe = Some(instance);
        }
    }

    /// A start failed, or an instance died soon after. True if that is a new block.
    pub(crate) fn failed(&mut self, now: Time) -> bool {
        if self
            .block
            .is_some_and(|block| !block.is_capacity && now < block.until)
        {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let backoff = doubled(FAILURE_BACKOFF_MIN, self.failures, FAILURE_BACKOFF_MAX);
        self.set(now, false, self.failures, backoff)
    }

    /// A start found no room. True if that is a new block.
    pub(crate) fn found_no_room(&mut self, now: Time) -> bool {
        if self.until(now).is_some() {
            return false;
        }
        self.shortages = self.shortages.saturating_add(1);
        let backoff = doubled(CAPACITY_BACKOFF_MIN, self.shortages, CAPACITY_BACKOFF_MAX);
        self.set(now, true, self.shortages, backoff)
    }

    /// Room was freed: a block for want of it has lasted long enough.
    pub(crate) fn capacity_freed(&mut self, now: Time) {
        if let Some(block) = self.block.as_mut().filter(|block| block.is_capacity) {
            block.until = block.until.min(now);
        }
    }

    /// An instance was placed (`is_ready`: and can serve). True if that lifts the block.
    pub(crate) fn succeeded(&mut self, instance: InstanceId, is_ready: bool) -> bool {
        let is_placed_since = self.probe.is_some_and(|probe| instance >= probe);
        let lifts = match self.block {
            None => false,
            Some(block) if block.is_capacity => is_placed_since,
            Some(_) => is_ready,
        };
        if lifts {
            (self.block, self.probe, self.shortages) = (None, None, 0);
        }
        lifts
    }

    /// An instance stayed alive for long enough to call the revision healthy.
    pub(crate) fn healthy(&mut self) {
        self.failures = 0;
    }

    fn set(&mut self, now: Time, is_capacity: bool, failures: u32, backoff: Duration) -> bool {
        self.block = Some(Block {
            until: now + backoff,
            is_capacity,
            failures,
            backoff,
        });
        self.probe = None;
        true
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
        let expected = [
            200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000,
        ];
        assert_eq!(first, expected);
        assert_eq!(at(u32::MAX), 60_000);
    }

    #[test]
    fn want_of_room_is_lifted_only_by_what_was_placed_since() {
        let mut backoff = Backoff::default();
        assert!(backoff.found_no_room(Time::ZERO));
        assert!(!backoff.succeeded(InstanceId(1), true), "placed before");
        assert_eq!(backoff.allowed(Time::ZERO, 0), 0);
        backoff.capacity_freed(Time::ZERO);
        assert_eq!(
            (
                backoff.allowed(Time::ZERO, 0),
                backoff.allowed(Time::ZERO, 1)
            ),
            (1, 0)
        );
        backoff.started(InstanceId(9));
        assert!(backoff.succeeded(InstanceId(9), false));
        assert_eq!(backoff.allowed(Time::ZERO, 5), u32::MAX);
    }
}
