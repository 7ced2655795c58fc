//! [`EmbeddedStore`]: the [`Store`] in one folder.
//!
//! Reads go to memory, writes to one thread (`commit`), which owns the log.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use gapless_store::{
    Change, Page, Range, Record, Store, StoreError, StoreRevision, Watch, Write, check,
};

use crate::bounds::{Bounds, Usage};
use crate::commit::{PackedWrite, Request, Writer};
use crate::disk::{Disk, RealDisk};
use crate::folder::{self, FolderLock};
use crate::log::STATE_FOLDER;
use crate::log::append::{self, Current, Log, Work};
use crate::log::header::Header;
use crate::log::recover::{LastSegment, Recovered, recover};
use crate::log::segment_path;
use crate::memory::Memory;

/// The file of a layout that was never released.
const FORMER_FILE: &str = "state.redb";

/// A store in one folder, used by one process.
#[derive(Debug)]
pub struct EmbeddedStore {
    // Dropped in this order: the writer finishes, then the folder is free.
    writer: Writer,
    memory: Arc<Memory>,
    work: Arc<Work>,
    _folder: FolderLock,
}

impl EmbeddedStore {
    /// Opens the store in `data_dir`, making the folder if need be.
    ///
    /// Fails with [`StoreError::InUse`] if another process has it open, and with
    /// a sentence for people if the folder or a file cannot be used.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_with(data_dir, Bounds::default())
    }

    /// The same with other bounds.
    pub fn open_with(data_dir: &Path, bounds: Bounds) -> Result<Arc<Self>, StoreError> {
        Self::open_on(Arc::new(RealDisk), data_dir, bounds)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        bounds: Bounds,
    ) -> Result<Arc<Self>, StoreError> {
        let folder = folder::hold(data_dir)?;
        refuse_former(data_dir)?;
        let state = data_dir.join(STATE_FOLDER);
        let unusable = |why: std::io::Error| folder::unusable("cannot write in", data_dir, &why);
        folder::make(&state).map_err(unusable)?;
        let recovered = recover(&state, &bounds)?;
        // Names that a killed process gave may not be durable yet: before anything
        // that they replace is removed, and anything is added to them.
        disk.sync_folder(&state).map_err(unusable)?;
        for leftover in &recovered.leftovers {
            if let Err(why) = disk.remove(leftover) {
                tracing::warn!(file = %leftover.display(), %why, "cannot remove what is of no use");
            }
        }
        let (log, memory) = continue_log(disk, &state, &bounds, recovered).map_err(unusable)?;
        let memory = Memory::new(memory);
        let work = Arc::clone(&log.work);
        log.note_bytes();
        let writer = Writer::start(log, Arc::clone(&memory), bounds)
            .map_err(|why| folder::unusable("cannot start the writer of", data_dir, &why))?;
        Ok(Arc::new(EmbeddedStore { writer, memory, work, _folder: folder }))
    }

    /// What is used of the store's [`Bounds`] now: for metrics.
    pub fn usage(&self) -> Usage {
        let waiting = self.writer.queue.len();
        let (log_bytes, syncs) = self.work.done();
        Usage { waiting, log_bytes, syncs, ..self.memory.read().usage() }
    }
}

impl EmbeddedStore {
    /// Whoever writes packs: the writer has enough to do.
    fn pack(&self, write: Write) -> PackedWrite {
        let packed = match &write.change {
            Change::Put(value) => Some(self.memory.pack(value)),
            Change::Delete => None,
        };
        PackedWrite { write, packed }
    }
}

impl Store for EmbeddedStore {
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.memory.get(key))
    }

    fn list(&self, range: Range<'_>) -> Result<Page, StoreError> {
        self.memory.list(range)
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'static, Result<StoreRevision, StoreError>> {
        match check(&writes) {
            Ok(()) => {
                let writes = writes.into_iter().map(|write| self.pack(write)).collect();
                self.writer.queue.ask(|answer| Request::Commit { writes, answer })
            }
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn watch(&self, prefix: &str, after: StoreRevision) -> Result<Watch, StoreError> {
        self.memory.watch(prefix, after)
    }

    fn revision(&self) -> StoreRevision {
        self.memory.revision()
    }

    fn oldest(&self) -> StoreRevision {
        self.memory.read().oldest()
    }

    fn compact(
        &self,
        before: StoreRevision,
    ) -> BoxFuture<'static, Result<StoreRevision, StoreError>> {
        self.writer.queue.ask(|answer| Request::Compact { before, answer })
    }
}

/// Opens the last log file for appending, without what a crash left at its end,
/// or begins the first.
fn continue_log(
    disk: Arc<dyn Disk>,
    folder: &Path,
    bounds: &Bounds,
    recovered: Recovered,
) -> std::io::Result<(Log, crate::memory::State)> {
    let Recovered { state, segments, last, .. } = recovered;
    let current = match last {
        None => append::create(&*disk, folder, Header::new(1, 0))?,
        Some(LastSegment { header, end, is_torn }) => {
            let mut file = disk.open(&segment_path(folder, header.sequence))?;
            if is_torn {
                file.set_len(end)?;
            }
            // What a killed process wrote is read, but may not be durable yet.
            file.sync()?;
            Current { file, header, offset: end, filled: end }
        }
    };
    let log = Log {
        disk,
        folder: folder.to_owned(),
        segment_bytes: bounds.segment_bytes,
        current,
        segments,
        last: state.revision(),
        failed: None,
        work: Arc::default(),
    };
    Ok((log, state))
}

fn refuse_former(data_dir: &Path) -> Result<(), StoreError> {
    if !data_dir.join(FORMER_FILE).exists() {
        return Ok(());
    }
    Err(StoreError::Failed {
        what: format!("cannot open data folder {}", data_dir.display()),
        why: format!(
            "it holds {FORMER_FILE}, written by a version of gapless that was never released and \
             whose files this one does not read; choose another folder with --data-dir and deploy \
             again, or move {FORMER_FILE} away to begin empty"
        ),
    })
}
