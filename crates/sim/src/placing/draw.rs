//! Random numbers of one purpose: each function's arrivals, each node's troubles, have a
//! stream of their own, so that what one decision changes leaves the rest as it was.

use rand_distr::{Distribution, Exp1, StandardNormal, StandardUniform};
use rand_pcg::Pcg64Mcg;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Stream(Pcg64Mcg);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: u64, number: u64) -> Self {
        let high = (purpose << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Stream(Pcg64Mcg::new(u128::from(high) << 64 | u128::from(seed) << 1 | 1))
    }

    /// From 0 up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        StandardUniform.sample(&mut self.0)
    }

    /// Exponential, mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        Exp1.sample(&mut self.0)
    }

    /// Log-normal around a mean.
    pub(crate) fn log_normal(&mut self, mean: f64, sigma: f64) -> f64 {
        let normal: f64 = StandardNormal.sample(&mut self.0);
        mean * (sigma * normal - sigma * sigma / 2.0).exp()
    }
}
