//! Arrivals of a known shape, for questions that a trace answers only by accident.
//!
//! | pattern | asks |
//! |---|---|
//! | [`Pattern::Poisson`] | what does a steady load cost |
//! | [`Pattern::Burst`] | how fast does nothing become a thousand at once |
//! | [`Pattern::Ramp`] | does capacity follow a load that grows |
//! | [`Pattern::Diurnal`] | and one that comes and goes |
//! | [`Pattern::KeepAliveGap`] | what if every instance was just thrown away |
//! | [`Pattern::Alternating`] | what if the one evicted is always the next one needed |

mod feed;

use std::time::Duration;

use gapless_types::Bytes;

use crate::function::{FUNCTIONS_MAX, FunctionProfile, Trigger};
use crate::parameter::ParameterError;
use crate::service::ServiceTime;
use crate::workload::{About, Workload};

/// The highest rate, per second.
const RATE_MAX: f64 = 1e9;
/// The longest shape: a year.
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The strongest diurnal swing: beyond, the trough is silent for any purpose.
const PEAK_TO_TROUGH_MAX: f64 = 1000.0;

/// When invocations arrive.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// At a steady rate, memoryless.
    Poisson {
        /// Invocations per second.
        rate_per_s: f64,
    },
    /// Nothing, then many at once.
    Burst {
        /// How many.
        concurrent: u32,
        /// When the first burst begins.
        at: Duration,
        /// Over how long they arrive; zero is all in one instant.
        spread: Duration,
        /// After how long the next burst begins; none for a single one.
        every: Option<Duration>,
    },
    /// A rate that changes steadily from one to another.
    Ramp {
        /// Invocations per second in the beginning.
        from_per_s: f64,
        /// Invocations per second in the end.
        to_per_s: f64,
    },
    /// A rate that swings, beginning with the trough.
    Diurnal {
        /// Invocations per second on average.
        mean_per_s: f64,
        /// The highest rate divided by the lowest.
        peak_to_trough: f64,
        /// From one trough to the next.
        period: Duration,
    },
    /// Each function is invoked again when it has been idle for a little longer than
    /// an instance is kept, so that every start is cold; functions are staggered.
    KeepAliveGap {
        /// How long an idle instance is kept.
        keep_alive: Duration,
        /// How much longer the function stays idle.
        margin: Duration,
    },
    /// The functions in turn, over and over: with one more than there is room for,
    /// the least recently used is always the next one needed.
    Alternating {
        /// Between two invocations.
        gap: Duration,
    },
}

/// A pattern with what is invoked.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// When invocations arrive.
    pub pattern: Pattern,
    /// How long each works.
    pub service: ServiceTime,
    /// How many functions share the invocations: at random for the patterns with a
    /// rate, in turn for bursts.
    pub functions: u32,
    /// What an instance of each needs.
    pub memory: Bytes,
    /// For how long.
    pub span: Duration,
    /// What is random follows from it.
    pub seed: u64,
}

impl Shape {
    /// One function of 128 MiB for a minute.
    pub fn new(pattern: Pattern, service: ServiceTime) -> Self {
        let span = Duration::from_secs(60);
        Shape { pattern, service, functions: 1, memory: Bytes(128 << 20), span, seed: 0 }
    }

    /// For `span`.
    #[must_use]
    pub fn lasting(self, span: Duration) -> Self {
        Shape { span, ..self }
    }

    /// With `seed`.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Shape { seed, ..self }
    }

    /// Over that many functions.
    #[must_use]
    pub fn over(self, functions: u32) -> Self {
        Shape { functions, ..self }
    }

    /// The workload of this shape.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gapless_workload::{Pattern, ServiceTime, Shape};
    ///
    /// let second = Duration::from_secs(1);
    /// let burst =
    ///     Pattern::Burst { concurrent: 1000, at: second, spread: Duration::ZERO, every: None };
    /// let service = ServiceTime::Fixed(Duration::from_millis(50));
    /// let arrivals: Vec<_> =
    ///     Shape::new(burst, service).workload()?.collect::<Result<_, _>>()?;
    /// assert_eq!(arrivals.len(), 1000);
    /// assert!(arrivals.iter().all(|arrival| arrival.at == second));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn workload(&self) -> Result<Workload, ParameterError> {
        self.check()?;
        let profile = |index| FunctionProfile {
            name: format!("{}-{index}", self.pattern.word()),
            memory: self.memory,
            service: self.service.clone(),
            trigger: Trigger::Http,
            invocations: None,
        };
        let about = About {
            name: format!(
                "{:?} over {} functions, seed {}",
                self.pattern, self.functions, self.seed
            ),
            span: Some(self.span),
            ..About::default()
        };
        Ok(Workload::new(about, (0..self.functions).map(profile).collect(), feed::of(self)))
    }

    fn check(&self) -> Result<(), ParameterError> {
        let wrong = |parameter, found: String, allowed: String| {
            Err(ParameterError { parameter, found, allowed })
        };
        if self.functions == 0 || self.functions as usize > FUNCTIONS_MAX {
            let allowed = format!("1 to {FUNCTIONS_MAX}");
            return wrong("functions", self.functions.to_string(), allowed);
        }
        if self.span.is_zero() || self.span > SPAN_MAX {
            let allowed = format!("above zero, to {} s", SPAN_MAX.as_secs());
            return wrong("span", format!("{:?}", self.span), allowed);
        }
        if let Err(error) = self.service.check() {
            return wrong("service", error.to_string(), "a service time".to_owned());
        }
        self.pattern.check()
    }
}

impl Pattern {
    fn word(&self) -> &'static str {
        match self {
            Pattern::Poisson { .. } => "poisson",
            Pattern::Burst { .. } => "burst",
            Pattern::Ramp { .. } => "ramp",
            Pattern::Diurnal { .. } => "diurnal",
            Pattern::KeepAliveGap { .. } => "keep-alive-gap",
            Pattern::Alternating { .. } => "alternating",
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        let rate = |parameter, rate: f64, min: f64| match (min..=RATE_MAX).contains(&rate) {
            true => Ok(()),
            false => {
                let allowed = format!("{min} to {RATE_MAX} per second");
                Err(ParameterError { parameter, found: rate.to_string(), allowed })
            }
        };
        let longer = |parameter, time: Duration| match !time.is_zero() && time <= SPAN_MAX {
            true => Ok(()),
            false => {
                let allowed = format!("above zero, to {} s", SPAN_MAX.as_secs());
                Err(ParameterError { parameter, found: format!("{time:?}"), allowed })
            }
        };
        match *self {
            Pattern::Poisson { rate_per_s } => rate("rate_per_s", rate_per_s, 1e-9),
            Pattern::Burst { concurrent: 0, .. } => {
                let allowed = "at least 1".to_owned();
                Err(ParameterError { parameter: "concurrent", found: "0".to_owned(), allowed })
            }
            Pattern::Burst { spread, every: Some(every), .. } if every <= spread => {
                let (found, allowed) = (format!("{every:?}"), format!("more than {spread:?}"));
                Err(ParameterError { parameter: "every", found, allowed })
            }
            Pattern::Burst { at, spread, every, .. } => {
                for (parameter, time) in
                    [("at", at), ("spread", spread), ("every", every.unwrap_or_default())]
                {
                    if time > SPAN_MAX {
                        let allowed = format!("up to {} s", SPAN_MAX.as_secs());
                        return Err(ParameterError {
                            parameter,
                            found: format!("{time:?}"),
                            allowed,
                        });
                    }
                }
                Ok(())
            }
            Pattern::Ramp { from_per_s, to_per_s } => {
                rate("from_per_s", from_per_s, 0.0)?;
                rate("to_per_s", to_per_s, 0.0)
            }
            Pattern::Diurnal { mean_per_s, peak_to_trough, period } => {
                if !(1.0..=PEAK_TO_TROUGH_MAX).contains(&peak_to_trough) {
                    let (parameter, found) = ("peak_to_trough", peak_to_trough.to_string());
                    let allowed = format!("1 to {PEAK_TO_TROUGH_MAX}");
                    return Err(ParameterError { parameter, found, allowed });
                }
                rate("mean_per_s", mean_per_s, 1e-9)?;
                longer("period", period)
            }
            Pattern::KeepAliveGap { keep_alive, margin } => {
                longer("keep_alive", keep_alive)?;
                longer("margin", margin)
            }
            Pattern::Alternating { gap } => longer("gap", gap),
        }
    }
}
