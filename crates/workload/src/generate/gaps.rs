//! The gaps between a function's invocations: renewal processes with a given mean
//! and coefficient of variation.
//!
//! | CV | gaps |
//! |---|---|
//! | about 0 | all equal, as a timer's |
//! | below 1 | gamma: more regular than chance |
//! | 1 | exponential: a Poisson process |
//! | above 1 | two exponentials with balanced means: many short gaps, few long ones |
//!
//! The first gap is drawn from the stationary process's residual life, not from the
//! gaps' own distribution. Otherwise every function would begin with an invocation's
//! aftermath and have `(CV^2 - 1) / 2` invocations too many, which for a rare bursty
//! function is more than all it should have.

use rand_distr::{Distribution, Exp1, Gamma, OpenClosed01, StandardUniform};

use crate::rng::Stream;

/// Below this the gaps are taken as equal.
const CV_REGULAR: f64 = 0.02;

/// A distribution of gaps, in units of time of its mean.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gap {
    Equal {
        mean: f64,
    },
    Gamma {
        shape: f64,
        scale: f64,
    },
    /// The first mean with probability `first`, else the second.
    Hyper {
        first: f64,
        means: [f64; 2],
    },
}

impl Gap {
    pub(super) fn new(mean: f64, cv: f64) -> Self {
        if cv < CV_REGULAR {
            return Gap::Equal { mean };
        }
        let squared = cv * cv;
        if squared < 1.0 {
            return Gap::Gamma { shape: 1.0 / squared, scale: mean * squared };
        }
        // Balanced means: both branches hold half of the time (Tijms 1994, appendix B).
        let first = (1.0 + ((squared - 1.0) / (squared + 1.0)).sqrt()) / 2.0;
        Gap::Hyper { first, means: [mean / (2.0 * first), mean / (2.0 * (1.0 - first))] }
    }

    pub(super) fn sample(&self, stream: &mut Stream) -> f64 {
        match *self {
            Gap::Equal { mean } => mean,
            Gap::Gamma { shape, scale } => gamma(shape, scale, stream),
            Gap::Hyper { first, means } => {
                let draw: f64 = StandardUniform.sample(stream);
                exponential(means[usize::from(draw >= first)], stream)
            }
        }
    }

    /// From an arbitrary moment to the next invocation.
    pub(super) fn residual(&self, stream: &mut Stream) -> f64 {
        let part: f64 = OpenClosed01.sample(stream);
        match *self {
            Gap::Equal { mean } => mean * part,
            // A gap that covers a moment is longer than most, and the moment is
            // anywhere in it: gamma's length-biased form is gamma with one more shape.
            Gap::Gamma { shape, scale } => part * gamma(shape + 1.0, scale, stream),
            // Half of the time each, and an exponential's residual is itself.
            Gap::Hyper { means, .. } => exponential(means[usize::from(part > 0.5)], stream),
        }
    }
}

fn exponential(mean: f64, stream: &mut Stream) -> f64 {
    let unit: f64 = Exp1.sample(stream);
    mean * unit
}

fn gamma(shape: f64, scale: f64, stream: &mut Stream) -> f64 {
    Gamma::new(shape, scale).expect("shape and scale are above zero").sample(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn mean_and_variation_are_as_asked() {
        for cv in [0.0, 0.1, 0.5, 1.0, 2.0, 5.0] {
            let (gap, mut stream) = (Gap::new(3.0, cv), stream(1, Purpose::Function, 0, 0));
            let samples: Vec<f64> = (0..400_000).map(|_| gap.sample(&mut stream)).collect();
            let mean = samples.iter().sum::<f64>() / 4e5;
            let variance = samples.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 4e5;
            assert!((mean / 3.0 - 1.0).abs() < 0.03, "{cv}: {mean}");
            assert!((variance.sqrt() / mean - cv).abs() < 0.03 * cv.max(1.0), "{cv}");
        }
    }

    #[test]
    fn a_process_begins_stationary() {
        // Expected in time 10 at mean 3 is 10/3, whatever the variation.
        for cv in [0.0, 0.5, 1.0, 4.0] {
            let (gap, mut stream) = (Gap::new(3.0, cv), stream(2, Purpose::Function, 0, 0));
            let mut count = 0u32;
            for _ in 0..100_000 {
                let mut at = gap.residual(&mut stream);
                while at < 10.0 {
                    count += 1;
                    at += gap.sample(&mut stream);
                }
            }
            let mean = f64::from(count) / 1e5;
            assert!((mean / (10.0 / 3.0) - 1.0).abs() < 0.03, "{cv}: {mean}");
        }
    }
}
