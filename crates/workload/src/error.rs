//! What is wrong with a trace, and where: file, line, column, what was found there
//! and what is allowed.

use std::fmt;
use std::io;

/// A trace that cannot be read.
#[derive(Debug)]
pub struct TraceError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    file: String,
    line: Option<u64>,
    column: Option<String>,
    kind: Kind,
    found: String,
    allowed: String,
    source: Option<io::Error>,
}

/// The kind of a [`TraceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file cannot be opened or read.
    Unreadable,
    /// It is no csv, or a record is not like the header.
    Malformed,
    /// The header is of no known format.
    UnknownFormat,
    /// The header lacks a column of its format.
    MissingColumn,
    /// A cell is not a number.
    NotANumber,
    /// A number is below zero.
    Negative,
    /// A value is beyond what is accepted.
    OutOfRange,
    /// Minutes, days or cells are missing.
    Gap,
    /// Rows or columns are not in time order.
    WrongOrder,
    /// Files that do not belong together.
    Mismatch,
    /// There is more than a named bound allows.
    TooLarge,
    /// There is nothing in it.
    Empty,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Unreadable => "cannot be read",
            Kind::Malformed => "malformed",
            Kind::UnknownFormat => "unknown format",
            Kind::MissingColumn => "missing column",
            Kind::NotANumber => "not a number",
            Kind::Negative => "negative",
            Kind::OutOfRange => "out of range",
            Kind::Gap => "gap",
            Kind::WrongOrder => "wrong order",
            Kind::Mismatch => "does not belong",
            Kind::TooLarge => "too large",
            Kind::Empty => "empty",
        }
    }
}

impl TraceError {
    pub(crate) fn new(
        file: &str,
        kind: Kind,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        TraceError(Box::new(Inner {
            file: file.to_owned(),
            line: None,
            column: None,
            kind,
            found: shortened(found.into()),
            allowed: allowed.into(),
            source: None,
        }))
    }

    /// Of a file that cannot be opened or read.
    pub(crate) fn unreadable(file: &str, source: io::Error) -> Self {
        let mut error = TraceError::new(file, Kind::Unreadable, "", "");
        error.0.source = Some(source);
        error
    }

    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    pub(crate) fn at_column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(shortened(column.into()));
        self
    }

    /// The file, as its input names it.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The line, from 1, where it is of one line.
    pub fn line(&self) -> Option<u64> {
        self.0.line
    }

    /// The column's name, where it is of one column.
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

/// The longest text of a trace that is quoted in an error, in characters.
const QUOTED_MAX: usize = 120;

fn shortened(text: String) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}", inner.file)?;
        if let Some(line) = inner.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = &inner.column {
            write!(f, ": column {column:?}")?;
        }
        write!(f, ": {}", inner.kind.as_str())?;
        if !inner.found.is_empty() {
            write!(f, ": found {}, allowed is {}", inner.found, inner.allowed)?;
        }
        Ok(())
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_what_and_what_is_allowed() {
        let error = TraceError::new("day.csv", Kind::Negative, "-3", "a whole number from 0")
            .at_line(17)
            .at_column("minute_4");
        let text = error.to_string();
        assert_eq!(
            text,
            "day.csv:17: column \"minute_4\": negative: found -3, allowed is a whole number from 0"
        );
        assert_eq!((error.line(), error.column()), (Some(17), Some("minute_4")));
        let long = TraceError::new("f", Kind::NotANumber, "x".repeat(1000), "less").to_string();
        assert!(long.len() < 200, "{long}");
    }
}
