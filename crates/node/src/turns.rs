//! Whose turn it is to start: of each kind of sandbox, a node starts a few at a
//! time, first asked first begun. More at once would only make all of them late,
//! and a start that still waits costs nothing to drop. Pure.

use std::collections::BTreeMap;

use gapless_types::InstanceId;

/// Starts that may wait on one node for one driver.
pub(crate) const WAITING_MAX: usize = 100_000;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// What asking for a turn gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is its turn now.
    Now,
    /// It is in the queue.
    Queued(Place),
    /// The queue is full.
    Full,
}

/// The turns of one driver.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    taken: usize,
    next_place: u64,
    waiting: BTreeMap<Place, InstanceId>,
}

impl Turns {
    /// `at_once` starts at a time, at least one.
    pub(crate) fn new(at_once: usize) -> Self {
        Turns { at_once: at_once.max(1), taken: 0, next_place: 0, waiting: BTreeMap::new() }
    }

    /// Asks for a turn.
    pub(crate) fn ask(&mut self, instance: InstanceId) -> Asked {
        if self.taken < self.at_once && self.waiting.is_empty() {
            self.taken += 1;
            return Asked::Now;
        }
        if self.waiting.len() == WAITING_MAX {
            return Asked::Full;
        }
        let place = Place(self.next_place);
        self.next_place += 1;
        self.waiting.insert(place, instance);
        Asked::Queued(place)
    }

    /// Gives up a place in the queue.
    pub(crate) fn leave(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// A turn is over. Returns whose turn it is now.
    pub(crate) fn free(&mut self) -> Option<InstanceId> {
        debug_assert!(self.taken > 0, "a turn was given back twice");
        match self.waiting.pop_first() {
            Some((_, next)) => Some(next),
            None => {
                self.taken = self.taken.saturating_sub(1);
                None
            }
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_a_time_first_asked_first_begun() {
        let mut turns = Turns::new(2);
        assert_eq!(turns.ask(InstanceId(1)), Asked::Now);
        assert_eq!(turns.ask(InstanceId(2)), Asked::Now);
        let places: Vec<Asked> = (3..=5).map(|id| turns.ask(InstanceId(id))).collect();
        let [_, Asked::Queued(fourth), _] = places[..] else { panic!("{places:?}") };
        turns.leave(fourth);
        turns.leave(fourth);
        assert_eq!(turns.waiting(), 2);
        assert_eq!(turns.free(), Some(InstanceId(3)));
        assert_eq!(turns.free(), Some(InstanceId(5)), "who left is skipped");
        assert_eq!(turns.free(), None);
        assert_eq!(turns.free(), None);
        assert_eq!(turns.ask(InstanceId(6)), Asked::Now, "every turn came back");
    }
}
