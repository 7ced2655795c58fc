//! How near a generated workload is to the distributions it is fitted to.

use std::fmt;

use serde::Serialize;

use super::published::{
    CV_OTHER, CV_TIMER, DURATION_MAX_S, DURATION_MIN_S, DURATION_S, INVOCATIONS_UP_TO_1_S,
    MEMORY_MB, RATE, TOP_SHARE, TRIGGERS,
};
use crate::curve::{Curve, Scale};
use crate::function::Trigger;
use crate::observe::{Observer, Seen, percentile, sorted, top_share};
use crate::stats::triggers;
use crate::workload::Workload;

/// The fewest gaps of a function for its coefficient of variation to count.
const GAPS_MIN: u64 = 10;

/// One line of a fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitRow {
    /// What is compared, with its unit.
    pub measure: &'static str,
    /// Where: a percentile, a share or a trigger.
    pub at: String,
    /// As published.
    pub target: f64,
    /// As measured on the generated arrivals.
    pub generated: f64,
}

impl FitRow {
    /// By how much the generated value is off, relative to the target; where the
    /// target is zero, how large it is.
    pub fn error(&self) -> f64 {
        match self.target == 0.0 {
            true => self.generated,
            false => self.generated / self.target - 1.0,
        }
    }
}

/// A table of target and generated values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The generator, in one line.
    pub generator: String,
    /// How many invocations were measured.
    pub invocations: u64,
    /// What published rates were multiplied with; targets of rates are too.
    pub rate_scale: f64,
    /// The comparison.
    pub rows: Vec<FitRow>,
}

impl Fit {
    pub(super) fn of(workload: &mut Workload, rate_scale: f64) -> Self {
        let mut observer = Observer::default();
        let mut invocations = 0;
        for arrival in &mut *workload {
            observer.record(&arrival.expect("a generated workload has no errors"));
            invocations += 1;
        }
        let seen = observer.finish(workload.functions().len());
        let mut fit = Fit {
            generator: workload.about().name.clone(),
            invocations,
            rate_scale,
            rows: Vec::new(),
        };
        fit.popularity(workload, &seen);
        fit.gaps(workload, &seen);
        fit.durations(&seen);
        fit.memory(workload);
        fit.triggers(workload, &seen);
        fit
    }

    fn push(&mut self, measure: &'static str, at: String, target: f64, generated: f64) {
        self.rows.push(FitRow { measure, at, target, generated });
    }

    /// Rows for some percentiles of `values` against `curve`, scaled.
    fn percentiles(
        &mut self,
        measure: &'static str,
        (curve, scale): (Curve<'_>, f64),
        values: &[f64],
        shares: &[f64],
    ) {
        for &share in shares {
            let target = curve.quantile(share) * scale;
            self.push(measure, format!("p{}", share * 100.0), target, percentile(values, share));
        }
    }

    fn popularity(&mut self, workload: &Workload, seen: &[Seen]) {
        let days = workload.about().span.map_or(1.0, |span| span.as_secs_f64() / 86_400.0);
        let counts = sorted(seen.iter().map(|seen| seen.count as f64));
        let per_day: Vec<f64> = counts.iter().map(|count| count / days).collect();
        let curve = (Curve::new(RATE, Scale::Log), self.rate_scale);
        let shares = [0.5, 0.75, 0.9, 0.95, 0.99];
        self.percentiles("popularity: invocations/day", curve, &per_day, &shares);
        for &(top, target) in TOP_SHARE {
            let at = format!("top {}%", top * 100.0);
            let share = top_share(&counts, top) * 100.0;
            self.push("popularity: % of invocations", at, target * 100.0, share);
        }
    }

    fn gaps(&mut self, workload: &Workload, seen: &[Seen]) {
        let cvs = |is_timer: bool| {
            let functions = workload.functions().iter().zip(seen);
            let some = functions.filter(|(f, _)| (f.trigger == Trigger::Timer) == is_timer);
            sorted(some.filter_map(|(_, seen)| seen.gap_cv(GAPS_MIN)))
        };
        let curve = |points| (Curve::new(points, Scale::Linear), 1.0);
        let shares = [0.5, 0.75, 0.9];
        self.percentiles("inter-arrival: CV, timers", curve(CV_TIMER), &cvs(true), &shares);
        let shares = [0.25, 0.5, 0.75, 0.9];
        self.percentiles("inter-arrival: CV, others", curve(CV_OTHER), &cvs(false), &shares);
    }

    fn durations(&mut self, seen: &[Seen]) {
        let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.count > 0).collect();
        let curve = |points| (Curve::new(points, Scale::Log), 1.0);
        let means = sorted(seen.iter().filter_map(|seen| seen.service_mean_s()));
        let shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
        self.percentiles("duration: function's mean, s", curve(DURATION_S), &means, &shares);
        let shares = [0.25, 0.5, 0.75, 0.9];
        let least = sorted(seen.iter().map(|seen| seen.service_min_s));
        self.percentiles("duration: function's least, s", curve(DURATION_MIN_S), &least, &shares);
        let most = sorted(seen.iter().map(|seen| seen.service_max_s));
        self.percentiles("duration: function's most, s", curve(DURATION_MAX_S), &most, &shares);
        let short =
            seen.iter().filter(|seen| seen.service_mean_s().is_some_and(|mean| mean <= 1.0));
        let short = short.map(|seen| seen.count).sum::<u64>() as f64;
        let share = short / self.invocations.max(1) as f64 * 100.0;
        let measure = "duration: % of invocations";
        self.push(measure, "mean <= 1 s".to_owned(), INVOCATIONS_UP_TO_1_S * 100.0, share);
    }

    fn memory(&mut self, workload: &Workload) {
        let functions = workload.functions().iter();
        let memory = sorted(functions.map(|function| function.memory.0 as f64 / 1_048_576.0));
        let curve = (Curve::new(MEMORY_MB, Scale::Log), 1.0);
        let shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99];
        self.percentiles("memory: MB", curve, &memory, &shares);
    }

    fn triggers(&mut self, workload: &Workload, seen: &[Seen]) {
        let counts = seen.iter().map(|seen| seen.count);
        let shares = triggers(workload.functions(), counts, self.invocations);
        for &(trigger, functions, _) in TRIGGERS {
            let share = shares.iter().find(|share| share.trigger == trigger);
            let generated = share.map_or(0.0, |share| share.functions * 100.0);
            self.push("trigger: % of functions", trigger.to_string(), functions, generated);
        }
        for &(trigger, _, invocations) in TRIGGERS {
            let share = shares.iter().find(|share| share.trigger == trigger);
            let generated = share.map_or(0.0, |share| share.invocations * 100.0);
            self.push("trigger: % of invocations", trigger.to_string(), invocations, generated);
        }
    }
}

impl fmt::Display for Fit {
    /// A Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} invocations", self.generator, self.invocations)?;
        writeln!(f, "(targets of rates are the published ones times {:.4})\n", self.rate_scale)?;
        writeln!(f, "| measure | at | target | generated | off by |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for row in &self.rows {
            let (target, generated) = (significant(row.target), significant(row.generated));
            let off = match row.target == 0.0 {
                true => "-".to_owned(),
                false => format!("{:+.0}%", row.error() * 100.0),
            };
            writeln!(f, "| {} | {} | {target} | {generated} | {off} |", row.measure, row.at)?;
        }
        Ok(())
    }
}

/// Three significant digits.
fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
