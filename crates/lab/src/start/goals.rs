//! What the start plan must show, held against what the lab found.

use super::lab::Row;
use super::scenarios::{OVERLOAD_CAPACITY, OVERLOAD_WAIT};
use crate::bench::{Findings, Goal};

/// The goals for which there are rows.
pub(crate) fn of(rows: &[Row]) -> Findings {
    let mut findings = Findings::of("start plan");
    for scenario in ["azure244", "day", "day-full"] {
        let others = rows.iter().filter(|row| row.scenario == scenario && row.mode != ours());
        for other in others {
            let name = format!("{scenario}: planned / {} {}", other.planner, other.keep_alive);
            let ratio = other.planned.as_ref().map_or(f64::NAN, |versus| versus.ratio);
            findings.goal(format!("{name}, p99"), "x", ratio, Goal::AtMost(0.99));
        }
    }
    let all = rows.iter().filter_map(|row| Some((row, row.planned.as_ref()?)));
    if let Some((row, versus)) = all.max_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio)) {
        let name = format!("worst anywhere: {}, {} {}", row.scenario, row.planner, row.keep_alive);
        findings.goal(name, "x", versus.ratio, Goal::AtMost(1.05));
    }
    burst(&mut findings, rows);
    overload(&mut findings, rows);
    findings
}

/// The overload: what is still served, and whether in time.
fn overload(findings: &mut Findings, rows: &[Row]) {
    let planned = rows.iter().find(|row| row.scenario == "overload" && row.mode == ours());
    if let Some(planned) = planned {
        let goodput = planned.served_per_s.mean / OVERLOAD_CAPACITY;
        findings.goal("overload: goodput / capacity", "x", goodput, Goal::AtLeast(0.95));
        let wait_ms = planned.wait_ms_p99.mean;
        let most = OVERLOAD_WAIT.as_secs_f64() * 1e3;
        findings.goal("overload: wait of the admitted, p99", "ms", wait_ms, Goal::AtMost(most));
        // The others were refused on arrival.
        let late = planned.timeouts.mean / planned.refused.mean.max(1.0);
        findings.goal("overload: refused after a wait / all", "x", late, Goal::AtMost(0.001));
    }
}

fn ours() -> gapless_types::StartMode {
    gapless_types::StartMode::Planned
}

/// The bursts: latency against `sync` and `window`, and starts against `sync`.
fn burst(findings: &mut Findings, rows: &[Row]) {
    let of = |scenario: &str, planner: &str| {
        rows.iter().find(|row| row.scenario == scenario && row.planner == planner)
    };
    let p99 = |row: &Row| row.latency_ms_p99.mean;
    let starts = |row: &Row| row.starts.mean;
    if let (Some(planned), Some(sync), Some(window)) =
        (of("burst", "planned"), of("burst", "sync"), of("burst", "window"))
    {
        let goal = Goal::AtMost(0.7);
        findings.goal("burst: planned / sync, p99", "x", p99(planned) / p99(sync), goal);
        let goal = Goal::AtMost(0.2);
        findings.goal("burst: planned / window, p99", "x", p99(planned) / p99(window), goal);
        let goal = Goal::AtMost(0.99);
        findings.goal("burst: planned / sync, starts", "x", starts(planned) / starts(sync), goal);
    }
    if let (Some(planned), Some(sync)) = (of("burst-easy", "planned"), of("burst-easy", "sync")) {
        let goal = Goal::AtMost(1.1);
        findings.goal("burst-easy: planned / sync, p99", "x", p99(planned) / p99(sync), goal);
        let ratio = starts(planned) / starts(sync);
        findings.goal("burst-easy: planned / sync, starts", "x", ratio, Goal::AtMost(0.7));
    }
}
