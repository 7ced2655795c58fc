//! Traces with a row per function and a column per minute.
//!
//! Such a file is the wrong way round for reading in time order. It is read once to
//! check every cell and to learn the functions, and then once for each window of
//! minutes whose counts fit into [`ReadOptions::window_bytes`]: one for a day of
//! 10,000 functions, four for a full Azure day at the default of 64 MiB. Holding
//! sparse counts of everything instead would be faster for many functions, and would
//! grow with the file.

use std::time::Duration;

use super::input::Input;
use super::registry::{Key, Registry, short_name};
use super::table::{Table, no_rows};
use super::{Gaps, ReadOptions};
use crate::error::{Kind, TraceError};
use crate::expand::{Cell, Counts, Interval};
use crate::function::{FunctionProfile, Trigger};
use crate::service::ServiceTime;

const MINUTE: Duration = Duration::from_secs(60);
const DAY_MINUTES: u64 = 1440;
/// The most minutes of one file: a year.
const MINUTES_MAX: u64 = 366 * DAY_MINUTES;

/// Which columns hold what.
struct Layout {
    key: Vec<usize>,
    /// The columns that make the name, each shortened.
    name: Vec<usize>,
    /// The columns that identify the application.
    app: Vec<usize>,
    trigger: Option<usize>,
    mean_ms: Option<usize>,
    /// The column of each minute; none where a gap counts as zero.
    minutes: Vec<Option<usize>>,
}

/// One file.
struct Day {
    input: Input,
    layout: Layout,
    /// Of its first column, since the trace's begin.
    first_minute: u64,
    /// The function of each row.
    rows: Vec<u32>,
}

/// The counts of a trace, a window at a time.
pub(crate) struct Grid {
    days: Vec<Day>,
    window_bytes: usize,
    /// The day and the minute of it that come next.
    day: usize,
    minute: usize,
    /// The first minute in `counts`, and how many are there.
    window_begin: usize,
    window_length: usize,
    functions: usize,
    /// By minute of the window, then function.
    counts: Vec<u32>,
}

/// What indexing found besides the counts.
pub(crate) struct Indexed {
    pub(crate) grid: Grid,
    /// The application of each function, where the format has any.
    pub(crate) apps: Vec<Key>,
    pub(crate) span: Duration,
    pub(crate) invocations: u64,
}

impl Grid {
    /// Reads every file once: functions, totals, and whatever is wrong with it.
    pub(crate) fn index(
        inputs: Vec<Input>,
        registry: &mut Registry,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<Indexed, TraceError> {
        let (mut days, mut apps) = (Vec::new(), Vec::new());
        for mut input in inputs {
            input.hold()?;
            let mut table = Table::open(&mut input)?;
            let layout = Layout::of(&table, input.name(), options)?;
            let first_minute = first_minute(&days, &input, options)?;
            let mut day = Day { input, layout, first_minute, rows: Vec::new() };
            day.index(&mut table, registry, functions, &mut apps, options)?;
            days.push(day);
        }
        let last = days.last().expect("a trace has a file of counts");
        let span = MINUTE * (last.first_minute + last.layout.minutes.len() as u64) as u32;
        let invocations = functions.iter().filter_map(|function| function.invocations).sum();
        if functions.is_empty() {
            return Err(no_rows(last.input.name(), "function"));
        }
        let grid = Grid {
            days,
            window_bytes: options.window_bytes,
            day: 0,
            minute: 0,
            window_begin: 0,
            window_length: 0,
            functions: functions.len(),
            counts: Vec::new(),
        };
        Ok(Indexed { grid, apps, span, invocations })
    }

    /// Reads the window that begins at the current minute of the current day.
    fn load(&mut self) -> Result<(), TraceError> {
        let day = &mut self.days[self.day];
        let fitting = self.window_bytes / (4 * self.functions);
        let length = fitting.clamp(1, day.layout.minutes.len() - self.minute);
        (self.window_begin, self.window_length) = (self.minute, length);
        self.counts.clear();
        self.counts.resize(length * self.functions, 0);
        let mut table = Table::open(&mut day.input)?;
        let mut rows = day.rows.iter();
        let columns = &day.layout.minutes[self.minute..self.minute + length];
        while table.advance()? {
            let Some(&function) = rows.next() else { return Err(changed(day.input.name())) };
            let slots = self.counts.iter_mut().skip(function as usize).step_by(self.functions);
            for (slot, column) in slots.zip(columns) {
                let Some(column) = *column else { continue };
                let count = match table.count(column) {
                    Err(error) if error.kind() == Kind::Gap => 0,
                    count => count?,
                };
                // A function that has two rows counts both; each was checked to fit.
                *slot = u32::try_from(u64::from(*slot) + count).map_err(|_| {
                    table.wrong_cell(column, Kind::TooLarge, format!("a sum up to {}", u32::MAX))
                })?;
            }
        }
        match rows.next() {
            Some(_) => Err(changed(day.input.name())),
            None => Ok(()),
        }
    }
}

impl Counts for Grid {
    fn next(
        &mut self,
        cells: &mut Vec<Cell>,
        _: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Interval>, TraceError> {
        while let Some(day) = self.days.get(self.day) {
            if self.minute < day.layout.minutes.len() {
                break;
            }
            (self.day, self.minute, self.window_length) = (self.day + 1, 0, 0);
        }
        let Some(day) = self.days.get(self.day) else { return Ok(None) };
        let begin = MINUTE * (day.first_minute + self.minute as u64) as u32;
        if self.minute >= self.window_begin + self.window_length || self.window_length == 0 {
            self.load()?;
        }
        let row = (self.minute - self.window_begin) * self.functions;
        let counts = &self.counts[row..row + self.functions];
        let invoked = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        cells.extend(invoked.map(|(function, &count)| Cell {
            function: function as u32,
            count: u64::from(count),
            service: None,
        }));
        self.minute += 1;
        Ok(Some(Interval { begin, length: MINUTE }))
    }
}

impl Day {
    /// Learns the functions and checks every cell.
    fn index(
        &mut self,
        table: &mut Table,
        registry: &mut Registry,
        functions: &mut Vec<FunctionProfile>,
        apps: &mut Vec<Key>,
        options: &ReadOptions,
    ) -> Result<(), TraceError> {
        let layout = &self.layout;
        while table.advance()? {
            let key = Key::of(layout.key.iter().map(|&column| table.bytes(column)));
            let name = || {
                let parts: Vec<_> = layout.name.iter().map(|&part| table.bytes(part)).collect();
                match layout.app.is_empty() {
                    true => String::from_utf8_lossy(parts[0]).into_owned(),
                    false => short_name(&parts),
                }
            };
            let function = registry.get_or_add(table.name(), key, name, functions, options)?;
            if apps.len() < functions.len() {
                apps.push(Key::of(layout.app.iter().map(|&column| table.bytes(column))));
            }
            let profile = &mut functions[function as usize];
            if profile.invocations.is_none() {
                layout.describe(table, profile)?;
            }
            let total = layout.total(table, options.gaps)?;
            profile.invocations = Some(profile.invocations.unwrap_or(0) + total);
            self.rows.push(function);
        }
        Ok(())
    }
}

impl Layout {
    fn of(table: &Table, file: &str, options: &ReadOptions) -> Result<Self, TraceError> {
        let minutes = minutes(table.header(), file, options.gaps)?;
        if table.column("HashApp").is_none() {
            let function = table.needed("function")?;
            return Ok(Layout {
                key: vec![function],
                name: vec![function],
                app: Vec::new(),
                trigger: None,
                mean_ms: Some(table.needed("mean_ms")?),
                minutes,
            });
        }
        let (owner, app) = (table.needed("HashOwner")?, table.needed("HashApp")?);
        let function = table.needed("HashFunction")?;
        Ok(Layout {
            key: vec![owner, app, function],
            name: vec![function, app],
            app: vec![owner, app],
            trigger: Some(table.needed("Trigger")?),
            mean_ms: None,
            minutes,
        })
    }

    /// What the row says of its function besides counts.
    fn describe(&self, table: &Table, profile: &mut FunctionProfile) -> Result<(), TraceError> {
        if let Some(column) = self.trigger {
            profile.trigger = table.text(column).parse().map_err(|()| {
                let words: Vec<_> = Trigger::ALL.iter().map(|trigger| trigger.as_str()).collect();
                table.wrong_cell(column, Kind::OutOfRange, words.join(", "))
            })?;
        }
        if let Some(column) = self.mean_ms {
            profile.service = ServiceTime::Fixed(table.service(column, 1e-3)?);
        }
        Ok(())
    }

    /// The row's invocations, every cell checked.
    fn total(&self, table: &Table, gaps: Gaps) -> Result<u64, TraceError> {
        let mut total = 0;
        for column in self.minutes.iter().flatten() {
            total += match table.count(*column) {
                Err(error) if error.kind() == Kind::Gap && gaps == Gaps::AsZero => 0,
                count => count?,
            };
        }
        Ok(total)
    }
}

/// The column of each minute, from headers `1`, `2`, ... or `minute_1`, `minute_2`, ...
fn minutes(header: &[String], file: &str, gaps: Gaps) -> Result<Vec<Option<usize>>, TraceError> {
    let number = |name: &String| -> Option<u64> {
        name.strip_prefix("minute_").unwrap_or(name).parse().ok()
    };
    let mut minutes: Vec<Option<usize>> = Vec::new();
    for (column, name) in header.iter().enumerate() {
        let Some(minute) = number(name) else { continue };
        let wrong = |kind, allowed: String| {
            let found = match minutes.len() {
                0 => format!("minute {minute} first"),
                last => format!("minute {minute} after minute {last}"),
            };
            Err(TraceError::new(file, kind, found, allowed).at_line(1).at_column(name.as_str()))
        };
        let expected = minutes.len() as u64 + 1;
        if minute > MINUTES_MAX {
            return wrong(Kind::TooLarge, format!("minutes up to {MINUTES_MAX}"));
        }
        if minute < expected {
            return wrong(Kind::WrongOrder, format!("minute {expected}"));
        }
        if minute > expected && gaps == Gaps::Refuse {
            return wrong(Kind::Gap, format!("minute {expected}"));
        }
        minutes.resize(minute as usize - 1, None);
        minutes.push(Some(column));
    }
    if minutes.is_empty() {
        return Err(super::table::missing_column(file, "1", header));
    }
    Ok(minutes)
}

/// When a file begins: by the day in its name, such as `.d03.`, or after the one before.
fn first_minute(days: &[Day], input: &Input, options: &ReadOptions) -> Result<u64, TraceError> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(0) };
    let end = last.first_minute + last.layout.minutes.len() as u64;
    let begin = match (day_number(first.input.name()), day_number(input.name())) {
        (Some(first), Some(this)) => this.saturating_sub(first) * DAY_MINUTES,
        _ => end,
    };
    let found = || format!("minute {begin} of the trace after minute {end}");
    if begin > end && options.gaps == Gaps::Refuse {
        let allowed = format!("a file that begins with minute {end}");
        return Err(TraceError::new(input.name(), Kind::Gap, found(), allowed));
    }
    if begin < end {
        let allowed = format!("a file that begins with minute {end}");
        return Err(TraceError::new(input.name(), Kind::WrongOrder, found(), allowed));
    }
    if begin > MINUTES_MAX {
        return Err(TraceError::new(input.name(), Kind::TooLarge, found(), "a year"));
    }
    Ok(begin)
}

/// The number in `.d03.` of a file's name.
fn day_number(name: &str) -> Option<u64> {
    name.split('.').find_map(|part| {
        let digits = part.strip_prefix('d')?;
        (digits.len() == 2).then(|| digits.parse().ok())?
    })
}

fn changed(file: &str) -> TraceError {
    let found = "another number of rows than before";
    TraceError::new(file, Kind::Mismatch, found, "a file that does not change while it is read")
}
