//! What a workload is like, in numbers.
//!
//! A recorder takes arrivals one by one, so that an interrupted run can report what
//! it has. It holds a few numbers per function and two histograms.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::TraceError;
use crate::function::{FunctionProfile, Trigger};
use crate::observe::{Observer, percentile, sorted, top_share};
use crate::service::SERVICE_MAX;
use crate::workload::{Arrival, Workload};

/// The fewest gaps of a function for its coefficient of variation to count.
const GAPS_MIN: u64 = 10;

/// Percentiles of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// The mean.
    pub mean: f64,
    /// What half are at or below.
    pub p50: f64,
    /// What 90% are at or below.
    pub p90: f64,
    /// What 99% are at or below.
    pub p99: f64,
    /// What 99.9% are at or below.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// One trigger's part of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TriggerShare {
    /// The trigger.
    pub trigger: Trigger,
    /// Its share of the functions, from 0 to 1.
    pub functions: f64,
    /// Its share of the invocations, from 0 to 1.
    pub invocations: f64,
}

/// What a workload is like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Where the workload comes from.
    pub source: String,
    /// What was assumed in reading it.
    pub notes: Vec<String>,
    /// How many invocations it has.
    pub invocations: u64,
    /// How many functions it has.
    pub functions: usize,
    /// How many of them are invoked.
    pub functions_invoked: usize,
    /// How many of the most invoked make 90% of the invocations.
    pub functions_for_90_percent: usize,
    /// The share of invocations of the most invoked 1% of functions.
    pub top_1_percent_share: f64,
    /// How long it is, in seconds.
    pub span_s: f64,
    /// Invocations per second over all of it.
    pub rate_per_s: f64,
    /// Invocations in its busiest second.
    pub peak_second: u64,
    /// Invocations in its busiest minute.
    pub peak_minute: u64,
    /// How many invocations are at work at a time, on average, if none waits.
    pub concurrency: f64,
    /// Of invocations: service time in milliseconds.
    pub service_ms: Percentiles,
    /// Of functions that are invoked: mean service time in milliseconds.
    pub function_mean_ms: Percentiles,
    /// Of functions: invocations.
    pub invocations_per_function: Percentiles,
    /// Of functions with enough invocations: coefficient of variation of the gaps.
    pub gap_cv: Option<Percentiles>,
    /// Of functions: memory in MiB.
    pub memory_mib: Percentiles,
    /// The triggers that there are.
    pub triggers: Vec<TriggerShare>,
}

impl Statistics {
    /// Of all of `workload`, which is used up.
    pub fn of(workload: &mut Workload) -> Result<Self, TraceError> {
        let mut recorder = StatisticsRecorder::default();
        for arrival in &mut *workload {
            recorder.record(&arrival?);
        }
        Ok(recorder.finish(workload))
    }
}

/// Takes arrivals for [`Statistics`].
#[derive(Clone, Debug)]
pub struct StatisticsRecorder {
    observer: Observer,
    service_us: Histogram<u64>,
    second: Busiest,
    minute: Busiest,
}

/// The busiest of equal intervals.
#[derive(Clone, Debug)]
struct Busiest {
    length: Duration,
    current: u64,
    count: u64,
    most: u64,
}

impl Busiest {
    fn new(length: Duration) -> Self {
        Busiest { length, current: 0, count: 0, most: 0 }
    }

    fn record(&mut self, at: Duration) {
        let interval = (at.as_nanos() / self.length.as_nanos()) as u64;
        if interval != self.current {
            (self.current, self.count) = (interval, 0);
        }
        self.count += 1;
        self.most = self.most.max(self.count);
    }
}

impl Default for StatisticsRecorder {
    fn default() -> Self {
        let longest_us = SERVICE_MAX.as_micros() as u64;
        StatisticsRecorder {
            observer: Observer::default(),
            service_us: Histogram::new_with_bounds(1, longest_us, 3).expect("bounds are valid"),
            second: Busiest::new(Duration::from_secs(1)),
            minute: Busiest::new(Duration::from_secs(60)),
        }
    }
}

impl StatisticsRecorder {
    /// Takes one arrival.
    pub fn record(&mut self, arrival: &Arrival) {
        self.observer.record(arrival);
        self.service_us.saturating_record(arrival.service.as_micros() as u64);
        self.second.record(arrival.at);
        self.minute.record(arrival.at);
    }

    /// The statistics of what was taken, of arrivals of `workload`.
    pub fn finish(self, workload: &Workload) -> Statistics {
        let (about, functions) = (workload.about(), workload.functions());
        let last = self.observer.last;
        let seen = self.observer.finish(functions.len());
        let span_s = about.span.unwrap_or(last).as_secs_f64();
        let counts = sorted(seen.iter().map(|seen| seen.count as f64));
        let invocations = self.service_us.len();
        let sum_s: f64 = seen.iter().map(|seen| seen.service_sum_s()).sum();
        let means_ms = seen.iter().filter_map(|seen| Some(seen.service_mean_s()? * 1e3));
        let cvs = sorted(seen.iter().filter_map(|seen| seen.gap_cv(GAPS_MIN)));
        let memory = functions.iter().map(|function| function.memory.0 as f64 / 1048576.0);
        Statistics {
            source: about.name.clone(),
            notes: about.notes.clone(),
            invocations,
            functions: functions.len(),
            functions_invoked: seen.iter().filter(|seen| seen.count > 0).count(),
            functions_for_90_percent: functions_for(&counts, 0.9),
            top_1_percent_share: if invocations > 0 { top_share(&counts, 0.01) } else { 0.0 },
            span_s,
            rate_per_s: per(invocations as f64, span_s),
            peak_second: self.second.most,
            peak_minute: self.minute.most,
            concurrency: per(sum_s, span_s),
            service_ms: of_histogram(&self.service_us, 1e-3),
            function_mean_ms: of_values(&sorted(means_ms)),
            invocations_per_function: of_values(&counts),
            gap_cv: (!cvs.is_empty()).then(|| of_values(&cvs)),
            memory_mib: of_values(&sorted(memory)),
            triggers: triggers(functions, seen.iter().map(|seen| seen.count), invocations),
        }
    }
}

fn per(amount: f64, span_s: f64) -> f64 {
    if span_s > 0.0 { amount / span_s } else { 0.0 }
}

/// How many of the most invoked functions make `share` of the invocations.
fn functions_for(counts_sorted: &[f64], share: f64) -> usize {
    let wanted: f64 = counts_sorted.iter().sum::<f64>() * share;
    let mut sum = 0.0;
    let enough = counts_sorted.iter().rev().position(|count| {
        sum += count;
        sum >= wanted
    });
    enough.map_or(0, |index| index + 1)
}

fn of_histogram(histogram: &Histogram<u64>, unit: f64) -> Percentiles {
    let at = |percent| histogram.value_at_percentile(percent) as f64 * unit;
    Percentiles {
        mean: histogram.mean() * unit,
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p999: at(99.9),
        max: histogram.max() as f64 * unit,
    }
}

fn of_values(sorted: &[f64]) -> Percentiles {
    if sorted.is_empty() {
        return Percentiles { mean: 0.0, p50: 0.0, p90: 0.0, p99: 0.0, p999: 0.0, max: 0.0 };
    }
    Percentiles {
        mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
        p50: percentile(sorted, 0.5),
        p90: percentile(sorted, 0.9),
        p99: percentile(sorted, 0.99),
        p999: percentile(sorted, 0.999),
        max: percentile(sorted, 1.0),
    }
}

/// Each trigger's share of functions and invocations.
pub(crate) fn triggers(
    functions: &[FunctionProfile],
    counts: impl Iterator<Item = u64>,
    invocations: u64,
) -> Vec<TriggerShare> {
    let mut sums = [(0u64, 0u64); Trigger::ALL.len()];
    for (function, count) in functions.iter().zip(counts) {
        let sum = &mut sums[function.trigger as usize];
        *sum = (sum.0 + 1, sum.1 + count);
    }
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let shares = Trigger::ALL.into_iter().zip(sums).filter(|(_, sum)| sum.0 > 0);
    let shares = shares.map(|(trigger, (count, invoked))| TriggerShare {
        trigger,
        functions: share(count, functions.len() as u64),
        invocations: share(invoked, invocations),
    });
    shares.collect()
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "source        {}", self.source)?;
        for note in &self.notes {
            writeln!(f, "note          {note}")?;
        }
        let rate = self.rate_per_s;
        writeln!(f, "invocations   {} in {:.0} s, {rate:.3}/s", self.invocations, self.span_s)?;
        writeln!(
            f,
            "peak          {} in a second, {} in a minute",
            self.peak_second, self.peak_minute
        )?;
        writeln!(
            f,
            "functions     {}, {} invoked; 90% of invocations from {}, {:.1}% from the top 1%",
            self.functions,
            self.functions_invoked,
            self.functions_for_90_percent,
            self.top_1_percent_share * 100.0
        )?;
        writeln!(f, "concurrency   {:.1} on average", self.concurrency)?;
        for share in &self.triggers {
            let (functions, invocations) = (share.functions * 100.0, share.invocations * 100.0);
            let trigger = share.trigger;
            writeln!(
                f,
                "{trigger:<13} {functions:.1}% of functions, {invocations:.1}% of invocations"
            )?;
        }
        let names = ["mean", "p50", "p90", "p99", "p99.9", "max"];
        write!(f, "{:<24}", "")?;
        names.iter().try_for_each(|name| write!(f, "{name:>12}"))?;
        writeln!(f)?;
        let mut rows = vec![
            ("service, ms", self.service_ms),
            ("function's mean, ms", self.function_mean_ms),
            ("invocations/function", self.invocations_per_function),
            ("memory, MiB", self.memory_mib),
        ];
        rows.extend(self.gap_cv.map(|cv| ("CV of gaps", cv)));
        for (name, row) in rows {
            write!(f, "{name:<24}")?;
            for value in [row.mean, row.p50, row.p90, row.p99, row.p999, row.max] {
                write!(f, "{value:>12.2}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
