//! The log: every transaction since the checkpoint, in files of a bounded size.
//!
//! ```text
//! state/checkpoint-REVISION    every record as of a revision
//!       log-SEQUENCE           transactions; the last file is written to
//!       *.tmp                  not finished; removed at the next start
//! ```
//!
//! What always holds: a frame is written only after the one before it is durable.
//! So only the last frame of the last file can be torn by a crash, and what is
//! unreadable anywhere else is damage, which is never passed over.

pub(crate) mod append;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod recover;

use std::path::{Path, PathBuf};

/// The folder of the log and its checkpoints, in the data folder.
pub(crate) const STATE_FOLDER: &str = "state";
const SEGMENT_PREFIX: &str = "log-";
const CHECKPOINT_PREFIX: &str = "checkpoint-";
/// What is not finished ends in this.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

pub(crate) fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{SEGMENT_PREFIX}{sequence:010}"))
}

pub(crate) fn checkpoint_path(folder: &Path, revision: u64) -> PathBuf {
    folder.join(format!("{CHECKPOINT_PREFIX}{revision:020}"))
}

pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// What a file of the folder is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Checkpoint(u64),
    Temporary,
    Unknown,
}

pub(crate) fn name_of(path: &Path) -> Name {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = |prefix| name.strip_prefix(prefix).and_then(|number| number.parse().ok());
    if name.ends_with(TEMPORARY_SUFFIX) {
        Name::Temporary
    } else if let Some(sequence) = number(SEGMENT_PREFIX) {
        Name::Segment(sequence)
    } else {
        number(CHECKPOINT_PREFIX).map_or(Name::Unknown, Name::Checkpoint)
    }
}
