//! What a replay found, with the fields of the simulator's report where both have
//! them, so that one can be held against the other.

use std::collections::BTreeSet;

use gapless_sim::{Memory, Percentiles};
use serde::Serialize;

use super::drive::Outcome;
use super::memory::Sampled;
use crate::bench::number;

/// How late the driver sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Late {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Instances that the platform started meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Starts {
    pub(crate) all: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
}

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// What was replayed.
    pub(crate) workload: String,
    pub(crate) functions: usize,
    pub(crate) speed: f64,
    pub(crate) seed: u64,
    /// Requests whose time has come.
    pub(crate) invocations: u64,
    pub(crate) served: u64,
    pub(crate) slowdown: Percentiles,
    pub(crate) latency_ms: Percentiles,
    pub(crate) wait_ms: Percentiles,
    pub(crate) cold_ratio: f64,
    /// Instances started: not those that were dropped before they began.
    pub(crate) starts: u64,
    pub(crate) starts_failed: u64,
    pub(crate) starts_dropped: u64,
    pub(crate) sheds: u64,
    pub(crate) timeouts: u64,
    pub(crate) failed: u64,
    /// Answered with another body than the function's.
    pub(crate) wrong: u64,
    /// Not sent, because too many were under way.
    pub(crate) unsent: u64,
    /// Under way when it was interrupted.
    pub(crate) unanswered: u64,
    /// In real seconds, not in those of the trace.
    pub(crate) memory_gb_s: Memory,
    /// How often instances were counted for it.
    pub(crate) memory_samples: u64,
    pub(crate) memory_samples_failed: u64,
    /// How much of the trace's time was replayed.
    pub(crate) simulated_s: f64,
    /// How long that took, to the last answer.
    pub(crate) wall_s: f64,
    pub(crate) late_ms: Late,
    /// Whether it was interrupted: then this is what came of it until then.
    pub(crate) is_partial: bool,
    /// The first few different things that went wrong.
    pub(crate) complaints: BTreeSet<String>,
}

/// What was replayed.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) workload: String,
    pub(super) functions: usize,
    pub(super) speed: f64,
    pub(super) seed: u64,
    /// How long the trace is, where that is known.
    pub(super) span_s: Option<f64>,
}

impl Report {
    pub(super) fn new(
        setting: Setting,
        outcome: &Outcome,
        starts: Starts,
        sampled: Sampled,
    ) -> Self {
        let tally = &outcome.tally;
        let late = tally.late_ms();
        let last_s = tally.last_at.as_secs_f64();
        let replayed_s = match outcome.is_partial {
            true => None,
            false => setting.span_s,
        };
        Report {
            workload: setting.workload,
            functions: setting.functions,
            speed: setting.speed,
            seed: setting.seed,
            invocations: tally.arrived,
            served: tally.served,
            slowdown: tally.slowdown(),
            latency_ms: tally.latency_ms(),
            wait_ms: tally.wait_ms(),
            cold_ratio: tally.cold_ratio(),
            starts: starts.all,
            starts_failed: starts.failed,
            starts_dropped: starts.dropped,
            sheds: tally.sheds,
            timeouts: tally.timeouts,
            failed: tally.failed,
            wrong: tally.wrong,
            unsent: tally.unsent,
            unanswered: outcome.unanswered,
            memory_gb_s: sampled.memory,
            memory_samples: sampled.samples,
            memory_samples_failed: sampled.failures,
            simulated_s: replayed_s.unwrap_or(last_s),
            wall_s: outcome.wall.as_secs_f64(),
            late_ms: Late { p50: late.p50, p99: late.p99 },
            is_partial: outcome.is_partial,
            complaints: tally.complaints.clone(),
        }
    }

    /// Whether it came to its end and no answer was wrong.
    pub(super) fn is_right(&self) -> bool {
        !self.is_partial && self.wrong == 0
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{}\n  {} functions at {} times the trace's pace, seed {}\n",
            self.workload, self.functions, self.speed, self.seed
        );
        if self.is_partial {
            text.push_str("  PARTIAL: it was interrupted\n");
        }
        let mut row = |name: &str, value: String| text.push_str(&format!("  {name:18}  {value}\n"));
        let (replayed, wall) = (self.simulated_s, self.wall_s);
        row(
            "invocations",
            format!("{}: {replayed:.1} s of the trace in {wall:.1} s", self.invocations),
        );
        row("served", self.served.to_string());
        row("slowdown", percentiles(&self.slowdown));
        row("latency, ms", percentiles(&self.latency_ms));
        row("wait, ms", percentiles(&self.wait_ms));
        row("cold", format!("{:.2}%", self.cold_ratio * 100.0));
        let (failed, dropped) = (self.starts_failed, self.starts_dropped);
        row("starts", format!("{}, {failed} failed; {dropped} dropped in time", self.starts));
        let (sheds, timeouts) = (self.sheds, self.timeouts);
        row("refused", format!("{sheds} queue full, {timeouts} too late, {} failed", self.failed));
        if self.wrong + self.unsent + self.unanswered > 0 {
            let (wrong, unsent, unanswered) = (self.wrong, self.unsent, self.unanswered);
            row(
                "not counted above",
                format!("{wrong} wrong, {unsent} unsent, {unanswered} unanswered"),
            );
        }
        let memory = &self.memory_gb_s;
        let idle = memory.idle / memory.total().max(1e-9) * 100.0;
        row("memory, GiB s", format!("{}, {idle:.0}% of it idle", number(memory.total())));
        let [p50, p99] = [self.late_ms.p50, self.late_ms.p99].map(number);
        row("driver late, ms", format!("p50 {p50}  p99 {p99}"));
        for complaint in &self.complaints {
            row("complaint", complaint.clone());
        }
        text.trim_end().to_owned()
    }
}

fn percentiles(of: &Percentiles) -> String {
    let [p50, p99, p999, max] = [of.p50, of.p99, of.p999, of.max].map(number);
    format!("p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::replay::tally::Tally;

    #[test]
    fn the_simulators_fields_are_there_under_the_same_names() {
        let mut tally = Tally::default();
        (tally.arrived, tally.unsent) = (3, 1);
        let outcome =
            Outcome { tally, wall: Duration::from_secs(2), unanswered: 2, is_partial: true };
        let setting = Setting {
            workload: "w".to_owned(),
            functions: 1,
            speed: 2.0,
            seed: 0,
            span_s: Some(60.0),
        };
        let starts = Starts { all: 5, failed: 1, dropped: 2 };
        let report = Report::new(setting, &outcome, starts, Sampled::default());
        assert!(!report.is_right());
        assert_eq!(report.simulated_s, 0.0, "nothing is said of what was not replayed");
        let json = serde_json::to_value(&report).unwrap();
        for field in [
            "invocations",
            "served",
            "slowdown",
            "latency_ms",
            "wait_ms",
            "cold_ratio",
            "starts",
            "sheds",
            "timeouts",
            "failed",
            "memory_gb_s",
            "simulated_s",
            "is_partial",
            "wall_s",
            "unsent",
            "late_ms",
        ] {
            assert!(!json[field].is_null(), "{field}");
        }
        for field in ["mean", "p50", "p99", "p999", "max"] {
            assert!(json["slowdown"][field].is_number(), "{field}");
        }
        let table = report.table();
        assert!(table.contains("PARTIAL") && table.contains("2 unanswered"), "{table}");
    }
}
