//! What commands print: tables for people, JSON and YAML for programs.
//!
//! Results go to stdout, everything else to stderr. A reader who closes the
//! pipe early is no error.

use std::io::{self, Write};

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON, as the API gave it.
    Json,
    /// YAML.
    Yaml,
    /// KIND/NAME, one a line.
    Name,
}

/// Writes to stdout.
pub(crate) fn emit(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes an object as JSON or, if asked for, YAML.
pub(crate) fn emit_value(format: Format, value: &Value) -> Outcome {
    let text = match format {
        Format::Yaml => {
            serde_saphyr::to_string(value).map_err(|error| Failure::new("cannot print", error))?
        }
        _ => format!("{value:#}\n"),
    };
    emit(&text)
}

/// Columns wide enough for what was there when they were made, so that a watch
/// keeps its columns.
#[derive(Debug)]
pub(crate) struct Table {
    widths: Vec<usize>,
    header: Vec<String>,
}

/// Space between columns.
const GAP: &str = "   ";

impl Table {
    /// Columns with these headers, wide enough for `rows`.
    pub(crate) fn new(header: &[&str], rows: &[Vec<String>]) -> Self {
        let mut widths: Vec<usize> = header.iter().map(|cell| cell.len()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        Table { widths, header: header.iter().map(|cell| (*cell).to_owned()).collect() }
    }

    /// Makes column `index` wide enough for `cell`, which is still to come.
    pub(crate) fn widen(&mut self, index: usize, cell: &str) {
        self.widths[index] = self.widths[index].max(cell.chars().count());
    }

    /// The headers, as a line.
    pub(crate) fn header(&self) -> String {
        self.row(&self.header)
    }

    /// A row, as a line.
    pub(crate) fn row(&self, cells: &[String]) -> String {
        let padded: Vec<String> = cells
            .iter()
            .zip(&self.widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        let mut line = padded.join(GAP).trim_end().to_owned();
        line.push('\n');
        line
    }

    /// The headers and `rows`.
    pub(crate) fn render(header: &[&str], rows: &[Vec<String>]) -> String {
        let table = Table::new(header, rows);
        let mut text = table.header();
        text.extend(rows.iter().map(|row| table.row(row)));
        text
    }
}

/// How long ago `time` (RFC 3339) was, in one unit, such as `5m`.
pub(crate) fn age(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else {
        return "-".to_owned();
    };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Milliseconds with as many digits as matter.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}ms"),
        ms if ms < 1_000.0 => format!("{ms:.0}ms"),
        ms => format!("{:.1}s", ms / 1_000.0),
    }
}

/// Bytes in the largest unit that leaves a digit before the point.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let rows = [vec!["hello".into(), "True".into()], vec!["a".into(), "False".into()]];
        let text = Table::render(&["NAME", "READY"], &rows);
        assert_eq!(text, "NAME    READY\nhello   True\na       False\n");
    }

    #[test]
    fn ages_use_one_unit() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(age("2026-01-01T23:59:55Z", now), "5s");
        assert_eq!(age("2026-01-01T23:00:00.5Z", now), "59m");
        assert_eq!(age("2026-01-01T12:00:00Z", now), "12h");
        assert_eq!(age("2025-12-02T00:00:00Z", now), "31d");
        assert_eq!(age("2026-01-02T00:00:05Z", now), "0s", "clocks may differ");
        assert_eq!(age("", now), "-");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(millis(0.384), "0.38ms");
        assert_eq!(millis(41.2), "41ms");
        assert_eq!(millis(1_500.0), "1.5s");
    }
}
