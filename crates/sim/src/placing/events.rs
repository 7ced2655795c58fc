//! What happens next, by time; of the same time in the order in which it was foreseen.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// Instances of a function are asked for.
    Arrive(u32),
    /// An instance's start ends.
    Started(u32),
    /// Its start fails.
    StartFailed(u32),
    /// Its work ends.
    Done(u32),
    /// It was idle long enough.
    IdleEnds(u32),
    /// Nodes' use is measured.
    Measure,
    /// A node is taken away.
    Lost(u32),
    /// A whole zone is lost.
    ZoneLost(u32),
    /// A node is back.
    Back(u32),
    /// A node falls ill.
    Ill(u32),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: f64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.sequence.cmp(&other.sequence))
    }
}

/// Events to come.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at: f64, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, event }));
    }

    pub(crate) fn pop(&mut self) -> Option<(f64, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}
