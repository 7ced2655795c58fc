//! Whether a new revision does well enough, by what became of its requests and of the
//! old one's since the rollout began.
//!
//! A few requests prove little, so nothing is concluded from a rate alone. A revision is
//! bad when the evidence leaves no other reading at a confidence of 99%, one-sided:
//!
//! - *errors*: its error rate is above `errorRateMax`, by the lower Wilson score bound
//!   (E. B. Wilson, "Probable inference, the law of succession, and statistical
//!   inference", JASA 22, 1927), and above the old revision's, by the lower bound of the
//!   difference of both (R. G. Newcombe, "Interval estimation for the difference between
//!   independent proportions: comparison of eleven methods", Statistics in Medicine 17,
//!   1998, method 10). A dependency that fails both is so no reason to roll back;
//! - *latency*: more than 1 in 100 of its requests, by the same Wilson bound, take longer
//!   than `latencyP99Max`: that is what it means that its p99 is above it.
//!
//! What is so at a confidence of 90% only is doubt; an old revision with too few requests
//! to compare with removes none. The bounds hold for one look, and a rollout looks ten
//! times per step or more; how often good revisions are rolled back in the end is
//! measured in `tests/course.rs`.

use std::time::Duration;

use gapless_types::{LatencyMax, Outcomes, RolloutSpec};

/// Quantiles of the normal distribution: 0.99, by which a revision is bad, and 0.9, by
/// which it is in doubt.
const Z_BAD: f64 = 2.326_347_9;
const Z_DOUBT: f64 = 1.281_551_6;
/// Fewer errors than this prove nothing, whatever the bounds say.
const ERRORS_MIN: u64 = 3;
/// Fewer slow requests than this prove nothing: the first in an instance often are.
const SLOW_MIN: u64 = 5;
/// The share that may be slower than a p99.
const SLOW_SHARE: f64 = 0.01;
/// A multiple of the old revision's latency is never taken to be less than this: below,
/// it is the machine's noise that is compared.
const LATENCY_FLOOR: Duration = Duration::from_millis(10);
/// Latencies of the old revision from which a multiple is taken.
const COMPARED_MIN: u64 = 100;

/// How a new revision does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing speaks against it.
    Good,
    /// It looks bad, which may be chance.
    Doubtful(String),
    /// It is bad.
    Bad(String),
}

/// Judges what became of requests since a rollout began.
pub(crate) fn judge(policy: &RolloutSpec, old: &Outcomes, new: &Outcomes) -> Verdict {
    let (errors, latency) = (judge_errors(policy, old, new), judge_latency(policy, old, new));
    match (errors, latency) {
        (bad @ Verdict::Bad(_), _) | (_, bad @ Verdict::Bad(_)) => bad,
        (doubtful @ Verdict::Doubtful(_), _) => doubtful,
        (Verdict::Good, latency) => latency,
    }
}

fn judge_errors(policy: &RolloutSpec, old: &Outcomes, new: &Outcomes) -> Verdict {
    let max = policy.error_rate_max;
    let is_above = |z: f64| wilson(new.errors, new.requests, z).0 > max.ratio();
    let is_worse = |z: f64| difference_min(new, old, z) > 0.0;
    let is_old_known = old.requests >= u64::from(policy.requests_min);
    let is_doubtful = is_above(Z_DOUBT) && (!is_old_known || is_worse(Z_DOUBT));
    if new.error_rate() <= old.error_rate() || !is_doubtful {
        return Verdict::Good;
    }
    let mut reason = format!(
        "{} of its {} requests failed by its own fault, {} may (spec.rollout.errorRateMax)",
        new.errors, new.requests, max
    );
    if old.requests > 0 {
        reason += &format!("; of the old revision's, {} of {} did", old.errors, old.requests);
    }
    let is_bad = is_above(Z_BAD) && (old.requests == 0 || is_worse(Z_BAD));
    match is_bad && new.errors >= ERRORS_MIN {
        true => Verdict::Bad(reason),
        false => Verdict::Doubtful(reason),
    }
}

fn judge_latency(policy: &RolloutSpec, old: &Outcomes, new: &Outcomes) -> Verdict {
    let limit = match policy.latency_p99_max {
        LatencyMax::Within(span) => span.0,
        LatencyMax::Times(_) if old.latencies.count() < COMPARED_MIN => return Verdict::Good,
        LatencyMax::Times(hundredths) => {
            let p99 = old.latencies.quantile(0.99).unwrap_or_default();
            (p99 * hundredths / 100).max(LATENCY_FLOOR)
        }
    };
    let (slow, all) = (new.latencies.longer_than(limit), new.latencies.count());
    let is_above = |z: f64| wilson(slow, all, z).0 > SLOW_SHARE;
    if slow < SLOW_MIN || !is_above(Z_DOUBT) {
        return Verdict::Good;
    }
    let reason = format!(
        "{slow} of its {all} requests took longer than {}, 1 in 100 may \
         (spec.rollout.latencyP99Max is {})",
        readable(limit),
        policy.latency_p99_max
    );
    match is_above(Z_BAD) {
        true => Verdict::Bad(reason),
        false => Verdict::Doubtful(reason),
    }
}

fn readable(span: Duration) -> String {
    format!("{}ms", (span.as_secs_f64() * 1e3).round())
}

/// Wilson's score bounds of a proportion, lower and upper.
fn wilson(hits: u64, of: u64, z: f64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let n = of as f64;
    let (p, z2) = (hits as f64 / n, z * z);
    let centre = p + z2 / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// Newcombe's lower bound of how much higher the new error rate is than the old.
fn difference_min(new: &Outcomes, old: &Outcomes, z: f64) -> f64 {
    let (p_new, p_old) = (new.error_rate(), old.error_rate());
    let low = wilson(new.errors, new.requests, z).0;
    let high = wilson(old.errors, old.requests, z).1;
    p_new - p_old - ((p_new - low).powi(2) + (high - p_old).powi(2)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(errors: u64, requests: u64) -> Outcomes {
        Outcomes { requests, errors, ..Outcomes::default() }
    }

    fn errors(new: (u64, u64), old: (u64, u64)) -> &'static str {
        let (new, old) = (outcomes(new.0, new.1), outcomes(old.0, old.1));
        match judge(&RolloutSpec::default(), &old, &new) {
            Verdict::Good => "good",
            Verdict::Doubtful(_) => "doubtful",
            Verdict::Bad(_) => "bad",
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_papers() {
        // Computed from the formulas apart from this code.
        let (low, high) = wilson(3, 20, Z_BAD);
        assert!((low - 0.043_681).abs() < 1e-6 && (high - 0.405_395).abs() < 1e-6, "{low} {high}");
        let difference = difference_min(&outcomes(56, 70), &outcomes(48, 80), Z_BAD);
        assert!((difference - 0.024_393).abs() < 1e-6, "{difference}");
        assert_eq!(wilson(0, 0, Z_BAD), (0.0, 1.0));
    }

    #[test]
    fn errors_count_once_they_prove_something() {
        assert_eq!(errors((0, 0), (0, 0)), "good");
        assert_eq!(errors((1, 1_000), (0, 1_000)), "good", "as many as may");
        assert_eq!(errors((1, 1), (0, 99)), "doubtful");
        assert_eq!(errors((2, 2), (0, 198)), "doubtful");
        assert_eq!(errors((3, 3), (0, 297)), "bad");
        assert_eq!(errors((3, 20), (0, 2_000)), "bad");
        assert_eq!(errors((3, 250), (0, 2_500)), "good", "1.2%, by chance");
        assert_eq!(errors((1, 60), (0, 6_000)), "good", "one, by chance");
        assert_eq!(errors((1, 20), (0, 2_000)), "doubtful");
        assert_eq!(errors((120, 10_000), (0, 10_000)), "doubtful");
        assert_eq!(errors((140, 10_000), (0, 10_000)), "bad");
        assert_eq!(errors((50, 50), (0, 0)), "bad", "nobody to compare with");
    }

    #[test]
    fn what_fails_both_is_held_against_neither() {
        assert_eq!(errors((50, 100), (500, 1_000)), "good");
        assert_eq!(errors((55, 100), (500, 1_000)), "good");
        assert_eq!(errors((60, 100), (500, 1_000)), "doubtful");
        assert_eq!(errors((90, 100), (500, 1_000)), "bad");
        assert_eq!(errors((20, 40), (0, 1)), "doubtful", "the old one was hardly asked");
    }

    fn latencies(fast: u64, slow: u64, (fast_ms, slow_ms): (u64, u64)) -> Outcomes {
        let mut outcomes = outcomes(0, fast + slow);
        for (count, ms) in [(fast, fast_ms), (slow, slow_ms)] {
            (0..count).for_each(|_| outcomes.latencies.record(Duration::from_millis(ms)));
        }
        outcomes
    }

    #[test]
    fn a_slow_tail_counts_once_it_proves_something() {
        let policy = RolloutSpec::default();
        let old = latencies(1_000, 0, (20, 0));
        let new = |fast, slow| judge(&policy, &old, &latencies(fast, slow, (20, 90)));
        assert_eq!(new(0, 4), Verdict::Good, "first requests are slow");
        assert!(matches!(new(15, 5), Verdict::Bad(_)));
        assert!(matches!(new(245, 5), Verdict::Doubtful(_)));
        assert_eq!(new(1_000, 12), Verdict::Good);
        let Verdict::Bad(reason) = new(100, 50) else { panic!() };
        let expected = "50 of its 150 requests took longer than 41ms, 1 in 100 may \
                        (spec.rollout.latencyP99Max is 2x)";
        assert_eq!(reason, expected);

        let few = latencies(50, 0, (20, 0));
        let slow = latencies(0, 100, (0, 900));
        assert_eq!(judge(&policy, &few, &slow), Verdict::Good, "nothing to compare with");
        let absolute = RolloutSpec {
            latency_p99_max: LatencyMax::Within("500ms".parse().unwrap()),
            ..policy.clone()
        };
        assert!(matches!(judge(&absolute, &few, &slow), Verdict::Bad(_)));
        let (quick, less_quick) = (latencies(1_000, 0, (1, 0)), latencies(0, 1_000, (0, 8)));
        assert_eq!(judge(&policy, &quick, &less_quick), Verdict::Good, "noise");
    }
}
