//! The distribution of one revision's gaps, and what it says about keeping.

use std::sync::LazyLock;
use std::time::Duration;

/// The shortest gap told apart, in seconds.
const FIRST_S: f64 = 0.01;
/// Buckets per doubling.
const PER_OCTAVE: usize = 8;
/// Up to a day and a half.
const BUCKETS: usize = 190;
/// How many gaps' worth of weight a prior has, spread evenly over the logarithm of
/// the gap: nothing is known, so each order of magnitude is as likely.
const PRIOR_WEIGHT: f64 = 1.0;
/// The weight at which older gaps begin to fade.
const WEIGHT_MAX: f32 = 200.0;
/// Gaps seen before an instance is started ahead on their word.
const AHEAD_MIN: u32 = 4;

/// Counts by logarithm of the gap, the older the fainter.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    weights: [f32; BUCKETS],
    total: f32,
    seen: u32,
    looked_at: u32,
}

/// What gaps say about keeping an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stay {
    /// How long to keep one that falls idle.
    pub(super) keep: Duration,
    /// When to have one again after that.
    pub(super) ahead: Option<Prewarm>,
}

/// A stretch after an instance fell idle, in which one is had ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prewarm {
    /// When its start is made.
    pub(super) from: Duration,
    /// When it is given back if nobody came.
    pub(super) to: Duration,
}

impl Default for Gaps {
    fn default() -> Self {
        Gaps { weights: [0.0; BUCKETS], total: 0.0, seen: 0, looked_at: 0 }
    }
}

impl Gaps {
    pub(super) fn add(&mut self, gap: Duration) {
        if self.total >= WEIGHT_MAX {
            self.weights.iter_mut().for_each(|weight| *weight *= 0.5);
            self.total = self.weights.iter().sum();
        }
        self.weights[bucket(gap)] += 1.0;
        self.total += 1.0;
        self.seen = self.seen.saturating_add(1);
    }

    /// Whether enough was added since the last look for another, which this is then.
    pub(super) fn look(&mut self) -> bool {
        let is_worth = self.seen - self.looked_at >= (self.looked_at / 4).clamp(1, 32);
        if is_worth {
            self.looked_at = self.seen;
        }
        is_worth
    }

    /// What to do, when a cold start is worth `worth` of an idle instance's time and
    /// takes `start`.
    pub(super) fn stay(&self, worth: Duration, start: Duration) -> Stay {
        let worth = worth.as_secs_f64();
        let total = f64::from(self.total) + PRIOR_WEIGHT;
        let prior = PRIOR_WEIGHT / BUCKETS as f64;
        let values = || {
            let mut left = 1.0;
            self.weights.iter().enumerate().map(move |(index, weight)| {
                let share = (f64::from(*weight) + prior) / total;
                left -= share;
                let width = edge(index + 1) - if index == 0 { 0.0 } else { edge(index) };
                worth * share - width * (left.max(0.0) + share / 2.0)
            })
        };
        let (mut kept, mut best, mut sum) = (0, 0.0, 0.0);
        for (index, value) in values().enumerate() {
            sum += value;
            if sum > best {
                (kept, best) = (index + 1, sum);
            }
        }
        let keep = if kept == 0 { 0.0 } else { edge(kept) };
        let ahead = if self.seen >= AHEAD_MIN { self.ahead(values(), kept, start) } else { None };
        Stay { keep: Duration::from_secs_f64(keep), ahead }
    }

    /// The stretch after `kept` with the largest sum of values, if that pays for a
    /// start of its own.
    fn ahead(
        &self,
        values: impl Iterator<Item = f64>,
        kept: usize,
        start: Duration,
    ) -> Option<Prewarm> {
        let start_s = start.as_secs_f64();
        let (mut best, mut stretch) = (0.0, None);
        let (mut sum, mut from) = (0.0, kept);
        for (index, value) in values.enumerate().skip(kept) {
            if sum <= 0.0 {
                (sum, from) = (0.0, index);
            }
            sum += value;
            // The start's own time holds the memory too; and one was there already
            // unless the stretch begins well after it was given back.
            if sum - start_s > best && from > kept {
                (best, stretch) = (sum - start_s, Some((from, index + 1)));
            }
        }
        let (from, to) = stretch?;
        let begin = (edge(from) - start_s).max(0.0);
        (begin > edge(kept) + start_s).then(|| Prewarm {
            from: Duration::from_secs_f64(begin),
            to: Duration::from_secs_f64(edge(to)),
        })
    }
}

/// Where a bucket begins, in seconds.
fn edge(index: usize) -> f64 {
    // Asked for some four hundred at a time.
    static EDGES: LazyLock<[f64; BUCKETS + 1]> = LazyLock::new(|| {
        std::array::from_fn(|index| FIRST_S * (index as f64 / PER_OCTAVE as f64).exp2())
    });
    EDGES[index]
}

fn bucket(gap: Duration) -> usize {
    let octaves = (gap.as_secs_f64() / FIRST_S).max(1.0).log2();
    ((octaves * PER_OCTAVE as f64) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Duration = Duration::from_millis(200);

    fn gaps(spans: impl IntoIterator<Item = f64>) -> Gaps {
        let mut gaps = Gaps::default();
        spans.into_iter().for_each(|span| gaps.add(Duration::from_secs_f64(span)));
        gaps
    }

    #[test]
    fn what_is_needed_within_its_worth_is_kept_and_what_is_not_goes() {
        let frequent = gaps((0..50).map(|i| 5.0 + f64::from(i) / 10.0)).stay(MINUTE, START);
        assert!((9.0..15.0).contains(&frequent.keep.as_secs_f64()), "{frequent:?}");
        let rare = gaps((0..50).map(|i| 400.0 * (1.0 + f64::from(i)))).stay(MINUTE, START);
        assert!(rare.keep < Duration::from_secs(10), "{rare:?}");
        let dear = gaps((0..50).map(|i| 400.0 * (1.0 + f64::from(i)))).stay(MINUTE * 1000, START);
        assert!(dear.keep > Duration::from_secs(10_000), "{dear:?}");
    }

    #[test]
    fn with_nothing_known_it_stays_for_a_part_of_its_worth() {
        let stay = Gaps::default().stay(10 * MINUTE, START);
        assert!((20.0..200.0).contains(&stay.keep.as_secs_f64()), "{stay:?}");
        assert_eq!(stay.ahead, None);
    }

    #[test]
    fn a_timer_is_met_and_not_waited_for() {
        let timer = gaps((0..20).map(|i| 300.0 + f64::from(i % 5))).stay(3 * MINUTE, START);
        assert!(timer.keep < Duration::from_secs(10), "{timer:?}");
        let ahead = timer.ahead.unwrap();
        let (from, to) = (ahead.from.as_secs_f64(), ahead.to.as_secs_f64());
        assert!(from < 300.0 && to > 304.0 && to - from < 60.0, "{ahead:?}");
    }

    #[test]
    fn what_changed_is_learned_anew() {
        let mut changed = gaps((0..500).map(|_| 1000.0));
        (0..500).for_each(|_| changed.add(Duration::from_secs(2)));
        assert!(changed.stay(MINUTE, START).keep < Duration::from_secs(10));
        assert!(changed.total <= WEIGHT_MAX + 1.0);
    }
}
