//! Instances and their slots: which is free, who holds one.
//!
//! Free instances form a stack: the one used last is used next, and one with
//! several slots is filled before another is touched. So load gathers on few
//! instances, their caches stay warm, and the others grow idle together and can
//! be taken back. Spreading would keep every instance just busy enough to stay.
//!
//! Stale facts (an instance reported as starting or ready after it was gone) are
//! told apart without remembering the dead: an instance id that is not known and
//! is not greater than every id seen so far is old news. Control gives ids in
//! growing order, but facts of different instances may overtake each other, so
//! ids within [`REORDER_WINDOW`] of the greatest are remembered when they go.

use std::collections::{BTreeMap, BTreeSet};

use gapless_types::{InstanceId, Time};

/// How far a fact about a newer instance may overtake one about an older.
const REORDER_WINDOW: u64 = 4096;

/// An instance that can serve.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) slots: u32,
    pub(crate) busy: u32,
    pub(crate) is_retiring: bool,
    /// When its last request ended, or it became ready.
    pub(crate) unused_since: Time,
    /// When it was last reported idle.
    pub(crate) reported: Option<Time>,
}

impl Live {
    fn has_free_slot(&self) -> bool {
        self.busy < self.slots && !self.is_retiring
    }
}

/// Every instance of a revision that this core may use.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    live: BTreeMap<InstanceId, Live>,
    /// Instances with a free slot; the last is used next.
    free: Vec<InstanceId>,
    /// Instances on their way, and since when.
    starting: BTreeMap<InstanceId, Time>,
    /// Recently gone ones, within the reorder window.
    gone: BTreeSet<InstanceId>,
    /// The greatest id heard of.
    id_max: u64,
    serving_live: u32,
    slots_live: u32,
}

impl Slots {
    /// Live instances that take requests.
    pub(crate) fn live_count(&self) -> u32 {
        self.serving_live
    }

    /// Slots of live instances that take requests.
    pub(crate) fn slot_count(&self) -> u32 {
        self.slots_live
    }

    pub(crate) fn starting_count(&self) -> u32 {
        u32::try_from(self.starting.len()).unwrap_or(u32::MAX)
    }

    /// The mean age of the starts under way.
    pub(crate) fn starting_age_mean(&self, now: Time) -> std::time::Duration {
        let sum: std::time::Duration = self.starting.values().map(|begun| now - *begun).sum();
        sum / self.starting_count().max(1)
    }

    pub(crate) fn contains(&self, instance: InstanceId) -> bool {
        self.live.contains_key(&instance) || self.starting.contains_key(&instance)
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a free slot, of the instance used last.
    pub(crate) fn take(&mut self) -> Option<InstanceId> {
        let instance = *self.free.last()?;
        let live = self.live.get_mut(&instance)?;
        live.busy += 1;
        if !live.has_free_slot() {
            self.free.pop();
        }
        Some(instance)
    }

    /// Gives a slot back. Returns the instance's state if it is still known.
    pub(crate) fn give(&mut self, instance: InstanceId, now: Time) -> Option<&Live> {
        let live = self.live.get_mut(&instance)?;
        let was_free = live.has_free_slot();
        live.busy = live.busy.saturating_sub(1);
        live.unused_since = now;
        live.reported = None;
        if live.has_free_slot() && !was_free {
            self.free.push(instance);
        }
        self.live.get(&instance)
    }

    /// An instance is on its way. Old news is ignored.
    pub(crate) fn starting(&mut self, instance: InstanceId, now: Time) {
        if self.is_new(instance) {
            self.starting.insert(instance, now);
        }
    }

    /// An instance can serve. Returns whether that is news.
    pub(crate) fn ready(&mut self, instance: InstanceId, slots: u32, now: Time) -> bool {
        if self.starting.remove(&instance).is_none() && !self.is_new(instance) {
            return false;
        }
        let live = Live { slots, busy: 0, is_retiring: false, unused_since: now, reported: None };
        self.live.insert(instance, live);
        self.serving_live += 1;
        self.slots_live += slots;
        self.free.push(instance);
        true
    }

    /// An instance takes no new requests. Returns whether it is idle already,
    /// or `None` when it is not known.
    pub(crate) fn retire(&mut self, instance: InstanceId) -> Option<bool> {
        let live = self.live.get_mut(&instance)?;
        if !live.is_retiring {
            live.is_retiring = true;
            self.serving_live -= 1;
            self.slots_live -= live.slots;
            self.free.retain(|free| *free != instance);
        }
        Some(self.live[&instance].busy == 0)
    }

    /// An instance is no more. Returns whether it was known.
    pub(crate) fn forget(&mut self, instance: InstanceId) -> bool {
        let is_new = self.is_new(instance);
        let was_starting = self.starting.remove(&instance).is_some();
        let live = self.live.remove(&instance);
        if let Some(live) = &live {
            if !live.is_retiring {
                self.serving_live -= 1;
                self.slots_live -= live.slots;
            }
            self.free.retain(|free| *free != instance);
        }
        if is_new || was_starting || live.is_some() {
            self.gone.insert(instance);
            let floor = self.id_max.saturating_sub(REORDER_WINDOW);
            self.gone = self.gone.split_off(&InstanceId(floor));
        }
        was_starting || live.is_some()
    }

    /// Idle instances that can be reported: unused, and not retiring.
    pub(crate) fn idle_mut(&mut self) -> impl Iterator<Item = (InstanceId, &mut Live)> {
        self.live
            .iter_mut()
            .filter(|(_, live)| live.busy == 0 && !live.is_retiring)
            .map(|(instance, live)| (*instance, live))
    }

    /// Whether a fact about an unknown instance can be about a new one.
    fn is_new(&mut self, instance: InstanceId) -> bool {
        let known = self.contains(instance);
        let is_old = instance.0 + REORDER_WINDOW < self.id_max || self.gone.contains(&instance);
        self.id_max = self.id_max.max(instance.0);
        !known && !is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    #[test]
    fn the_instance_used_last_is_used_next_and_filled_first() {
        let mut slots = Slots::default();
        slots.ready(InstanceId(1), 2, NOW);
        slots.ready(InstanceId(2), 2, NOW);
        let order: Vec<u64> = (0..4).map(|_| slots.take().unwrap().0).collect();
        assert_eq!(order, [2, 2, 1, 1]);
        assert_eq!(slots.take(), None);
        slots.give(InstanceId(1), NOW);
        assert_eq!(slots.take(), Some(InstanceId(1)));
    }

    #[test]
    fn old_news_is_ignored() {
        let mut slots = Slots::default();
        assert!(slots.ready(InstanceId(7), 1, NOW));
        assert!(!slots.ready(InstanceId(7), 1, NOW), "twice is once");
        slots.starting(InstanceId(7), NOW);
        assert_eq!(slots.starting_count(), 0, "starting after ready");
        assert!(slots.forget(InstanceId(7)));
        assert!(!slots.ready(InstanceId(7), 1, NOW), "ready after gone");
        assert!(slots.ready(InstanceId(6), 1, NOW), "an older one may come late");
        assert!(!slots.forget(InstanceId(9)), "gone before it was heard of");
        assert!(!slots.ready(InstanceId(9), 1, NOW));
    }

    #[test]
    fn a_retiring_instance_frees_no_slot() {
        let mut slots = Slots::default();
        slots.ready(InstanceId(1), 2, NOW);
        slots.take();
        assert_eq!(slots.retire(InstanceId(1)), Some(false));
        assert_eq!((slots.live_count(), slots.slot_count()), (0, 0));
        slots.give(InstanceId(1), NOW);
        assert!(!slots.has_free());
        assert_eq!(slots.retire(InstanceId(1)), Some(true));
    }
}
