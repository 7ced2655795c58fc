//! Published traces as workloads.
//!
//! | data set | files | arrivals from |
//! |---|---|---|
//! | Azure Functions 2019 | counts, durations, memory, joined by hashes | counts per minute ([`grid`]) |
//! | the small Azure 2019 sample shipped here | one | counts per minute ([`grid`]) |
//! | Azure Functions 2021 | one row per invocation | the rows ([`rows`]) |
//! | Huawei 2023 private, public | one column per function, a file a day | counts per minute or second ([`wide`]) |
//! | Huawei 2025 time series | the same | counts per minute ([`wide`]) |
//! | Huawei 2025 requests | one row per request | the rows ([`rows`]) |
//!
//! What a file is follows from its header ([`detect`]). Files are read as streams;
//! where a format makes it necessary (a row holds a function's whole day) they are
//! read several times, a window of minutes each time, rather than held.

mod azure2019;
mod detect;
mod grid;
mod input;
mod registry;
mod rows;
mod sources;
mod table;
mod wide;

use std::path::Path;
use std::time::Duration;

use gapless_types::Bytes;

use crate::error::TraceError;
use crate::expand::Spread;
use crate::service::ServiceTime;
use crate::workload::Workload;

pub(crate) use azure2019::megabytes;
pub use detect::Role;
pub use input::Input;

/// What to do about minutes, days or cells that a trace leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// They are an error.
    #[default]
    Refuse,
    /// Nothing was invoked then.
    AsZero,
}

/// What a function needs of memory that the trace gives for its whole application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppMemory {
    /// An equal part, as In-Vitro's preprocessing does.
    #[default]
    Split,
    /// All of it: an instance holds the application.
    Whole,
}

/// The unit of Huawei 2023's `function_delay`, which its description does not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DelayUnit {
    /// Milliseconds.
    #[default]
    Millis,
    /// Seconds.
    Seconds,
}

/// How a trace is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// What counts are expanded and service times are drawn with.
    pub seed: u64,
    /// Whether gaps are errors.
    pub gaps: Gaps,
    /// Where in a minute its invocations lie.
    pub spread: Spread,
    /// The service time of a function that the trace gives none.
    pub service_default: ServiceTime,
    /// The memory of a function that the trace gives none.
    pub memory_default: Bytes,
    /// The memory of a function of an application.
    pub app_memory: AppMemory,
    /// The unit of Huawei 2023's `function_delay`.
    pub delay_unit: DelayUnit,
    /// Whether traces of single invocations are read once before: then every function
    /// is known from the start, errors show at once, and invocations longer than the
    /// reorder window find their place. A stream cannot be.
    pub is_scanned: bool,
    /// How much of the counts of a trace with a row per function is held at a time.
    pub window_bytes: usize,
    /// How far from time order rows of single invocations may be.
    pub reorder: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            seed: 0,
            gaps: Gaps::default(),
            spread: Spread::default(),
            service_default: ServiceTime::Fixed(Duration::from_millis(100)),
            memory_default: Bytes(128 << 20),
            app_memory: AppMemory::default(),
            delay_unit: DelayUnit::default(),
            is_scanned: true,
            window_bytes: 64 << 20,
            reorder: Duration::from_secs(120),
        }
    }
}

/// The trace at `path`: a file, or a folder with the files of one trace.
///
/// In a folder every `.csv` and `.txt` counts, also one level down: what each is
/// follows from its header and, for Huawei's tables, from the name of its folder.
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Workload, TraceError> {
    read(input::of_path(path.as_ref())?, options)
}

/// The trace made of `inputs`, in any order; days are ordered by name.
///
/// ```
/// use gapless_workload::{Input, ReadOptions, read};
///
/// let csv = "function,workload,mean_ms,minute_1,minute_2\nresize,image,20,3,1\n";
/// let workload = read(vec![Input::bytes("day.csv", csv)], &ReadOptions::default())?;
/// assert_eq!(workload.functions()[0].name, "resize");
/// assert_eq!(workload.count(), 4);
///
/// let csv = "function,workload,mean_ms,minute_1,minute_3\nresize,image,20,3,1\n";
/// let error = read(vec![Input::bytes("day.csv", csv)], &ReadOptions::default()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "day.csv:1: column \"minute_3\": gap: found minute 3 after minute 1, allowed is minute 2",
/// );
/// # Ok::<(), gapless_workload::TraceError>(())
/// ```
pub fn read(inputs: Vec<Input>, options: &ReadOptions) -> Result<Workload, TraceError> {
    sources::read(inputs, options)
}
