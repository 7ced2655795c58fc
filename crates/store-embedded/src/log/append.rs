//! [`Log`]: appending to the log. Owned by the one thread that writes.
//!
//! A file is filled with zeros a step ahead of what is appended: an fdatasync that
//! neither extends the file nor allocates blocks has no journal to wait for, and
//! takes about half the time (ext4 here: 100 us against 220 us).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_store::{StoreError, StoreRevision};

use super::frame::FrameBuffer;
use super::header::{HEADER_BYTES, Header, SEGMENT_MAGIC};
use super::{segment_path, temporary};
use crate::disk::{Disk, DiskFile, is_full};

/// How far ahead a file is filled with zeros.
const ZEROS: &[u8; 1 << 20] = &[0; 1 << 20];

/// A log file that is no longer written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    /// The revision of its last transaction.
    pub(crate) last: StoreRevision,
    pub(crate) bytes: u64,
}

/// The log file that is written to.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) header: Header,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Up to where the file was written, with frames or zeros.
    pub(crate) filled: u64,
}

/// What was done to the log, for whoever looks from another thread.
#[derive(Debug, Default)]
pub(crate) struct Work {
    bytes: AtomicU64,
    syncs: AtomicU64,
}

impl Work {
    /// Bytes of its files, and frames that an fsync made durable.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.syncs.load(Ordering::Relaxed))
    }
}

/// The log, open for appending.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) current: Current,
    /// The files before the current one, oldest first.
    pub(crate) segments: VecDeque<Segment>,
    /// The last revision in the log.
    pub(crate) last: StoreRevision,
    /// Why nothing is appended any more.
    pub(crate) failed: Option<StoreError>,
    pub(crate) work: Arc<Work>,
}

impl Log {
    /// Makes a frame durable, whole or not at all; `last` is the last revision in it.
    pub(crate) fn append(
        &mut self,
        frame: &mut FrameBuffer,
        last: StoreRevision,
    ) -> Result<(), StoreError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let end = self.current.offset + frame.len() as u64;
        if end > self.segment_bytes && self.current.offset > HEADER_BYTES as u64 {
            self.rotate()?;
        }
        let bytes = frame.seal(self.current.header.seed);
        if let Err(why) = self.current.write(bytes, self.segment_bytes) {
            return Err(self.refuse(why));
        }
        if let Err(why) = self.current.file.sync() {
            // What reached the disk is unknown from now on, also to a second fsync.
            let error = self.fail(&why);
            let _ = self.current.cut();
            return Err(error);
        }
        self.current.offset += bytes.len() as u64;
        self.last = last;
        self.work.syncs.fetch_add(1, Ordering::Relaxed);
        self.note_bytes();
        Ok(())
    }

    /// Tells how large the log is.
    pub(crate) fn note_bytes(&self) {
        let former: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        self.work.bytes.store(former + self.current.offset, Ordering::Relaxed);
    }

    /// Says that the log ends here on purpose, and gives back what was filled ahead.
    pub(crate) fn close(&mut self) {
        let mut frame = FrameBuffer::default();
        frame.closed();
        let last = self.last;
        let closed = self.append(&mut frame, last).map_err(|error| error.to_string());
        let cut = closed.and_then(|()| self.current.cut().map_err(|why| why.to_string()));
        if let Err(why) = cut {
            tracing::warn!(%why, "the store's log was not closed; the next start reads it all the same");
        }
    }

    /// Bytes of files that hold nothing after `oldest`.
    pub(crate) fn reclaimable_bytes(&self, oldest: StoreRevision) -> u64 {
        self.reclaimable(oldest).map(|segment| segment.bytes).sum()
    }

    /// Files that hold nothing after `oldest`, oldest first.
    pub(crate) fn reclaimable(&self, oldest: StoreRevision) -> impl Iterator<Item = &Segment> {
        self.segments.iter().take_while(move |segment| segment.last <= oldest)
    }

    /// The files before this one are gone.
    pub(crate) fn forget_before(&mut self, sequence: u64) {
        self.segments.retain(|segment| segment.sequence >= sequence);
        self.note_bytes();
    }

    fn rotate(&mut self) -> Result<(), StoreError> {
        // Zeros at the end of a file that is complete are of no use and no harm.
        let _ = self.current.cut();
        let header = Header::new(self.current.header.sequence + 1, self.last);
        let made = create(&*self.disk, &self.folder, header).map_err(|why| self.refuse(why))?;
        let former = std::mem::replace(&mut self.current, made);
        self.segments.push_back(Segment {
            sequence: former.header.sequence,
            last: self.last,
            bytes: former.offset,
        });
        Ok(())
    }

    /// A write that did not happen: leaves nothing of it behind, and finds out
    /// whether there can be another.
    fn refuse(&mut self, why: io::Error) -> StoreError {
        if !is_full(&why) {
            let error = self.fail(&why);
            let _ = self.current.cut();
            return error;
        }
        match self.current.cut() {
            Ok(()) => {
                let place = self.folder.display().to_string();
                StoreError::NoSpace { place, why: why.to_string() }
            }
            Err(why) => self.fail(&why),
        }
    }

    fn fail(&mut self, why: &io::Error) -> StoreError {
        let place = self.folder.display().to_string();
        tracing::error!(%place, %why, "the disk failed: the store takes no writes until it is opened again");
        let error = StoreError::ReadOnly { place, why: why.to_string() };
        self.failed = Some(error.clone());
        error
    }
}

impl Current {
    fn write(&mut self, bytes: &[u8], segment_bytes: u64) -> io::Result<()> {
        self.file.write_at(bytes, self.offset)?;
        let end = self.offset + bytes.len() as u64;
        if end > self.filled {
            self.filled = end;
            let step = ZEROS.len() as u64;
            let ahead = (step - end % step).min(segment_bytes.saturating_sub(end)) as usize;
            // Without room to fill ahead, appending is only slower.
            if self.file.write_at(&ZEROS[..ahead], end).is_ok() {
                self.filled += ahead as u64;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.filled = self.offset;
        self.file.set_len(self.offset)
    }
}

/// Makes a log file, durably and under its name only when it is whole.
pub(crate) fn create(disk: &dyn Disk, folder: &Path, header: Header) -> io::Result<Current> {
    let path = segment_path(folder, header.sequence);
    let temporary = temporary(&path);
    let make = || {
        let mut file = disk.create(&temporary)?;
        file.write_at(&header.to_bytes(SEGMENT_MAGIC), 0)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)?;
        Ok(file)
    };
    match make() {
        Ok(file) => {
            let offset = HEADER_BYTES as u64;
            Ok(Current { file, header, offset, filled: offset })
        }
        Err(why) => {
            let _ = disk.remove(&temporary);
            let _ = disk.remove(&path);
            Err(why)
        }
    }
}
