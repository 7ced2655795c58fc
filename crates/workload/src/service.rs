//! How long a function works for one invocation, without any start or wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand_distr::{Distribution, Exp1, StandardNormal, StandardUniform};
use serde::{Serialize, Serializer};

use crate::curve::{Curve, Scale};
use crate::rng::Stream;

/// The shortest service time given: slowdown divides by it.
pub(crate) const SERVICE_MIN: Duration = Duration::from_micros(1);
/// The longest service time accepted: ten days, several times what any public trace has.
pub(crate) const SERVICE_MAX: Duration = Duration::from_secs(10 * 86_400);
/// The most points of [`ServiceTime::quantiles`].
const QUANTILES_MAX: usize = 256;

/// The distribution of one function's service time.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceTime {
    /// Always the same.
    Fixed(Duration),
    /// Memoryless.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// Log-normal, as durations of functions are (Azure Functions 2019, figure 7).
    LogNormal {
        /// The mean of the distribution itself, not of its logarithm.
        mean: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Known percentiles, log-linear between them; made by [`ServiceTime::quantiles`].
    Quantiles(Quantiles),
    /// The trace says it for each invocation; this is the mean of what was recorded.
    Recorded {
        /// Mean over the invocations seen.
        mean: Duration,
    },
}

/// Points of a distribution of service times.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles(Arc<[(f64, f64)]>);

/// Why a service time is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service time: found {found}, allowed is {allowed}")]
pub struct ServiceTimeError {
    found: String,
    allowed: String,
}

impl ServiceTime {
    /// A distribution from `(share of invocations at or below, time)`, sorted, the
    /// first share 0 and the last 1.
    pub fn quantiles(points: &[(f64, Duration)]) -> Result<Self, ServiceTimeError> {
        let wrong = |found: String, allowed: &str| {
            Err(ServiceTimeError { found, allowed: allowed.to_owned() })
        };
        if !(2..=QUANTILES_MAX).contains(&points.len()) {
            return wrong(format!("{} points", points.len()), "2 to 256 points");
        }
        if points[0].0 != 0.0 || points[points.len() - 1].0 != 1.0 {
            return wrong("other ends".to_owned(), "a first share of 0 and a last of 1");
        }
        if !points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
            return wrong("a falling percentile".to_owned(), "shares and times that never fall");
        }
        let floor = |time: Duration| time.max(SERVICE_MIN).as_secs_f64();
        let points = points.iter().map(|&(share, time)| (share, floor(time))).collect();
        let service = ServiceTime::Quantiles(Quantiles(points));
        service.check()?;
        Ok(service)
    }

    /// Whether its parameters make a distribution.
    pub fn check(&self) -> Result<(), ServiceTimeError> {
        let longest = match self {
            ServiceTime::Fixed(mean)
            | ServiceTime::Exponential { mean }
            | ServiceTime::Recorded { mean }
            | ServiceTime::LogNormal { mean, .. } => *mean,
            ServiceTime::Quantiles(points) => {
                Duration::from_secs_f64(points.0[points.0.len() - 1].1)
            }
        };
        if longest > SERVICE_MAX {
            let allowed = format!("at most {} s", SERVICE_MAX.as_secs());
            return Err(ServiceTimeError { found: format!("{longest:?}"), allowed });
        }
        if let ServiceTime::LogNormal { sigma, .. } = self
            && !(0.0..=5.0).contains(sigma)
        {
            let allowed = "a sigma from 0 to 5".to_owned();
            return Err(ServiceTimeError { found: format!("{sigma}"), allowed });
        }
        Ok(())
    }

    /// The mean, before the bounds of 1 us and ten days are applied to a sample.
    pub fn mean(&self) -> Duration {
        match self {
            ServiceTime::Fixed(mean)
            | ServiceTime::Exponential { mean }
            | ServiceTime::LogNormal { mean, .. }
            | ServiceTime::Recorded { mean } => *mean,
            ServiceTime::Quantiles(points) => {
                Duration::from_secs_f64(Curve::new(&points.0, Scale::Log).mean())
            }
        }
    }

    /// One service time; a recorded distribution gives its mean.
    pub(crate) fn sample(&self, stream: &mut Stream) -> Duration {
        let seconds = match self {
            ServiceTime::Fixed(time) | ServiceTime::Recorded { mean: time } => {
                return (*time).clamp(SERVICE_MIN, SERVICE_MAX);
            }
            ServiceTime::Exponential { mean } => {
                let unit: f64 = Exp1.sample(stream);
                mean.as_secs_f64() * unit
            }
            ServiceTime::LogNormal { mean, sigma } => {
                let normal: f64 = StandardNormal.sample(stream);
                // exp(sigma^2 / 2) is the ratio of a log-normal's mean to its median.
                mean.as_secs_f64() * (sigma * normal - sigma * sigma / 2.0).exp()
            }
            ServiceTime::Quantiles(points) => {
                let share: f64 = StandardUniform.sample(stream);
                Curve::new(&points.0, Scale::Log).quantile(share)
            }
        };
        bounded(seconds)
    }
}

/// Seconds as a service time, within the bounds.
pub(crate) fn bounded(seconds: f64) -> Duration {
    let seconds = seconds.clamp(SERVICE_MIN.as_secs_f64(), SERVICE_MAX.as_secs_f64());
    Duration::from_secs_f64(seconds)
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.mean();
        match self {
            ServiceTime::Fixed(_) => write!(f, "fixed {mean:?}"),
            ServiceTime::Exponential { .. } => write!(f, "exponential, mean {mean:?}"),
            ServiceTime::LogNormal { sigma, .. } => {
                write!(f, "log-normal, mean {mean:?}, sigma {sigma}")
            }
            ServiceTime::Quantiles(points) => {
                write!(f, "{} percentiles, mean {mean:?}", points.0.len())
            }
            ServiceTime::Recorded { .. } => write!(f, "recorded, mean {mean:?}"),
        }
    }
}

impl Serialize for ServiceTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn samples_have_the_declared_mean() {
        let points: Vec<_> =
            [(0.0, 10), (0.5, 40), (1.0, 200)].map(|(p, ms)| (p, Duration::from_millis(ms))).into();
        let mean = Duration::from_millis(80);
        for service in [
            ServiceTime::Fixed(mean),
            ServiceTime::Exponential { mean },
            ServiceTime::LogNormal { mean, sigma: 1.0 },
            ServiceTime::quantiles(&points).unwrap(),
        ] {
            let mut stream = stream(3, Purpose::Shape, 0, 0);
            let count = 200_000;
            let sum: f64 = (0..count).map(|_| service.sample(&mut stream).as_secs_f64()).sum();
            let sampled = sum / f64::from(count);
            let ratio = sampled / service.mean().as_secs_f64();
            assert!((0.97..1.03).contains(&ratio), "{service}: {ratio}");
        }
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let ms = Duration::from_millis;
        assert!(ServiceTime::quantiles(&[(0.0, ms(1))]).is_err());
        assert!(ServiceTime::quantiles(&[(0.1, ms(1)), (1.0, ms(2))]).is_err());
        assert!(ServiceTime::quantiles(&[(0.0, ms(5)), (1.0, ms(2))]).is_err());
        assert!(ServiceTime::LogNormal { mean: ms(1), sigma: f64::NAN }.check().is_err());
        let error = ServiceTime::Fixed(Duration::from_secs(1 << 30)).check().unwrap_err();
        assert!(error.to_string().contains("allowed is at most 864000 s"), "{error}");
    }
}
