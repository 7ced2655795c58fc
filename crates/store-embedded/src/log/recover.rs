//! Reading the log at the start: what is there, what was torn, what is damaged.
//!
//! Nothing is changed here. A last frame that is not whole was never acknowledged
//! (or is the last one, hit by a failing disk: both look the same), so it is left
//! out with a warning. Anything else that cannot be read, such as an unreadable
//! frame with a good one after it, refuses the start: going on would lose
//! acknowledged records without a word.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gapless_store::StoreError;

use super::append::Segment;
use super::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Fields, Frame, has_frame, payload};
use super::header::{HEADER_BYTES, Header, NoHeader, SEGMENT_MAGIC};
use super::{Name, checkpoint_path, name_of, segment_path};
use crate::bounds::Bounds;
use crate::checkpoint;
use crate::memory::State;

/// What the folder holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// The files before the last, oldest first.
    pub(crate) segments: VecDeque<Segment>,
    /// The last log file; none in a new folder.
    pub(crate) last: Option<LastSegment>,
    /// Files that are of no use any more.
    pub(crate) leftovers: Vec<PathBuf>,
}

/// The log file that is written to next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastSegment {
    pub(crate) header: Header,
    /// Where its whole frames end.
    pub(crate) end: u64,
    /// Whether there is something else after that.
    pub(crate) is_torn: bool,
}

/// The folder's files.
#[derive(Debug, Default)]
struct Files {
    segments: Vec<u64>,
    checkpoints: Vec<u64>,
    temporary: Vec<PathBuf>,
}

/// Reads everything.
pub(crate) fn recover(folder: &Path, bounds: &Bounds) -> Result<Recovered, StoreError> {
    let mut files = files(folder).map_err(|why| unreadable(folder, &why))?;
    let mut leftovers = std::mem::take(&mut files.temporary);
    let mut state = State::new(*bounds);
    let mut first = 1;
    if let Some(newest) = files.checkpoints.pop() {
        first = checkpoint::load(&checkpoint_path(folder, newest), newest, &mut state)?;
    }
    leftovers.extend(files.checkpoints.iter().map(|older| checkpoint_path(folder, *older)));
    let (old, kept): (Vec<u64>, Vec<u64>) = files.segments.iter().partition(|s| **s < first);
    leftovers.extend(old.into_iter().map(|sequence| segment_path(folder, sequence)));
    let mut recovered = Recovered { state, segments: VecDeque::new(), last: None, leftovers };
    if kept.is_empty() && recovered.state.revision() == 0 && first == 1 {
        return Ok(recovered);
    }
    for (expected, index) in (first..).zip(0..kept.len().max(1)) {
        let found = kept.get(index).copied();
        if found != Some(expected) {
            let path = segment_path(folder, expected);
            return Err(damaged(&path, 0, "it is missing, but files after it are there"));
        }
        replay(folder, expected, index + 1 == kept.len(), &mut recovered)?;
    }
    Ok(recovered)
}

fn files(folder: &Path) -> std::io::Result<Files> {
    let mut files = Files::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match name_of(&path) {
            Name::Segment(sequence) => files.segments.push(sequence),
            Name::Checkpoint(revision) => files.checkpoints.push(revision),
            Name::Temporary => files.temporary.push(path),
            Name::Unknown => {}
        }
    }
    files.segments.sort_unstable();
    files.checkpoints.sort_unstable();
    Ok(files)
}

/// Reads one log file.
fn replay(
    folder: &Path,
    sequence: u64,
    is_last: bool,
    recovered: &mut Recovered,
) -> Result<(), StoreError> {
    let path = segment_path(folder, sequence);
    let bytes = fs::read(&path).map_err(|why| unreadable(&path, &why))?;
    let header = Header::read(&bytes, SEGMENT_MAGIC).map_err(|why| no_header(&path, why))?;
    let revision = recovered.state.revision();
    let is_next = match recovered.segments.is_empty() {
        // A checkpoint may lie in the middle of the first file that it needs.
        true => header.revision <= revision,
        false => header.revision == revision,
    };
    if header.sequence != sequence || !is_next {
        return Err(damaged(&path, 0, "it does not follow the files before it"));
    }
    let mut reached = header.revision;
    let mut at = HEADER_BYTES;
    while let Some(payload) = payload(&bytes[at..], header.seed) {
        reached = apply(payload, reached, &mut recovered.state).ok_or_else(|| {
            damaged(&path, at, "it does not go on from the frame before, or cannot be understood")
        })?;
        at += FRAME_HEADER_BYTES + payload.len();
    }
    let rest = &bytes[at..];
    let rest = without_zeros(rest);
    if !rest.is_empty() {
        check_torn(&path, at, rest, header.seed, is_last)?;
    }
    if reached < recovered.state.revision() {
        // The checkpoint is newer than what the log still has.
        return Err(damaged(&path, at, "transactions that the checkpoint counts are missing"));
    }
    if is_last {
        recovered.last = Some(LastSegment { header, end: at as u64, is_torn: !rest.is_empty() });
    } else {
        recovered.segments.push_back(Segment { sequence, last: reached, bytes: at as u64 });
    }
    Ok(())
}

/// What is before the zeros that a file was filled ahead with.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    const ZEROS: &[u8; 4096] = &[0; 4096];
    let mut rest = bytes;
    // Whole pages first, as there are many.
    while let Some(before) = rest.strip_suffix(ZEROS) {
        rest = before;
    }
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &rest[..written]
}

/// An unreadable frame at `at`: torn by a crash, or damage.
fn check_torn(
    path: &Path,
    at: usize,
    rest: &[u8],
    seed: u32,
    is_last: bool,
) -> Result<(), StoreError> {
    if !is_last || rest.len() > FRAME_HEADER_BYTES + FRAME_BYTES_MAX || has_frame(rest, seed) {
        return Err(damaged(path, at, "what was written after it is there"));
    }
    tracing::warn!(
        file = %path.display(),
        offset = at,
        bytes = rest.len(),
        "the last write was cut off by a crash before it was acknowledged; it is left out"
    );
    Ok(())
}

/// Applies a frame to the state. Returns the revision it reaches.
fn apply(payload: &[u8], reached: u64, state: &mut State) -> Option<u64> {
    let (before, history, transactions, mut rest) = match Frame::read(payload)? {
        Frame::Group { before, history, transactions, rest } => {
            (before, history, transactions, rest)
        }
        Frame::Closed => return Some(reached),
        Frame::Records(_) | Frame::End(_) => return None,
    };
    if before != reached {
        return None;
    }
    let mut revision = before;
    for _ in 0..transactions {
        revision += 1;
        transaction(revision, &mut rest, state)?;
    }
    if !rest.is_empty() {
        return None;
    }
    state.forget(history);
    while state.sweep() {}
    Some(revision)
}

fn transaction(revision: u64, rest: &mut Fields<'_>, state: &mut State) -> Option<()> {
    let is_new = revision > state.revision();
    let writes = rest.u32()?;
    let mut transaction = Vec::new();
    for _ in 0..writes {
        let (key, value) = rest.write()?;
        if is_new {
            let value = value.map(|value| state.dictionaries().pack(value));
            transaction.push((Arc::from(key), value));
        }
    }
    if is_new {
        state.apply(revision, transaction.into_iter());
    }
    Some(())
}

pub(crate) fn unreadable(path: &Path, why: &std::io::Error) -> StoreError {
    StoreError::Failed {
        what: format!("cannot read {}", path.display()),
        why: format!("{why}; nothing was changed"),
    }
}

pub(crate) fn no_header(path: &Path, why: NoHeader) -> StoreError {
    match why {
        NoHeader::Damaged => damaged(path, 0, "its first bytes are not those of such a file"),
        NoHeader::OtherFormat(format) => StoreError::Failed {
            what: format!("cannot open {}", path.display()),
            why: format!(
                "it has format {format}, which this version of gapless does not read; use the \
                 version that wrote it, or another folder with --data-dir"
            ),
        },
    }
}

/// The refusal to start on what cannot be read.
pub(crate) fn damaged(path: &Path, at: usize, why: &str) -> StoreError {
    let folder = path.parent().unwrap_or(path).display();
    StoreError::Failed {
        what: format!("{} is damaged at byte {at}", path.display()),
        why: format!(
            "{why}; nothing was changed. Restore {folder} from a copy, or move it away to begin \
             empty and declare everything again"
        ),
    }
}
