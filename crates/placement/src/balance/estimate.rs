//! [`Estimate`]: how much better an arm is than the leader, and how sure that is.
//!
//! A normal belief, updated by each window's difference (a Kalman filter in one
//! dimension; Kalman 1960), which widens between windows because clusters change.
//! Differences are taken within a window, where all arms met the same workload, and as
//! shares of the cost: "percentage improvement" removes the workload's scale (Asenov et
//! al., arXiv 2603.10545).

use serde::{Deserialize, Serialize};

use crate::context::mix;

/// Standard deviation of what is believed of an arm nothing is known of: most arms are
/// within 15% of each other.
pub(crate) const UNKNOWN_DEVIATION: f32 = 0.15;
/// How much an advantage may change from one window to the next.
const DRIFT: f32 = 0.004;

/// A belief about an arm's advantage over the leader, as a share of the cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) mean: f32,
    pub(crate) variance: f32,
    /// Observations it rests on.
    pub(crate) plays: u64,
}

impl Estimate {
    pub(crate) fn new(mean: f32, deviation: f32) -> Self {
        Estimate { mean, variance: deviation * deviation, plays: 0 }
    }

    /// One window's difference and its variance.
    pub(crate) fn observe(&mut self, difference: f32, variance: f32) {
        let gain = self.variance / (self.variance + variance.max(1e-9));
        self.mean += gain * (difference - self.mean);
        self.variance *= 1.0 - gain;
    }

    /// A window has passed.
    pub(crate) fn age(&mut self) {
        let most = UNKNOWN_DEVIATION * UNKNOWN_DEVIATION;
        self.variance = (self.variance + DRIFT * DRIFT).min(most.max(self.variance));
    }

    pub(crate) fn deviation(&self) -> f32 {
        self.variance.sqrt()
    }

    /// The probability that it is better than the leader.
    pub(crate) fn better(&self) -> f32 {
        normal_cdf(self.mean / self.deviation().max(1e-6))
    }

    /// Whether it is better, at so many standard deviations.
    pub(crate) fn is_better(&self, deviations: f32) -> bool {
        self.mean > deviations * self.deviation()
    }
}

/// The share of a standard normal below `z` (Bowling et al. 2009, logistic approximation;
/// off by at most 0.0002).
pub(crate) fn normal_cdf(z: f32) -> f32 {
    1.0 / (1.0 + (-(0.070_56 * z * z * z + 1.597_6 * z)).exp())
}

/// Numbers that follow from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Draws { seed, drawn: 0 }
    }

    /// From 0 up to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.drawn += 1;
        crate::context::unit(mix(mix(self.seed) ^ self.drawn))
    }

    /// Normal around 0, by Box and Muller (1958).
    pub(crate) fn normal(&mut self) -> f32 {
        let (radius, angle) = (self.unit().max(1e-7), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_narrows_a_belief_and_time_widens_it() {
        let mut estimate = Estimate::new(0.0, UNKNOWN_DEVIATION);
        for _ in 0..50 {
            estimate.observe(0.1, 0.04);
        }
        assert!((estimate.mean - 0.1).abs() < 0.01 && estimate.deviation() < 0.03);
        assert!(estimate.better() > 0.99 && estimate.is_better(2.0));
        let before = estimate.deviation();
        (0..100).for_each(|_| estimate.age());
        assert!(estimate.deviation() > before);
        (0..100_000).for_each(|_| estimate.age());
        assert!(estimate.deviation() <= UNKNOWN_DEVIATION * 1.001);
    }

    #[test]
    fn draws_are_normal_and_the_same_each_time() {
        let mut draws = Draws::new(7);
        let all: Vec<f32> = (0..20_000).map(|_| draws.normal()).collect();
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        let square = all.iter().map(|x| x * x).sum::<f32>() / all.len() as f32;
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05, "{mean} {square}");
        assert_eq!(Draws::new(7).normal(), all[0]);
        assert!((normal_cdf(1.96) - 0.975).abs() < 0.001 && (normal_cdf(0.0) - 0.5).abs() < 1e-6);
    }
}
