//! [`Expiry`]: reservations by when they run out. They are made with one length of
//! time, so they run out in the order they were made: a queue, from which what was
//! confirmed or given back is dropped when it comes to the front.

use std::collections::VecDeque;

use gapless_types::{InstanceId, Time};

/// Entries that may be left over from instances that are confirmed or gone, beyond as
/// many as there are instances.
const STALE_MAX: usize = 1_024;

/// Reservations, soonest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    queue: VecDeque<(Time, InstanceId)>,
}

impl Expiry {
    /// A reservation holds until then.
    pub(super) fn push(&mut self, until: Time, instance: InstanceId) {
        let at = match self.queue.back() {
            Some((last, _)) if *last > until => self.queue.partition_point(|(t, _)| *t <= until),
            _ => self.queue.len(),
        };
        self.queue.insert(at, (until, instance));
    }

    /// Drops entries that are over, given which are not. Call it now and then.
    pub(super) fn tidy(
        &mut self,
        instances: usize,
        is_reserved: impl Fn(Time, InstanceId) -> bool,
    ) {
        while let Some((until, instance)) = self.queue.front()
            && !is_reserved(*until, *instance)
        {
            self.queue.pop_front();
        }
        if self.queue.len() > 2 * instances + STALE_MAX {
            self.queue.retain(|(until, instance)| is_reserved(*until, *instance));
        }
    }

    /// The entry that runs out next; it may be over already.
    pub(super) fn first(&self) -> Option<(Time, InstanceId)> {
        self.queue.front().copied()
    }

    pub(super) fn pop(&mut self) {
        self.queue.pop_front();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<(Time, InstanceId)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_and_stale_ones_go() {
        let mut expiry = Expiry::default();
        let at = Time::from_millis;
        for (ms, id) in [(10, 1), (30, 2), (20, 3)] {
            expiry.push(at(ms), InstanceId(id));
        }
        expiry.tidy(3, |_, instance| instance != InstanceId(1));
        assert_eq!(expiry.first(), Some((at(20), InstanceId(3))));
        expiry.pop();
        assert_eq!(expiry.first(), Some((at(30), InstanceId(2))));
        for id in 10..10_000 {
            expiry.push(at(40), InstanceId(id));
        }
        expiry.tidy(1, |_, instance| instance == InstanceId(2));
        assert_eq!(expiry.queue.len(), 1);
    }
}
