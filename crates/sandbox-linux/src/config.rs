//! What a node decides about its processes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What `RLIMIT_DATA` allows beyond a function's memory limit: thread stacks
/// (8 MiB each, hardly touched) and heaps reserved ahead.
pub const DATA_HEADROOM_BYTES: u64 = 256 << 20;

/// A `PATH` for a node that has none.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a node runs processes.
#[derive(Clone, Debug)]
pub struct LinuxConfig {
    /// A folder of the driver's own: unpacked code, sockets, scratch folders.
    /// One driver at a time; what an earlier one left there is cleared.
    pub run_dir: PathBuf,
    /// Programs' `PATH`. The node's own, so that `python3` is the one its user knows.
    pub path: OsString,
    /// How long a program may take until it listens.
    pub start_timeout: Duration,
    /// How long a program may listen only where nobody asks before its start is
    /// given up. Shorter than a request usually waits, so that its caller learns why.
    pub wrong_port_patience: Duration,
    /// Descriptors a program may have open.
    pub open_files_max: u64,
    /// Size of a deployed folder, unpacked.
    pub folder_bytes_max: u64,
    /// Files and folders in a deployed folder.
    pub folder_entries_max: u64,
}

impl LinuxConfig {
    /// The defaults, with this run folder.
    pub fn new(run_dir: impl Into<PathBuf>) -> Self {
        LinuxConfig {
            run_dir: run_dir.into(),
            path: std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into()),
            start_timeout: Duration::from_secs(30),
            wrong_port_patience: Duration::from_secs(8),
            open_files_max: 16_384,
            folder_bytes_max: 4 << 30,
            folder_entries_max: 200_000,
        }
    }
}
