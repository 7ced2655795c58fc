//! What happens next: events by time, and of the same time in the order in which
//! they were made, so that a run follows from its seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use gapless_types::{InstanceId, Time};

/// Something that was foreseen. What has changed since is told by whoever is meant:
/// a wake-up that was moved, or a node whose load changed, is stale and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A node's next service ends, if its load did not change since.
    ServiceEnds { node: u32, version: u32 },
    /// A node's next start ends, if its starts did not change since.
    StartEnds { node: u32, version: u32 },
    /// A function's dispatch core asked to be woken.
    WakeDispatch { function: u32 },
    /// A function's fleet asked to be woken.
    WakeFleet { function: u32 },
    /// The order to start an instance reaches its node.
    Ordered { instance: InstanceId },
    /// An instance that was told to stop is gone.
    Stopped { instance: InstanceId },
    /// A node fails.
    NodeFails { node: u32 },
    /// A node is back.
    NodeReturns { node: u32 },
}

/// Events to come.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, Event)>>,
    sequence: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, event)));
    }

    /// When the next one is.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
