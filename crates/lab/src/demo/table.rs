//! The demo's table.

use serde_json::{Value, json};

use crate::load::Report;

/// One line: a phase of a function.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) function: &'static str,
    pub(super) phase: &'static str,
    pub(super) report: Report,
    /// Instances started meanwhile.
    pub(super) starts: f64,
}

impl Line {
    /// The line for machines.
    pub(super) fn json(&self) -> Value {
        let report = &self.report;
        json!({
            "function": self.function,
            "phase": self.phase,
            "calls": report.right + report.errors(),
            "errors": report.errors(),
            "latency_ms_p50": report.latency_ms(0.5),
            "latency_ms_p99": report.latency_ms(0.99),
            "queue_wait_ms_p50": report.queued_ms(0.5),
            "queue_wait_ms_p99": report.queued_ms(0.99),
            "instances_started": self.starts,
            "elapsed_ms": report.elapsed.as_secs_f64() * 1e3,
        })
    }
}

const HEAD: [&str; 9] = [
    "function",
    "phase",
    "calls",
    "errors",
    "p50 ms",
    "p99 ms",
    "queued p50 ms",
    "queued p99 ms",
    "instances started",
];
/// Columns of words; the others are numbers.
const WORDS: usize = 2;

/// The table for people.
pub(super) fn table(lines: &[Line]) -> String {
    let ms = |value: f64| format!("{value:.2}");
    let mut rows = vec![HEAD.map(str::to_owned)];
    for Line { function, phase, report, starts } in lines {
        rows.push([
            (*function).to_owned(),
            (*phase).to_owned(),
            (report.right + report.errors()).to_string(),
            report.errors().to_string(),
            ms(report.latency_ms(0.5)),
            ms(report.latency_ms(0.99)),
            ms(report.queued_ms(0.5)),
            ms(report.queued_ms(0.99)),
            starts.to_string(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            text += &match column < WORDS {
                true => format!("{gap}{cell:<width$}"),
                false => format!("{gap}{cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads() {
        let report = Report { right: 1234, wrong: 1, ..Report::default() };
        let line = Line { function: "wordcount", phase: "warm", report, starts: 7.0 };
        let text = table(&[line]);
        let [head, row] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(head.len(), row.len());
        let end = |line: &str, word: &str| line.rfind(word).map(|at| at + word.len());
        assert_eq!(end(head, "calls"), end(row, "1235"));
        assert_eq!(end(head, "started"), end(row, "7"));
    }
}
