//! What became of one revision's requests, counted as they end.
//!
//! A request costs one addition, or two if it failed. The counters are not divided
//! among threads: the revision's queue is locked twice for the same request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gapless_types::{Fault, Latencies, Outcomes, Reason};

/// Counts that only grow.
#[derive(Debug)]
pub(crate) struct Tally {
    /// By latency, of those that had a slot.
    latencies: [AtomicU64; Latencies::BUCKETS],
    /// Refused by the function's fault before they had one.
    unserved: AtomicU64,
    errors: AtomicU64,
    cold: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            latencies: std::array::from_fn(|_| AtomicU64::new(0)),
            unserved: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cold: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// The head of an answer came, `took` after the request had its slot.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        self.count(took);
        if status >= 500 {
            self.failed();
        }
    }

    /// The request waited for an instance to start.
    pub(crate) fn was_cold(&self) {
        self.cold.fetch_add(1, Ordering::Relaxed);
    }

    /// No answer came, `took` after the request had its slot.
    pub(crate) fn unanswered(&self, reason: Reason, took: Duration) {
        if reason.fault() == Fault::Function {
            self.count(took);
            self.failed();
        }
    }

    /// The request had no slot.
    pub(crate) fn refused(&self, reason: Reason) {
        if reason.fault() == Fault::Function {
            self.unserved.fetch_add(1, Ordering::Relaxed);
            self.failed();
        }
    }

    /// An answer that was counted as good broke off.
    pub(crate) fn broke_off(&self) {
        self.failed();
    }

    fn count(&self, took: Duration) {
        self.latencies[Latencies::bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts. Errors are read first, so that there are never more than requests.
    pub(crate) fn outcomes(&self, queued: u32) -> Outcomes {
        let cold = self.cold.load(Ordering::Relaxed);
        let errors = self.errors.load(Ordering::Acquire);
        let counts = std::array::from_fn(|bucket| self.latencies[bucket].load(Ordering::Relaxed));
        let latencies = Latencies::from_counts(counts);
        let requests = latencies.count() + self.unserved.load(Ordering::Relaxed);
        let (errors, cold) = (errors.min(requests), cold.min(requests));
        Outcomes { requests, errors, cold, queued, latencies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_function_did_counts_against_it() {
        let tally = Tally::default();
        let ms = Duration::from_millis;
        for status in [200, 404, 500, 503] {
            tally.answered(status, ms(3));
        }
        tally.unanswered(Reason::Timeout, ms(900));
        tally.unanswered(Reason::Draining, ms(1));
        tally.refused(Reason::QueueFull);
        tally.refused(Reason::QueueTimeout);
        tally.refused(Reason::StartFailed);
        tally.broke_off();
        let outcomes = tally.outcomes(0);
        assert_eq!((outcomes.requests, outcomes.errors), (6, 5));
        assert_eq!(outcomes.latencies.count(), 5);
        assert_eq!(outcomes.latencies.longer_than(ms(500)), 1);
    }
}
