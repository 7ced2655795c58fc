//! What came of a run.

use std::time::Duration;

use gapless_types::{Reason, Time};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::config::Setting;

/// Slowdowns are counted in thousandths.
const SLOWDOWN_UNIT: f64 = 1000.0;
const GIB: f64 = (1u64 << 30) as f64;

/// Percentiles of one quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// What 99% are at or below.
    pub p99: f64,
    /// What 99.9% are at or below.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// Memory times time, in GiB-seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Of instances that serve.
    pub used: f64,
    /// Of instances that start, wait or stop.
    pub idle: f64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.used + self.idle
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was run.
    #[serde(flatten)]
    pub setting: Setting,
    /// Requests that arrived and were counted.
    pub invocations: u64,
    /// Those that were answered.
    pub served: u64,
    /// Latency over service time.
    pub slowdown: Percentiles,
    /// From arrival to answer.
    pub latency_ms: Percentiles,
    /// From arrival to the instance.
    pub wait_ms: Percentiles,
    /// The share of answered requests that waited for an instance's start.
    pub cold_ratio: f64,
    /// Instances started.
    pub starts: u64,
    /// Starts that failed.
    pub starts_failed: u64,
    /// Instances that were given up before they were ready.
    pub starts_dropped: u64,
    /// Requests refused because the queue was full.
    pub sheds: u64,
    /// Requests refused because they waited too long.
    pub timeouts: u64,
    /// Requests refused or lost for another reason: no room, failures.
    pub failed: u64,
    /// Memory held by instances.
    pub memory_gb_s: Memory,
    /// How long the simulated time was.
    pub simulated_s: f64,
    /// Whether the run was interrupted: then this is what came of it until then.
    pub is_partial: bool,
}

/// Counts what happens.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) warm_up: Time,
    slowdown: Histogram<u64>,
    latency_us: Histogram<u64>,
    wait_us: Histogram<u64>,
    invocations: u64,
    cold: u64,
    sheds: u64,
    timeouts: u64,
    failed: u64,
    pub(crate) starts: u64,
    pub(crate) starts_failed: u64,
    pub(crate) starts_dropped: u64,
    used_byte_s: f64,
    idle_byte_s: f64,
}

impl Recorder {
    pub(crate) fn new(warm_up: Duration) -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, 1 << 50, 3).expect("three digits up to 2^50 are possible")
        };
        Recorder {
            warm_up: Time::ZERO + warm_up,
            slowdown: histogram(),
            latency_us: histogram(),
            wait_us: histogram(),
            invocations: 0,
            cold: 0,
            sheds: 0,
            timeouts: 0,
            failed: 0,
            starts: 0,
            starts_failed: 0,
            starts_dropped: 0,
            used_byte_s: 0.0,
            idle_byte_s: 0.0,
        }
    }

    pub(crate) fn arrived(&mut self, at: Time) {
        self.invocations += u64::from(at >= self.warm_up);
    }

    pub(crate) fn served(
        &mut self,
        arrived: Time,
        sent: Time,
        now: Time,
        service: Duration,
        is_cold: bool,
    ) {
        if arrived < self.warm_up {
            return;
        }
        let latency = now - arrived;
        let slowdown = latency.as_secs_f64() / service.as_secs_f64().max(1e-6);
        self.slowdown.saturating_record((slowdown * SLOWDOWN_UNIT).round() as u64);
        self.latency_us.saturating_record(latency.as_micros() as u64);
        self.wait_us.saturating_record((sent - arrived).as_micros() as u64);
        self.cold += u64::from(is_cold);
    }

    pub(crate) fn refused(&mut self, arrived: Time, reason: Reason) {
        if arrived < self.warm_up {
            return;
        }
        match reason {
            Reason::QueueFull => self.sheds += 1,
            Reason::QueueTimeout => self.timeouts += 1,
            _ => self.failed += 1,
        }
    }

    pub(crate) fn lost(&mut self, arrived: Time) {
        self.failed += u64::from(arrived >= self.warm_up);
    }

    /// An instance of so many bytes was held from one time to another.
    pub(crate) fn held(&mut self, bytes: u64, from: Time, to: Time, is_used: bool) {
        let byte_s = bytes as f64 * (to - from.max(self.warm_up)).as_secs_f64();
        match is_used {
            true => self.used_byte_s += byte_s,
            false => self.idle_byte_s += byte_s,
        }
    }

    pub(crate) fn report(&self, setting: Setting, simulated: Duration, is_partial: bool) -> Report {
        let served = self.latency_us.len();
        Report {
            setting,
            invocations: self.invocations,
            served,
            slowdown: Percentiles::of(&self.slowdown, 1.0 / SLOWDOWN_UNIT),
            latency_ms: Percentiles::of(&self.latency_us, 1e-3),
            wait_ms: Percentiles::of(&self.wait_us, 1e-3),
            cold_ratio: self.cold as f64 / served.max(1) as f64,
            starts: self.starts,
            starts_failed: self.starts_failed,
            starts_dropped: self.starts_dropped,
            sheds: self.sheds,
            timeouts: self.timeouts,
            failed: self.failed,
            memory_gb_s: Memory { used: self.used_byte_s / GIB, idle: self.idle_byte_s / GIB },
            simulated_s: simulated.as_secs_f64(),
            is_partial,
        }
    }
}

impl Percentiles {
    /// Of a histogram whose values count in `unit`.
    pub fn of(histogram: &Histogram<u64>, unit: f64) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 * unit;
        Percentiles {
            mean: histogram.mean() * unit,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 * unit,
        }
    }
}
