//! Huawei's tables: a row per minute or second, a column per function, a file per day.
//!
//! Read row by row: one row is held, and the next to know how long the first lasts.
//! An empty cell is how these tables say that there was nothing; a missing row is a
//! gap. Service times and memory are in tables of the same layout, paired by file
//! name and read beside.

use std::collections::VecDeque;
use std::time::Duration;

use super::azure2019::megabytes;
use super::input::Input;
use super::registry::{Key, Registry};
use super::table::{Table, no_rows};
use super::{DelayUnit, Gaps, ReadOptions};
use crate::error::{Kind, TraceError};
use crate::expand::{Cell, Counts, Interval};
use crate::function::FunctionProfile;
use crate::service::ServiceTime;

const MINUTE_S: u64 = 60;
/// The largest service time or memory of one cell, in the unit of its table.
const VALUE_MAX: f64 = 1e12;
/// Between the parts of a function's id in the 2025 release, the last being its pool.
const ID_SEPARATOR: &str = "---";

/// Columns and the functions they are of.
type Columns = Vec<(usize, u32)>;

/// A row of counts.
struct Row {
    time_s: u64,
    cells: Vec<Cell>,
}

/// A table of service times that is read beside the requests.
struct Beside {
    table: Table,
    time: usize,
    columns: Columns,
    /// The time of the record it is at; none at the end.
    at_s: Option<u64>,
}

/// The counts of Huawei's tables of requests.
pub(crate) struct Wide {
    first_name: String,
    requests: VecDeque<Input>,
    services: Vec<Input>,
    current: Option<(Table, usize, Columns)>,
    beside: Option<Beside>,
    registry: Registry,
    options: ReadOptions,
    ahead: Option<Row>,
    origin_s: Option<u64>,
    step_s: Option<u64>,
    last_s: Option<u64>,
    has_read_all: bool,
}

impl Wide {
    /// Learns the functions from the headers of all days, and their memory and mean
    /// service time from the first day that has them.
    pub(crate) fn index(
        mut requests: Vec<Input>,
        mut services: Vec<Input>,
        mut memories: Vec<Input>,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<Self, TraceError> {
        let mut registry = Registry::default();
        for input in &mut requests {
            let header = super::detect::detect(input)?.1;
            let columns = header.iter().filter(|name| *name != "day" && *name != "time");
            if columns.clone().next().is_none() {
                let (found, allowed) = (header.join(","), "day, time and a column per function");
                return Err(
                    TraceError::new(input.name(), Kind::MissingColumn, found, allowed).at_line(1)
                );
            }
            for name in columns {
                let known = functions.len();
                let id = of_column(input.name(), name, &mut registry, functions, options)?;
                if functions.len() > known {
                    functions[id as usize].memory =
                        pool_memory(name).unwrap_or(options.memory_default);
                }
            }
        }
        for input in &mut services {
            input.hold()?;
        }
        let mut wide = Wide {
            first_name: requests.first().map_or_else(String::new, |input| input.name().to_owned()),
            requests: requests.into(),
            services,
            current: None,
            beside: None,
            registry,
            options: options.clone(),
            ahead: None,
            origin_s: None,
            step_s: None,
            last_s: None,
            has_read_all: false,
        };
        if let Some(memory) = memories.first_mut() {
            // The table has the sum over a function's pods: the least is that of one.
            let least = |least: f64, value, count| match count {
                1 => value,
                _ => least.min(value),
            };
            for (function, value) in wide.learn(memory, functions, is_above_zero, least)? {
                functions[function].memory = megabytes(value);
            }
        }
        if !wide.services.is_empty() {
            let mut first = wide.services.remove(0);
            let unit_s = wide.unit_s();
            let mean = |mean: f64, value, count| mean + (value - mean) / f64::from(count);
            for (function, value) in wide.learn(&mut first, functions, |_| true, mean)? {
                let mean = crate::service::bounded(value * unit_s);
                functions[function].service = ServiceTime::Recorded { mean };
            }
            wide.services.insert(0, first);
        }
        Ok(wide)
    }

    /// Folds each function's cells of one file into one value, those that `counts`.
    fn learn(
        &self,
        input: &mut Input,
        functions: &[FunctionProfile],
        counts: impl Fn(f64) -> bool,
        fold: impl Fn(f64, f64, u32) -> f64,
    ) -> Result<Vec<(usize, f64)>, TraceError> {
        input.hold()?;
        let mut table = Table::open(input)?;
        let columns = self.known(&table);
        let mut folded = vec![(0u32, 0.0); functions.len()];
        while table.advance()? {
            for &(column, function) in &columns {
                if table.is_absent(column) {
                    continue;
                }
                let value = table.amount(column, VALUE_MAX, "its unit")?;
                if counts(value) {
                    let (count, so_far) = &mut folded[function as usize];
                    *count += 1;
                    *so_far = fold(*so_far, value, *count);
                }
            }
        }
        let folded = folded.into_iter().enumerate();
        Ok(folded
            .filter(|(_, (count, _))| *count > 0)
            .map(|(id, (_, value))| (id, value))
            .collect())
    }

    /// The columns of `table` whose functions are known.
    fn known(&self, table: &Table) -> Columns {
        let id = |name: &String| self.registry.get(Key::of([name.as_bytes()]));
        let columns = table.header().iter().enumerate();
        columns.filter_map(|(column, name)| Some((column, id(name)?))).collect()
    }

    fn unit_s(&self) -> f64 {
        // The 2025 release gives seconds, and says so.
        match self.services.first().map(Input::name) {
            Some(name) if name.contains("totalCost") => 1.0,
            _ if self.options.delay_unit == DelayUnit::Seconds => 1.0,
            _ => 1e-3,
        }
    }

    /// Opens the next day; false after the last.
    fn open_next(&mut self) -> Result<bool, TraceError> {
        let Some(mut input) = self.requests.pop_front() else { return Ok(false) };
        let table = Table::open(&mut input)?;
        let time = table.needed("time")?;
        let columns = self.known(&table);
        let file = |input: &Input| input.name().rsplit(['/', '\\']).next().map(str::to_owned);
        let partner = self.services.iter().position(|service| file(service) == file(&input));
        self.beside = match partner {
            None => None,
            Some(index) => {
                let mut input = self.services.remove(index);
                let table = Table::open(&mut input)?;
                let (time, columns) = (table.needed("time")?, self.known(&table));
                let mut beside = Beside { table, time, columns, at_s: None };
                self.services.insert(index, input);
                beside.advance()?;
                Some(beside)
            }
        };
        self.current = Some((table, time, columns));
        Ok(true)
    }

    /// The next row of the trace.
    fn row(&mut self, functions: usize) -> Result<Option<Row>, TraceError> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let (table, time, columns) = self.current.as_mut().expect("a day is open");
            if !table.advance()? {
                self.current = None;
                continue;
            }
            let time_s = whole_seconds(table, *time)?;
            if let Some(last_s) = self.last_s {
                check_step(table, *time, last_s, time_s, self.step_s, self.options.gaps)?;
            }
            let mut cells = Vec::new();
            for &(column, function) in columns.iter() {
                if !table.is_absent(column) {
                    let count = table.count(column)?;
                    cells.push(Cell { function, count, service: None });
                }
            }
            cells.retain(|cell| cell.count > 0);
            let unit_s = self.unit_s();
            if let Some(beside) = &mut self.beside {
                beside.give(time_s, unit_s, functions, &mut cells)?;
            }
            if let (Some(last_s), None) = (self.last_s, self.step_s) {
                self.step_s = Some(step(last_s, time_s));
            }
            self.last_s = Some(time_s);
            return Ok(Some(Row { time_s, cells }));
        }
    }
}

impl Counts for Wide {
    fn next(
        &mut self,
        cells: &mut Vec<Cell>,
        functions: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Interval>, TraceError> {
        if self.ahead.is_none() && !self.has_read_all {
            self.ahead = self.row(functions.len())?;
        }
        let Some(row) = self.ahead.take() else {
            return match self.last_s {
                Some(_) => Ok(None),
                None => Err(no_rows(&self.first_name, "minute or second")),
            };
        };
        self.ahead = self.row(functions.len())?;
        self.has_read_all = self.ahead.is_none();
        let origin_s = *self.origin_s.get_or_insert(row.time_s);
        cells.extend(row.cells);
        Ok(Some(Interval {
            begin: Duration::from_secs(row.time_s - origin_s),
            length: Duration::from_secs(self.step_s.unwrap_or(MINUTE_S)),
        }))
    }
}

impl Beside {
    fn advance(&mut self) -> Result<(), TraceError> {
        self.at_s = match self.table.advance()? {
            true => Some(whole_seconds(&self.table, self.time)?),
            false => None,
        };
        Ok(())
    }

    /// Gives `cells` of `time_s` their mean service times, where it has that time.
    fn give(
        &mut self,
        time_s: u64,
        unit_s: f64,
        functions: usize,
        cells: &mut [Cell],
    ) -> Result<(), TraceError> {
        while self.at_s.is_some_and(|at_s| at_s < time_s) {
            self.advance()?;
        }
        if self.at_s != Some(time_s) {
            return Ok(());
        }
        let mut services = vec![None; functions];
        for &(column, function) in &self.columns {
            if !self.table.is_absent(column) {
                let service = self.table.service(column, unit_s)?;
                services[function as usize] = Some(service.max(crate::service::SERVICE_MIN));
            }
        }
        for cell in cells {
            cell.service = services[cell.function as usize];
        }
        Ok(())
    }
}

/// The function of a column.
fn of_column(
    file: &str,
    name: &str,
    registry: &mut Registry,
    functions: &mut Vec<FunctionProfile>,
    options: &ReadOptions,
) -> Result<u32, TraceError> {
    let key = Key::of([name.as_bytes()]);
    registry.get_or_add(file, key, || name.to_owned(), functions, options)
}

/// The memory in the name of a pool, such as `pool22-300-128`: 300 millicores, 128 MB.
pub(crate) fn pool_memory(id: &str) -> Option<gapless_types::Bytes> {
    let pool = id.rsplit(ID_SEPARATOR).next()?;
    let memory_mb: u32 = pool.strip_prefix("pool")?.split('-').nth(2)?.parse().ok()?;
    Some(megabytes(f64::from(memory_mb)))
}

fn whole_seconds(table: &Table, column: usize) -> Result<u64, TraceError> {
    let time = table.time(column)?;
    match time.fract() == 0.0 {
        true => Ok(time as u64),
        false => Err(table.wrong_cell(column, Kind::OutOfRange, "whole seconds")),
    }
}

fn is_above_zero(value: f64) -> bool {
    value > 0.0
}

/// The length of an interval, from two beginnings: these tables are by minute or second.
fn step(last_s: u64, time_s: u64) -> u64 {
    if (time_s - last_s).is_multiple_of(MINUTE_S) { MINUTE_S } else { 1 }
}

/// Whether a row follows the one before.
fn check_step(
    table: &Table,
    column: usize,
    last_s: u64,
    time_s: u64,
    step_s: Option<u64>,
    gaps: Gaps,
) -> Result<(), TraceError> {
    if time_s <= last_s {
        let allowed = format!("more than {last_s}, the row before");
        return Err(table.wrong_cell(column, Kind::WrongOrder, allowed));
    }
    let step_s = step_s.unwrap_or_else(|| step(last_s, time_s));
    if time_s < last_s + step_s {
        let allowed = format!("{}, one interval after the row before", last_s + step_s);
        return Err(table.wrong_cell(column, Kind::WrongOrder, allowed));
    }
    if time_s > last_s + step_s && gaps == Gaps::Refuse {
        let allowed = format!("{}, one interval after the row before", last_s + step_s);
        return Err(table.wrong_cell(column, Kind::Gap, allowed));
    }
    Ok(())
}
