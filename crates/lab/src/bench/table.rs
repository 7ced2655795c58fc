//! What a bench found, as rows; printed as a table for people or as JSON.

use std::fmt::Write;

use serde::Serialize;

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// What it should be, such as `<= 405`, if anything.
    pub(crate) goal: Option<String>,
    /// Whether it is.
    pub(crate) ok: Option<bool>,
}

/// What one bench found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) bench: String,
    pub(crate) rows: Vec<Row>,
    /// What to know when reading the figures: what was skipped, how it was measured.
    pub(crate) notes: Vec<String>,
    /// The same figures under fixed names, for programs.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub(crate) summary: serde_json::Value,
    /// Wrong and missing answers. A bench with any has failed.
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) fn of(bench: impl Into<String>) -> Self {
        let bench = bench.into();
        eprintln!("bench {bench}");
        Findings { bench, ..Findings::default() }
    }

    /// Adds a figure.
    pub(crate) fn row(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.rows.push(Row { name: name.into(), unit, value, goal: None, ok: None });
    }

    /// A figure by name.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.value)
    }

    /// Adds a figure that has a goal.
    pub(crate) fn goal(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
        goal: Goal,
    ) {
        let (text, ok) = match goal {
            Goal::AtMost(limit) => (format!("<= {limit}"), value <= limit),
            Goal::AtLeast(limit) => (format!(">= {limit}"), value >= limit),
        };
        let (goal, ok) = (Some(text), Some(ok));
        self.rows.push(Row { name: name.into(), unit, value, goal, ok });
    }

    /// Adds a note, and says it at once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("  note: {note}");
        self.notes.push(note);
    }

    /// Adds what was wrong with the answers of a load.
    pub(crate) fn check(&mut self, what: &str, report: &crate::load::Report) {
        if report.errors() == 0 {
            return;
        }
        let complaints: Vec<&str> = report.complaints.iter().map(String::as_str).collect();
        let (wrong, broken) = (report.wrong, report.broken);
        let text = format!(
            "{what}: {wrong} wrong answers, {broken} without an answer: {}",
            complaints.join("; ")
        );
        eprintln!("  WRONG {text}");
        self.wrong.push(text);
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n", self.bench);
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            let verdict = match row.ok {
                Some(true) => "ok",
                Some(false) => "MISSED",
                None => "",
            };
            let line = format!(
                "  {:width$}  {:>10} {:5}  {:>9}  {verdict}",
                row.name,
                number(row.value),
                row.unit,
                row.goal.as_deref().unwrap_or(""),
            );
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        for wrong in &self.wrong {
            let _ = writeln!(text, "  WRONG: {wrong}");
        }
        text
    }
}

/// A figure with as many decimals as matter.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "none".to_owned(),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The median; not a number of nothing, so that it meets no goal.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile by nearest rank, the mean of the middle two for an even median; not a
/// number of nothing.
pub(crate) fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    if quantile == 0.5 && last % 2 == 1 {
        return f64::midpoint(sorted[last / 2], sorted[last / 2 + 1]);
    }
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.saturating_sub(1).min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.99), 99.0);
        assert_eq!(quantile(&hundred, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn a_missed_goal_is_shown_plainly() {
        let mut findings = Findings::of("test");
        findings.goal("total", "ms", 406.0, Goal::AtMost(405.0));
        findings.goal("rate", "1/s", 2.0, Goal::AtLeast(1.5));
        findings.goal("of nothing", "ms", median(&[]), Goal::AtMost(1.0));
        assert_eq!(findings.rows[2].ok, Some(false));
        assert!(serde_json::to_value(&findings.rows[2]).unwrap()["value"].is_null());
        assert_eq!(findings.rows[0].ok, Some(false));
        assert_eq!(findings.rows[1].ok, Some(true));
        let table = findings.table();
        assert!(table.contains("<= 405  MISSED") && table.contains(">= 1.5  ok"), "{table}");
    }
}
