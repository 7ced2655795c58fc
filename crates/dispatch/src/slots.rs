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
    /// Whether it serves one request and is given back.
    pub(crate) is_for_one: bool,
    /// Whether it has served nothing yet.
    pub(crate) is_unused: bool,
    /// When its last request ended, or it became ready.
    pub(crate) unused_since: Time,
    /// When it was last reported idle.
    pub(crate) reported: Option<Time>,
}

impl Live {
    fn has_free_slot(&self) -> bool {
        let is_used_up = self.is_for_one && !self.is_unused;
        self.busy < self.slots && !self.is_retiring && !is_used_up
    }
}

/// Every instance of a revision that this core may use.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    live: BTreeMap<InstanceId, Live>,
    /// Instances with a free slot; the last is used next.
    free: Vec<InstanceId>,
    /// Instances on their way.
    starting: BTreeMap<InstanceId, Starting>,
    /// The sum of the times at which those began, in nanoseconds.
    begun_sum: u128,
    /// Starts so far, without those that came to nothing.
    starts: i64,
    /// Recently gone ones, within the reorder window.
    gone: BTreeSet<InstanceId>,
    /// The greatest id heard of.
    id_max: u64,
    serving_live: u32,
    slots_live: u32,
    for_one_live: u32,
}

/// An instance on its way.
#[derive(Clone, Copy, Debug)]
struct Starting {
    begun: Time,
    /// Others that were under way when it began, less `starts` then.
    others: i64,
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) instance: InstanceId,
    /// For how long its instance had had nothing to do, if so.
    pub(crate) idle_since: Option<Time>,
    /// Whether it is the first request its instance serves.
    pub(crate) is_first: bool,
}

impl Slots {
    /// Live instances for a single request.
    pub(crate) fn for_one_count(&self) -> u32 {
        self.for_one_live
    }

    /// Live instances that take requests, without those for a single one.
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
        let count = self.starting.len().max(1) as u128;
        let nanos = u128::from(now.as_nanos()) * self.starting.len() as u128 - self.begun_sum;
        std::time::Duration::from_nanos(u64::try_from(nanos / count).unwrap_or(u64::MAX))
    }

    fn remove_starting(&mut self, instance: InstanceId) -> Option<Starting> {
        let starting = self.starting.remove(&instance)?;
        self.begun_sum -= u128::from(starting.begun.as_nanos());
        Some(starting)
    }

    pub(crate) fn contains(&self, instance: InstanceId) -> bool {
        self.live.contains_key(&instance) || self.starting.contains_key(&instance)
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a free slot, of the instance used last.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        let instance = *self.free.last()?;
        let live = self.live.get_mut(&instance)?;
        let idle_since = (live.busy == 0).then_some(live.unused_since);
        let is_first = std::mem::take(&mut live.is_unused);
        live.busy += 1;
        if !live.has_free_slot() {
            self.free.pop();
        }
        Some(Taken { instance, idle_since, is_first })
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
            let under_way = self.starting.len() as i64;
            self.starts += 1;
            let starting = Starting { begun: now, others: under_way - self.starts };
            self.begun_sum += u128::from(now.as_nanos());
            self.starting.insert(instance, starting);
        }
    }

    /// An instance can serve. If that is news, returns how many other starts were
    /// under way during its own, and when that began.
    pub(crate) fn ready(
        &mut self,
        instance: InstanceId,
        slots: u32,
        is_for_one: bool,
        now: Time,
    ) -> Option<(u32, Time)> {
        let starting = self.remove_starting(instance);
        if starting.is_none() && !self.is_new(instance) {
            return None;
        }
        let live = Live {
            slots,
            busy: 0,
            is_retiring: false,
            is_for_one,
            is_unused: true,
            unused_since: now,
            reported: None,
        };
        self.live.insert(instance, live);
        self.count(slots, is_for_one, true);
        self.free.push(instance);
        let others = starting.map_or(0, |starting| starting.others + self.starts);
        let begun = starting.map_or(now, |starting| starting.begun);
        Some((u32::try_from(others).unwrap_or(0), begun))
    }

    /// Counts an instance that takes requests in or out.
    fn count(&mut self, slots: u32, is_for_one: bool, is_in: bool) {
        let change = |count: &mut u32, by: u32| {
            *count = if is_in { *count + by } else { *count - by };
        };
        if is_for_one {
            change(&mut self.for_one_live, 1);
        } else {
            change(&mut self.serving_live, 1);
            change(&mut self.slots_live, slots);
        }
    }

    /// An instance takes no new requests. Returns whether it is idle already,
    /// or `None` when it is not known.
    pub(crate) fn retire(&mut self, instance: InstanceId) -> Option<bool> {
        let live = self.live.get_mut(&instance)?;
        let (slots, is_for_one) = (live.slots, live.is_for_one);
        if !std::mem::replace(&mut live.is_retiring, true) {
            self.count(slots, is_for_one, false);
            self.free.retain(|free| *free != instance);
        }
        Some(self.live[&instance].busy == 0)
    }

    /// An instance is no more. Returns whether it was known.
    pub(crate) fn forget(&mut self, instance: InstanceId) -> bool {
        let is_new = self.is_new(instance);
        let was_starting = self.remove_starting(instance).is_some();
        let live = self.live.remove(&instance);
        self.starts -= i64::from(was_starting);
        if let Some(live) = &live {
            if !live.is_retiring {
                self.count(live.slots, live.is_for_one, false);
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

    /// An instance that can serve.
    pub(crate) fn live(&self, instance: InstanceId) -> Option<&Live> {
        self.live.get(&instance)
    }

    /// An instance that can serve, to be changed.
    pub(crate) fn live_mut(&mut self, instance: InstanceId) -> Option<&mut Live> {
        self.live.get_mut(&instance)
    }

    /// Idle instances, not retiring.
    pub(crate) fn idle(&self) -> impl Iterator<Item = (InstanceId, &Live)> {
        let is_idle = |live: &Live| live.busy == 0 && !live.is_retiring;
        let all = self.live.iter().filter(move |(_, live)| is_idle(live));
        all.map(|(instance, live)| (*instance, live))
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
        slots.ready(InstanceId(1), 2, false, NOW);
        slots.ready(InstanceId(2), 2, false, NOW);
        let order: Vec<u64> = (0..4).map(|_| slots.take().unwrap().instance.0).collect();
        assert_eq!(order, [2, 2, 1, 1]);
        assert_eq!(slots.take(), None);
        slots.give(InstanceId(1), NOW);
        assert_eq!(slots.take().unwrap().instance, InstanceId(1));
    }

    #[test]
    fn old_news_is_ignored() {
        let mut slots = Slots::default();
        assert!(slots.ready(InstanceId(7), 1, false, NOW).is_some());
        assert!(slots.ready(InstanceId(7), 1, false, NOW).is_none(), "twice is once");
        slots.starting(InstanceId(7), NOW);
        assert_eq!(slots.starting_count(), 0, "starting after ready");
        assert!(slots.forget(InstanceId(7)));
        assert!(slots.ready(InstanceId(7), 1, false, NOW).is_none(), "ready after gone");
        assert!(slots.ready(InstanceId(6), 1, false, NOW).is_some(), "an older one may come late");
        assert!(!slots.forget(InstanceId(9)), "gone before it was heard of");
        assert!(slots.ready(InstanceId(9), 1, false, NOW).is_none());
    }

    #[test]
    fn a_retiring_instance_frees_no_slot() {
        let mut slots = Slots::default();
        slots.ready(InstanceId(1), 2, false, NOW);
        slots.take();
        assert_eq!(slots.retire(InstanceId(1)), Some(false));
        assert_eq!((slots.live_count(), slots.slot_count()), (0, 0));
        slots.give(InstanceId(1), NOW);
        assert!(!slots.has_free());
        assert_eq!(slots.retire(InstanceId(1)), Some(true));
    }
}
