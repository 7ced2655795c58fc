//! Checkpoints: every record as of the revision at which history begins, in one
//! file, in place of the log before that.
//!
//! Written by a thread of its own from the memory, chunk by chunk, while writes go
//! on. It gets its name only when it is whole and durable; then the log files that
//! hold nothing newer are removed, oldest first, so that a crash in between leaves
//! a state that reads the same.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use gapless_store::{Record, StoreError};

use crate::disk::Disk;
use crate::log::frame::{FRAME_HEADER_BYTES, Frame, FrameBuffer, payload, payload_bytes};
use crate::log::header::{CHECKPOINT_MAGIC, HEADER_BYTES, Header};
use crate::log::recover::{damaged, no_header, unreadable};
use crate::log::{Name, checkpoint_path, name_of, segment_path, temporary};
use crate::memory::{Memory, Pin, State};

/// Records are gathered into frames of about this size.
const FRAME_BYTES: usize = 256 << 10;
/// Written to the disk this often, so that the log's own fsync never waits for more.
const SYNC_BYTES: u64 = 4 << 20;
const READ_BYTES: usize = 256 << 10;

/// A checkpoint to be written.
#[derive(Debug)]
pub(crate) struct Job {
    /// The revision at which history begins.
    pub(crate) pin: Pin,
    /// The first log file that is needed beside it.
    pub(crate) first: u64,
    /// Log files that it replaces, oldest first.
    pub(crate) replaced: Vec<u64>,
}

/// The thread that writes checkpoints, one at a time.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    jobs: Option<SyncSender<Job>>,
    is_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread; `done` is told each outcome: the first log file kept.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        memory: Arc<Memory>,
        done: impl Fn(Option<u64>) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, received): (_, Receiver<Job>) = sync_channel(1);
        let is_ended = Arc::new(AtomicBool::new(false));
        let writing = Writing { disk, folder, memory, is_ended: Arc::clone(&is_ended) };
        let thread =
            thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
                for job in received {
                    done(writing.run(&job));
                }
            })?;
        Ok(Checkpointer { jobs: Some(jobs), is_ended, thread: Some(thread) })
    }

    /// Hands over a job, unless there is one already.
    pub(crate) fn begin(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::Release);
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic was already printed, and costs a checkpoint, not a record.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Writing {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    memory: Arc<Memory>,
    is_ended: Arc<AtomicBool>,
}

impl Writing {
    /// The first log file that is kept, if a checkpoint was made.
    fn run(&self, job: &Job) -> Option<u64> {
        let revision = job.pin.revision;
        let path = checkpoint_path(&self.folder, revision);
        match self.write(&path, job) {
            Ok(true) => {
                self.remove_replaced(&path, job);
                Some(job.first)
            }
            Ok(false) => None,
            Err(why) => {
                tracing::warn!(revision, %why, "a checkpoint was not written: the log stays longer");
                None
            }
        }
    }

    /// Whether it was written; not if the store closes meanwhile.
    fn write(&self, path: &Path, job: &Job) -> io::Result<bool> {
        let temporary = temporary(path);
        let written = self.write_all(&temporary, job).and_then(|is_whole| {
            if is_whole {
                self.disk.rename(&temporary, path)?;
                self.disk.sync_folder(&self.folder)?;
            }
            Ok(is_whole)
        });
        if !matches!(written, Ok(true)) {
            let _ = self.disk.remove(&temporary);
        }
        written
    }

    fn write_all(&self, path: &Path, job: &Job) -> io::Result<bool> {
        let at = job.pin.revision;
        let header = Header::new(job.first, at);
        let mut file = self.disk.create(path)?;
        file.write_at(&header.to_bytes(CHECKPOINT_MAGIC), 0)?;
        let mut offset = HEADER_BYTES as u64;
        let mut synced = 0;
        let mut frame = FrameBuffer::default();
        let (mut records, mut count) = (Vec::new(), 0);
        let mut after: Option<Arc<str>> = None;
        frame.begin_records();
        loop {
            if self.is_ended.load(Ordering::Acquire) {
                return Ok(false);
            }
            after = self.memory.chunk(after.as_deref(), at, &mut records);
            for record in records.drain(..) {
                if frame.len() + record.value.len() > FRAME_BYTES {
                    let bytes = frame.seal(header.seed);
                    file.write_at(bytes, offset)?;
                    offset += bytes.len() as u64;
                    frame.begin_records();
                }
                frame.record(&record);
                count += 1;
            }
            if offset - synced > SYNC_BYTES {
                file.sync()?;
                synced = offset;
            }
            if after.is_none() {
                break;
            }
        }
        let bytes = frame.seal(header.seed);
        file.write_at(bytes, offset)?;
        offset += bytes.len() as u64;
        frame.end(count);
        file.write_at(frame.seal(header.seed), offset)?;
        file.sync()?;
        Ok(true)
    }

    fn remove_replaced(&self, path: &Path, job: &Job) {
        let segments = job.replaced.iter().map(|sequence| segment_path(&self.folder, *sequence));
        let older = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let older = older.map(|entry| entry.path()).filter(|other| {
            matches!(name_of(other), Name::Checkpoint(revision) if revision < job.pin.revision)
                && other != path
        });
        for path in segments.chain(older.collect::<Vec<_>>()) {
            if let Err(why) = self.disk.remove(&path) {
                // The next start removes it.
                tracing::warn!(file = %path.display(), %why, "cannot remove what a checkpoint replaced");
                return;
            }
        }
    }
}

/// Reads a checkpoint into an empty state. Returns the first log file after it.
pub(crate) fn load(path: &Path, revision: u64, state: &mut State) -> Result<u64, StoreError> {
    let mut reading = Reading::open(path)?;
    if reading.header.revision != revision {
        return Err(damaged(path, 0, "it is not the checkpoint that its name says"));
    }
    let mut records = Vec::new();
    while !reading.frame(&mut records)? {}
    state.load(revision, records);
    Ok(reading.header.sequence)
}

struct Reading<'a> {
    path: &'a Path,
    file: BufReader<File>,
    header: Header,
    /// The frame being read.
    bytes: Vec<u8>,
    at: usize,
}

impl<'a> Reading<'a> {
    fn open(path: &'a Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|why| unreadable(path, &why))?;
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        let read = file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|why| unreadable(path, &why))?;
        let header = Header::read(&bytes, CHECKPOINT_MAGIC).map_err(|why| no_header(path, why))?;
        Ok(Reading { path, file, header, bytes, at: HEADER_BYTES })
    }

    /// Reads a frame; whether it was the last.
    fn frame(&mut self, records: &mut Vec<Record>) -> Result<bool, StoreError> {
        let damaged = |why: &str| damaged(self.path, self.at, why);
        let failed = |why: io::Error| match why.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
            _ => unreadable(self.path, &why),
        };
        let mut header = [0; FRAME_HEADER_BYTES];
        self.file.read_exact(&mut header).map_err(failed)?;
        let length = payload_bytes(&header).ok_or_else(|| damaged("no frame begins there"))?;
        self.bytes.clear();
        self.bytes.extend_from_slice(&header);
        self.bytes.resize(FRAME_HEADER_BYTES + length, 0);
        self.file.read_exact(&mut self.bytes[FRAME_HEADER_BYTES..]).map_err(failed)?;
        let payload = payload(&self.bytes, self.header.seed);
        let payload = payload.ok_or_else(|| damaged("its checksum is wrong"))?;
        let is_end = match Frame::read(payload) {
            Some(Frame::Records(mut rest)) => {
                while !rest.is_empty() {
                    let (revision, created, key, value) =
                        rest.record().ok_or_else(|| damaged("it is no record"))?;
                    let (key, value) = (Arc::from(key), Bytes::copy_from_slice(value));
                    records.push(Record { key, value, revision, created });
                }
                false
            }
            Some(Frame::End(count)) if count == records.len() as u64 => true,
            _ => return Err(damaged("it does not belong into a checkpoint")),
        };
        self.at += self.bytes.len();
        Ok(is_end)
    }
}
