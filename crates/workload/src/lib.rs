//! Arrival data for experiments: who is invoked, when, and for how long.
//!
//! | to find | look in |
//! |---|---|
//! | the one interface: functions, and arrivals in time order | [`Workload`] |
//! | published traces, read as a stream | [`open`], [`read()`] |
//! | a synthetic day fitted to published distributions, and how well it fits | [`Generator`], [`Fit`] |
//! | burst, ramp, diurnal, adversarial, steady | [`Shape`] |
//! | what a workload is like | [`Statistics`] |
//!
//! What always holds (`tests/properties.rs`): arrivals come in time order; the same
//! input and seed give the same arrivals; every invocation that a trace counts is
//! given exactly once; memory grows with the number of functions and never with the
//! number of invocations or the length of a file.
//!
//! It sits above the cores and below whatever runs an experiment: no network, no
//! runtime, no clock. Time is an offset from the workload's begin, so that the
//! simulator and a replay against a real platform use the same arrivals.
//!
//! ```
//! use std::time::Duration;
//! use gapless_workload::{Pattern, ServiceTime, Shape};
//!
//! let service = ServiceTime::Fixed(Duration::from_millis(50));
//! let shape = Shape::new(Pattern::Poisson { rate_per_s: 100.0 }, service)
//!     .lasting(Duration::from_secs(10))
//!     .seeded(7);
//! let arrivals: Vec<_> = shape.workload()?.collect::<Result<_, _>>()?;
//! assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
//! assert!((800..1200).contains(&arrivals.len()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod curve;
mod error;
mod expand;
mod function;
mod generate;
mod observe;
mod parameter;
mod read;
mod rng;
mod service;
mod shape;
mod stats;
mod workload;

pub use error::{Kind, TraceError};
pub use expand::Spread;
pub use function::{FunctionProfile, Trigger};
pub use generate::{Fit, FitRow, Generator};
pub use parameter::ParameterError;
pub use read::{AppMemory, DelayUnit, Gaps, Input, ReadOptions, Role, open, read};
pub use service::{Quantiles, ServiceTime, ServiceTimeError};
pub use shape::{Pattern, Shape};
pub use stats::{Percentiles, Statistics, StatisticsRecorder, TriggerShare};
pub use workload::{About, Arrival, Workload};
