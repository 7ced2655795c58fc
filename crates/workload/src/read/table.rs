//! A csv file as a stream of records, with cells read as the numbers they should be
//! and errors that know their place.

use std::io::{self, Read};
use std::time::Duration;

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};

use super::input::{Input, RECORD_BYTES_MAX, record_too_long};
use crate::error::{Kind, TraceError};

/// The largest count of one cell: a hundred times the busiest published minute.
const COUNT_MAX: u64 = 1_000_000_000;
/// The largest time, in seconds: a hundred years.
const SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// A csv file that is being read.
pub(crate) struct Table {
    name: String,
    header: Vec<String>,
    reader: Reader<LineBound>,
    record: ByteRecord,
}

impl Table {
    pub(crate) fn open(input: &mut Input) -> Result<Self, TraceError> {
        let source = LineBound { inner: input.open()?, line_bytes: 0 };
        let name = input.name().to_owned();
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(source);
        let header = reader.byte_headers().map_err(|error| wrong(&name, error))?;
        let header = header.iter().map(|cell| String::from_utf8_lossy(cell).into_owned());
        let header = header.collect();
        Ok(Table { name, header, reader, record: ByteRecord::new() })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The columns' names.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The column named `name`.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The column named `name`, which its format needs.
    pub(crate) fn needed(&self, name: &str) -> Result<usize, TraceError> {
        self.column(name).ok_or_else(|| missing_column(&self.name, name, &self.header))
    }

    /// Reads the next record; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, TraceError> {
        self.reader.read_byte_record(&mut self.record).map_err(|error| wrong(&self.name, error))
    }

    pub(crate) fn bytes(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default()
    }

    pub(crate) fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(self.bytes(column)).into_owned()
    }

    /// Whether a cell says nothing: empty, or what data frames write for that.
    pub(crate) fn is_absent(&self, column: usize) -> bool {
        matches!(self.bytes(column), b"" | b"NaN" | b"nan" | b"NA" | b"null")
    }

    /// An error in a cell of the current record.
    pub(crate) fn wrong_cell(
        &self,
        column: usize,
        kind: Kind,
        allowed: impl Into<String>,
    ) -> TraceError {
        let found = match self.bytes(column) {
            b"" => "an empty cell".to_owned(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        self.wrong_row(kind, found, allowed)
            .at_column(self.header.get(column).cloned().unwrap_or_default())
    }

    /// An error of the current record.
    pub(crate) fn wrong_row(
        &self,
        kind: Kind,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> TraceError {
        let line = self.record.position().map_or(0, csv::Position::line);
        TraceError::new(&self.name, kind, found, allowed).at_line(line)
    }

    /// A cell as a count; `5.0` is one too, as data frames write whole numbers.
    pub(crate) fn count(&self, column: usize) -> Result<u64, TraceError> {
        let bytes = self.bytes(column);
        let allowed = || format!("a whole number from 0 to {COUNT_MAX}");
        // Most cells are one or two digits, so the common case comes first.
        if (1..=9).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit) {
            let digits = bytes.iter();
            return Ok(digits.fold(0, |count, &digit| count * 10 + u64::from(digit - b'0')));
        }
        let Some(value) = number(bytes) else {
            let kind = if bytes.is_empty() { Kind::Gap } else { Kind::NotANumber };
            return Err(self.wrong_cell(column, kind, allowed()));
        };
        if value < 0.0 {
            return Err(self.wrong_cell(column, Kind::Negative, allowed()));
        }
        if value.fract() != 0.0 || value > COUNT_MAX as f64 {
            return Err(self.wrong_cell(column, Kind::OutOfRange, allowed()));
        }
        Ok(value as u64)
    }

    /// A cell as a number from 0 to `max`, in `unit`.
    pub(crate) fn amount(&self, column: usize, max: f64, unit: &str) -> Result<f64, TraceError> {
        let allowed = || format!("a number of {unit} from 0 to {max}");
        let Some(value) = number(self.bytes(column)) else {
            return Err(self.wrong_cell(column, Kind::NotANumber, allowed()));
        };
        if value < 0.0 {
            return Err(self.wrong_cell(column, Kind::Negative, allowed()));
        }
        if value > max {
            return Err(self.wrong_cell(column, Kind::OutOfRange, allowed()));
        }
        Ok(value)
    }

    /// A cell as a point in time, in seconds.
    pub(crate) fn time(&self, column: usize) -> Result<f64, TraceError> {
        self.amount(column, SECONDS_MAX, "seconds")
    }

    /// A cell as a service time, in units of `unit_s` seconds.
    pub(crate) fn service(&self, column: usize, unit_s: f64) -> Result<Duration, TraceError> {
        let unit = if unit_s == 1.0 { "seconds" } else { "milliseconds" };
        let max = crate::service::SERVICE_MAX.as_secs_f64() / unit_s;
        Ok(Duration::from_secs_f64(self.amount(column, max, unit)? * unit_s))
    }
}

/// A finite number.
fn number(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A header that lacks a column of its format.
pub(crate) fn missing_column(file: &str, name: &str, header: &[String]) -> TraceError {
    let found = format!("only {}", header.join(","));
    TraceError::new(file, Kind::MissingColumn, found, format!("a column {name}"))
        .at_line(1)
        .at_column(name)
}

/// A file that ends after its header.
pub(crate) fn no_rows(file: &str, each: &str) -> TraceError {
    let allowed = format!("a row for each {each}");
    TraceError::new(file, Kind::Empty, "a header and no rows", allowed).at_line(1)
}

fn wrong(file: &str, error: csv::Error) -> TraceError {
    let line = error.position().map(csv::Position::line);
    let at = |error: TraceError| match line {
        Some(line) => error.at_line(line),
        None => error,
    };
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            at(record_too_long(file))
        }
        csv::ErrorKind::Io(error) => at(TraceError::unreadable(file, error)),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let allowed = format!("{expected_len} cells, as in the header");
            at(TraceError::new(file, Kind::Malformed, format!("{len} cells"), allowed))
        }
        other => at(TraceError::new(file, Kind::Malformed, format!("{other:?}"), "csv")),
    }
}

/// A reader that gives up on a line that is longer than [`RECORD_BYTES_MAX`]. It leaves
/// out carriage returns: with them the csv reader counts lines one too low.
struct LineBound {
    inner: Box<dyn Read + Send>,
    line_bytes: usize,
}

impl Read for LineBound {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            let count = self.inner.read(buffer)?;
            let kept = without_returns(&mut buffer[..count]);
            // Nothing kept of something is not the end.
            if kept > 0 || count == 0 {
                break kept;
            }
        };
        match buffer[..count].iter().rposition(|&byte| byte == b'\n') {
            Some(end) => self.line_bytes = count - end - 1,
            None => self.line_bytes += count,
        }
        if self.line_bytes > RECORD_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(count)
    }
}

/// Moves all but carriage returns to the front, and says how many bytes that are.
fn without_returns(bytes: &mut [u8]) -> usize {
    let Some(first) = bytes.iter().position(|&byte| byte == b'\r') else {
        return bytes.len();
    };
    let mut kept = first;
    for index in first..bytes.len() {
        if bytes[index] != b'\r' {
            bytes[kept] = bytes[index];
            kept += 1;
        }
    }
    kept
}
