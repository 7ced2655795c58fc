//! What the Azure Functions 2019 trace says of functions besides counts: percentiles
//! of durations, and memory of applications. Joined by hashes.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_types::Bytes;

use super::input::Input;
use super::registry::{Key, Registry};
use super::table::Table;
use super::{AppMemory, ReadOptions};
use crate::error::{Kind, TraceError};
use crate::function::FunctionProfile;
use crate::service::ServiceTime;

/// The columns with percentiles of a function's average duration.
const PERCENTILES: [(f64, &str); 7] = [
    (0.00, "percentile_Average_0"),
    (0.01, "percentile_Average_1"),
    (0.25, "percentile_Average_25"),
    (0.50, "percentile_Average_50"),
    (0.75, "percentile_Average_75"),
    (0.99, "percentile_Average_99"),
    (1.00, "percentile_Average_100"),
];
/// The log's resolution: what it rounds to zero took less than this.
const RESOLUTION: Duration = Duration::from_millis(1);
/// The most memory of an application, in MB.
const MEMORY_MB_MAX: f64 = 1e6;
/// The largest count or number of samples.
const WEIGHT_MAX: f64 = 1e15;

/// Gives functions the percentiles of their durations. A function with rows on several
/// days gets those of the day on which it ran most. Returns how many functions have none.
pub(crate) fn join_durations(
    inputs: Vec<Input>,
    registry: &Registry,
    functions: &mut [FunctionProfile],
) -> Result<usize, TraceError> {
    let mut weights = vec![-1.0; functions.len()];
    for mut input in inputs {
        let mut table = Table::open(&mut input)?;
        let key = ["HashOwner", "HashApp", "HashFunction"];
        let key: Vec<_> = key.iter().map(|name| table.needed(name)).collect::<Result<_, _>>()?;
        let columns: Vec<_> = PERCENTILES
            .iter()
            .map(|&(share, name)| Ok((share, table.needed(name)?)))
            .collect::<Result<_, TraceError>>()?;
        let count = table.needed("Count")?;
        while table.advance()? {
            let service = percentiles(&table, &columns)?;
            let weight = table.amount(count, WEIGHT_MAX, "executions")?;
            let key = Key::of(key.iter().map(|&column| table.bytes(column)));
            let Some(function) = registry.get(key).map(|function| function as usize) else {
                continue;
            };
            if weight > weights[function] {
                weights[function] = weight;
                functions[function].service = service;
            }
        }
    }
    Ok(weights.iter().filter(|weight| **weight < 0.0).count())
}

fn percentiles(table: &Table, columns: &[(f64, usize)]) -> Result<ServiceTime, TraceError> {
    let mut points = Vec::with_capacity(columns.len());
    let mut last = Duration::ZERO;
    for &(share, column) in columns {
        let time = table.service(column, 1e-3)?.max(RESOLUTION);
        if time < last {
            let allowed =
                format!("at least {} ms, the percentile before", last.as_secs_f64() * 1e3);
            return Err(table.wrong_cell(column, Kind::WrongOrder, allowed));
        }
        last = time;
        points.push((share, time));
    }
    ServiceTime::quantiles(&points)
        .map_err(|error| table.wrong_row(Kind::OutOfRange, error.to_string(), "percentiles"))
}

/// Gives functions the memory of their application, or their own where the file is by
/// function. Returns how many functions have none.
pub(crate) fn join_memory(
    inputs: Vec<Input>,
    registry: &Registry,
    apps: &[Key],
    functions: &mut [FunctionProfile],
    options: &ReadOptions,
) -> Result<usize, TraceError> {
    let mut of_app: HashMap<Key, (f64, f64), FixedState> = HashMap::default();
    let mut of_function = vec![(-1.0, 0.0); functions.len()];
    let mut parts: HashMap<Key, u32, FixedState> = HashMap::default();
    for app in apps {
        *parts.entry(*app).or_default() += 1;
    }
    for mut input in inputs {
        let mut table = Table::open(&mut input)?;
        let (owner, app) = (table.needed("HashOwner")?, table.needed("HashApp")?);
        let function = table.column("HashFunction");
        let samples = table.needed("SampleCount")?;
        let memory = table.needed("AverageAllocatedMb")?;
        while table.advance()? {
            let weight = table.amount(samples, WEIGHT_MAX, "samples")?;
            let memory_mb = table.amount(memory, MEMORY_MB_MAX, "MB")?;
            let columns = [Some(owner), Some(app), function];
            let key = Key::of(columns.into_iter().flatten().map(|column| table.bytes(column)));
            let entry = match function {
                Some(_) => match registry.get(key) {
                    Some(function) => &mut of_function[function as usize],
                    None => continue,
                },
                // Only applications that have functions here, so that the map stays bounded.
                None if !parts.contains_key(&key) => continue,
                None => of_app.entry(key).or_insert((-1.0, 0.0)),
            };
            if weight > entry.0 {
                *entry = (weight, memory_mb);
            }
        }
    }
    let mut without = 0;
    for (index, function) in functions.iter_mut().enumerate() {
        let own = of_function[index];
        let part = match options.app_memory {
            AppMemory::Split => f64::from(parts[&apps[index]]),
            AppMemory::Whole => 1.0,
        };
        match (own.0 >= 0.0, of_app.get(&apps[index])) {
            (true, _) => function.memory = megabytes(own.1),
            (false, Some((_, memory_mb))) => function.memory = megabytes(memory_mb / part),
            (false, None) => without += 1,
        }
    }
    Ok(without)
}

/// Megabytes as memory; an instance takes at least one.
pub(crate) fn megabytes(memory_mb: f64) -> Bytes {
    Bytes((memory_mb.max(1.0) * f64::from(1 << 20)) as u64)
}
