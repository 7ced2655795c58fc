//! What became of a revision's requests: counts that only grow, by which a rollout
//! judges a new revision against the old one.
//!
//! Latencies are counted in buckets that double in eight steps, so that a bucket is
//! at most an eighth as wide as what it holds: quantiles are right to 12.5%. Below
//! 128 microseconds buckets are 16 wide.

use std::fmt;
use std::time::Duration;

/// Microseconds of the finest bucket.
const FINEST_MICROS: u64 = 16;
/// Buckets per doubling, as a power of two.
const STEPS_LOG2: u32 = 3;
/// Doublings above the finest eight: the last ends at 67 seconds.
const DOUBLINGS: usize = 19;

/// What became of a revision's requests, since its gateway began to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Requests that ended.
    pub requests: u64,
    /// Of which failed by the function's own fault: answered 5xx, answered nonsense,
    /// not answered in time, or refused because its instances fail to start.
    pub errors: u64,
    /// Of which waited for an instance to start.
    pub cold: u64,
    /// Requests that wait for a slot now.
    pub queued: u32,
    /// From a request's slot to the head of its answer, of those that had a slot.
    pub latencies: Latencies,
}

impl Outcomes {
    /// What was counted since `earlier`. Counts that have fallen were begun anew.
    pub fn since(&self, earlier: &Outcomes) -> Outcomes {
        if self.requests < earlier.requests || self.errors < earlier.errors {
            return self.clone();
        }
        Outcomes {
            requests: self.requests - earlier.requests,
            errors: self.errors - earlier.errors,
            cold: self.cold.saturating_sub(earlier.cold),
            queued: self.queued,
            latencies: self.latencies.since(&earlier.latencies),
        }
    }

    /// Share of the requests that failed; 0 when there were none.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// How many latencies fell into which bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct Latencies([u64; Latencies::BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Latencies([0; Latencies::BUCKETS])
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} latencies, p99 {:?}", self.count(), self.quantile(0.99))
    }
}

impl Latencies {
    /// How many buckets there are; the last has no upper bound.
    pub const BUCKETS: usize = (DOUBLINGS + 1) << STEPS_LOG2;

    /// With these counts.
    pub fn from_counts(counts: [u64; Latencies::BUCKETS]) -> Self {
        Latencies(counts)
    }

    /// The bucket that `latency` falls into.
    pub fn bucket(latency: Duration) -> usize {
        let units = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX) / FINEST_MICROS;
        let doublings = units.checked_ilog2().unwrap_or(0).saturating_sub(STEPS_LOG2);
        let step = (units >> doublings) as usize;
        (((doublings as usize) << STEPS_LOG2) + step).min(Latencies::BUCKETS - 1)
    }

    /// Where a bucket begins.
    fn begin(bucket: usize) -> Duration {
        let doublings = (bucket >> STEPS_LOG2).saturating_sub(1);
        let step = bucket - (doublings << STEPS_LOG2);
        Duration::from_micros(((step as u64) << doublings) * FINEST_MICROS)
    }

    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0[Latencies::bucket(latency)] += 1;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many are certainly longer than `bound`: those in buckets wholly above it.
    pub fn longer_than(&self, bound: Duration) -> u64 {
        self.0[(Latencies::bucket(bound) + 1).min(Latencies::BUCKETS)..].iter().sum()
    }

    /// The end of the bucket that holds the quantile `q`, 0 to 1; `None` of nothing.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        let bucket = self.0.iter().position(|found| {
            below += found;
            below >= rank
        })?;
        Some(Latencies::begin(bucket + 1))
    }

    fn since(&self, earlier: &Latencies) -> Latencies {
        let mut counts = self.0;
        for (count, earlier) in counts.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(earlier);
        }
        Latencies(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_bounds() {
        for bucket in 0..Latencies::BUCKETS {
            let begin = Latencies::begin(bucket);
            assert_eq!(Latencies::bucket(begin), bucket);
            if bucket > 0 {
                let before = begin - Duration::from_micros(1);
                assert_eq!(Latencies::bucket(before), bucket - 1);
                let width = begin - Latencies::begin(bucket - 1);
                assert!(begin < Duration::from_micros(129) || width * 8 <= begin);
            }
        }
        assert!(Latencies::begin(Latencies::BUCKETS - 1) > Duration::from_secs(60));
        assert_eq!(Latencies::bucket(Duration::MAX), Latencies::BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_to_an_eighth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.99), None);
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        for (q, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latencies.quantile(q).unwrap().as_secs_f64() * 1e3;
            assert!((exact..exact * 1.126).contains(&found), "{q}: {found}");
        }
        let longer = latencies.longer_than(Duration::from_millis(500));
        assert!((437..=500).contains(&longer), "{longer}");
    }

    #[test]
    fn counts_that_fell_were_begun_anew() {
        let mut earlier = Outcomes { requests: 10, errors: 1, ..Outcomes::default() };
        earlier.latencies.record(Duration::from_millis(1));
        let mut later = earlier.clone();
        later.requests = 15;
        later.latencies.record(Duration::from_millis(9));
        let since = later.since(&earlier);
        assert_eq!((since.requests, since.errors, since.latencies.count()), (5, 0, 1));
        let anew = Outcomes { requests: 3, ..Outcomes::default() };
        assert_eq!(anew.since(&earlier), anew);
        assert_eq!(Outcomes::default().error_rate(), 0.0);
    }
}
