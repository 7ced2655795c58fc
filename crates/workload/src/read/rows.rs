//! Traces with a row per invocation.
//!
//! Such a log is ordered by when its rows were written, and an invocation is written
//! when it ends: one of ten minutes appears ten minutes after it began. So rows pass
//! a heap that gives out what began [`ReadOptions::reorder`] before the latest begin
//! seen. Invocations longer than half of that are rare; reading the file once before
//! collects them in a list of their own, and so no window needs to be as long as the
//! longest invocation (12 hours in one public trace).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::ReadOptions;
use super::detect::Role;
use super::input::Input;
use super::registry::{Key, Registry, short_name};
use super::table::Table;
use super::wide::pool_memory;
use crate::error::{Kind, TraceError};
use crate::function::FunctionProfile;
use crate::service::{SERVICE_MIN, ServiceTime};
use crate::workload::{Arrival, Feed};

/// The most rows that wait for their turn: what 120 s of 30,000 a second are.
const REORDER_ROWS_MAX: usize = 4_000_000;
/// The most invocations that are longer than half the reorder window.
const LONG_ROWS_MAX: usize = 4_000_000;

/// An invocation, ordered by begin and then by its place in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    begin_ns: i64,
    number: u64,
    function: u32,
    service_ns: u64,
}

/// The columns of one of the two formats.
enum Layout {
    Azure2021 {
        app: usize,
        func: usize,
        end: usize,
        duration: usize,
    },
    Huawei2025 {
        func: usize,
        user: usize,
        pod: usize,
        worker: [usize; 2],
        frontend: Option<[usize; 2]>,
    },
}

/// The rows of a trace's files, one after the other, in the order of the log.
struct Log {
    role: Role,
    rest: VecDeque<Input>,
    current: Option<(Table, Layout)>,
    rows: u64,
}

/// The arrivals of such a trace.
pub(crate) struct Rows {
    log: Log,
    registry: Registry,
    options: ReadOptions,
    heap: BinaryHeap<Reverse<Row>>,
    /// Long invocations, from a first reading; none without one.
    long: Option<VecDeque<Row>>,
    origin_ns: Option<i64>,
    latest_ns: i64,
    given_ns: i64,
    has_read_all: bool,
}

impl Log {
    fn new(role: Role, inputs: Vec<Input>) -> Self {
        Log { role, rest: inputs.into(), current: None, rows: 0 }
    }

    /// The next row; new functions are added.
    fn next(
        &mut self,
        registry: &mut Registry,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<Option<Row>, TraceError> {
        loop {
            let Some((table, layout)) = &mut self.current else {
                let Some(input) = self.rest.front_mut() else { return Ok(None) };
                let table = Table::open(input)?;
                let layout = Layout::of(self.role, &table)?;
                self.current = Some((table, layout));
                continue;
            };
            if !table.advance()? {
                self.current = None;
                self.rest.pop_front();
                continue;
            }
            let function = layout.function(table, registry, functions, options)?;
            let (begin_ns, service) = layout.times(table)?;
            self.rows += 1;
            let service_ns = service.as_nanos() as u64;
            return Ok(Some(Row { begin_ns, number: self.rows, function, service_ns }));
        }
    }

    /// An error in the row just read.
    fn wrong_row(&self, kind: Kind, found: String, allowed: String) -> TraceError {
        let (table, _) = self.current.as_ref().expect("a row was just read");
        table.wrong_row(kind, found, allowed)
    }
}

impl Layout {
    fn of(role: Role, table: &Table) -> Result<Self, TraceError> {
        if role == Role::Azure2021Rows {
            return Ok(Layout::Azure2021 {
                app: table.needed("app")?,
                func: table.needed("func")?,
                end: table.needed("end_timestamp")?,
                duration: table.needed("duration")?,
            });
        }
        let frontend = match (table.column("time_frontend"), table.column("totalCost_frontend")) {
            (Some(time), Some(cost)) => Some([time, cost]),
            _ => None,
        };
        Ok(Layout::Huawei2025 {
            func: table.needed("funcName")?,
            user: table.needed("userID")?,
            pod: table.needed("podID")?,
            worker: [table.needed("time_worker")?, table.needed("totalCost_worker")?],
            frontend,
        })
    }

    fn function(
        &self,
        table: &Table,
        registry: &mut Registry,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<u32, TraceError> {
        match *self {
            Layout::Azure2021 { app, func, .. } => {
                let (app, func) = (table.bytes(app), table.bytes(func));
                let name = || short_name(&[func, app]);
                registry.get_or_add(table.name(), Key::of([app, func]), name, functions, options)
            }
            Layout::Huawei2025 { func, user, pod, .. } => {
                let pod = table.bytes(pod);
                // The pool is the pod's name without its last part.
                let end = pod.iter().rposition(|&byte| byte == b'-').unwrap_or(pod.len());
                let parts = [table.bytes(func), table.bytes(user), &pod[..end]];
                let name = || parts.map(|part| String::from_utf8_lossy(part)).join("---");
                let known = functions.len();
                let function =
                    registry.get_or_add(table.name(), Key::of(parts), name, functions, options)?;
                if functions.len() > known
                    && let Some(memory) = pool_memory(&functions[known].name)
                {
                    functions[known].memory = memory;
                }
                Ok(function)
            }
        }
    }

    /// When the row's invocation began, and how long its function worked.
    fn times(&self, table: &Table) -> Result<(i64, Duration), TraceError> {
        match *self {
            Layout::Azure2021 { end, duration, .. } => {
                let service = table.service(duration, 1.0)?;
                let begin_s = table.time(end)? - service.as_secs_f64();
                // The log's resolution is a millisecond: less is written as zero.
                let service = if service.is_zero() { Duration::from_millis(1) } else { service };
                Ok((nanoseconds(begin_s), service))
            }
            Layout::Huawei2025 { worker, frontend, .. } => {
                let service = table.service(worker[1], 1.0)?.max(SERVICE_MIN);
                // Both stamps are of ends: a frontend's is later than its worker's.
                let stamp = frontend.filter(|columns| !columns.iter().any(|&c| table.is_absent(c)));
                let [time, cost] = stamp.unwrap_or(worker);
                let begin_s = table.time(time)? - table.service(cost, 1.0)?.as_secs_f64();
                Ok((nanoseconds(begin_s), service))
            }
        }
    }
}

/// Seconds as whole nanoseconds.
fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

impl Rows {
    /// A trace that is read once before: its functions are complete.
    pub(crate) fn scanned(
        role: Role,
        mut inputs: Vec<Input>,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<(Self, u64, Duration), TraceError> {
        for input in &mut inputs {
            input.hold()?;
        }
        let again = inputs.iter().map(Input::again).collect();
        let mut rows = Rows::streamed(role, again, options);
        let (mut log, mut long) = (Log::new(role, inputs), Vec::new());
        let mut sums: Vec<(u64, f64)> = Vec::new();
        let (mut first_ns, mut latest_ns) = (i64::MAX, i64::MIN);
        while let Some(row) = log.next(&mut rows.registry, functions, options)? {
            sums.resize(functions.len(), (0, 0.0));
            let sum = &mut sums[row.function as usize];
            *sum = (sum.0 + 1, sum.1 + row.service_ns as f64);
            first_ns = first_ns.min(row.begin_ns);
            if rows.is_long(&row) {
                if long.len() >= LONG_ROWS_MAX {
                    let found = format!("more than {LONG_ROWS_MAX} long invocations");
                    let allowed = "a longer reorder window".to_owned();
                    return Err(log.wrong_row(Kind::TooLarge, found, allowed));
                }
                long.push(row);
                continue;
            }
            if row.begin_ns < latest_ns.saturating_sub(rows.reorder_ns()) {
                return Err(rows.too_late(&log, &row, latest_ns));
            }
            latest_ns = latest_ns.max(row.begin_ns);
        }
        long.sort_unstable();
        let last_ns = long.last().map_or(latest_ns, |row| latest_ns.max(row.begin_ns));
        for (function, (count, sum)) in functions.iter_mut().zip(sums) {
            let mean = Duration::from_nanos((sum / count as f64) as u64);
            function.service = ServiceTime::Recorded { mean };
            function.invocations = Some(count);
        }
        rows.long = Some(long.into());
        rows.origin_ns = Some(first_ns);
        let span = Duration::from_nanos(last_ns.saturating_sub(first_ns).max(0) as u64 + 1);
        Ok((rows, log.rows, span))
    }

    /// A trace that is read once: functions become known as they are invoked.
    pub(crate) fn streamed(role: Role, inputs: Vec<Input>, options: &ReadOptions) -> Self {
        Rows {
            log: Log::new(role, inputs),
            registry: Registry::default(),
            options: options.clone(),
            heap: BinaryHeap::new(),
            long: None,
            origin_ns: None,
            latest_ns: i64::MIN,
            given_ns: i64::MIN,
            has_read_all: false,
        }
    }

    fn reorder_ns(&self) -> i64 {
        self.options.reorder.as_nanos() as i64
    }

    fn is_long(&self, row: &Row) -> bool {
        row.service_ns as i64 > self.reorder_ns() / 2
    }

    fn too_late(&self, log: &Log, row: &Row, than_ns: i64) -> TraceError {
        let found = format!(
            "an invocation that began {:.3} s before one above it",
            (than_ns - row.begin_ns) as f64 / 1e9
        );
        let allowed = format!("at most {:?} of disorder, the reorder window", self.options.reorder);
        log.wrong_row(Kind::WrongOrder, found, allowed)
    }

    /// Reads until what comes first is certain.
    fn fill(&mut self, functions: &mut Vec<FunctionProfile>) -> Result<(), TraceError> {
        while !self.has_read_all && self.heap.len() < REORDER_ROWS_MAX {
            let certain_ns = self.latest_ns.saturating_sub(self.reorder_ns());
            if self.first().is_some_and(|row| row.begin_ns <= certain_ns) {
                return Ok(());
            }
            let known = functions.len();
            let row = self.log.next(&mut self.registry, functions, &self.options)?;
            let Some(row) = row else {
                self.has_read_all = true;
                return Ok(());
            };
            if functions.len() > known {
                let mean = Duration::from_nanos(row.service_ns);
                functions[known].service = ServiceTime::Recorded { mean };
            }
            if self.long.is_some() && self.is_long(&row) {
                continue;
            }
            if row.begin_ns < self.given_ns {
                return Err(self.too_late(&self.log, &row, self.given_ns));
            }
            self.latest_ns = self.latest_ns.max(row.begin_ns);
            self.heap.push(Reverse(row));
        }
        Ok(())
    }

    /// The earliest of what is held.
    fn first(&self) -> Option<Row> {
        let short = self.heap.peek().map(|Reverse(row)| *row);
        let long = self.long.as_ref().and_then(|long| long.front().copied());
        match (short, long) {
            (Some(short), Some(long)) => Some(short.min(long)),
            (short, long) => short.or(long),
        }
    }
}

impl Feed for Rows {
    fn next(
        &mut self,
        functions: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Arrival>, TraceError> {
        self.fill(functions)?;
        let Some(row) = self.first() else { return Ok(None) };
        match self.heap.peek() {
            Some(Reverse(short)) if *short == row => drop(self.heap.pop()),
            _ => drop(self.long.as_mut().and_then(VecDeque::pop_front)),
        }
        self.given_ns = row.begin_ns;
        let origin_ns = *self.origin_ns.get_or_insert(row.begin_ns);
        Ok(Some(Arrival {
            at: Duration::from_nanos(row.begin_ns.saturating_sub(origin_ns).max(0) as u64),
            function: row.function,
            service: Duration::from_nanos(row.service_ns),
        }))
    }

    fn held(&self) -> usize {
        self.heap.len() + self.long.as_ref().map_or(0, VecDeque::len)
    }
}
