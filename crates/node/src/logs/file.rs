//! The files: one thread writes all of them, JSON lines, so that an instance's
//! line costs its writer one hand-over at the most. Readers of former runs'
//! lines read the files themselves.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use gapless_api::LogLine;
use gapless_telemetry::Metrics;
use gapless_types::FunctionKey;

use super::line::{Line, readable};

/// Lines that wait for the disk; further ones are not written.
const QUEUE_MAX: usize = 8_192;
/// Files open at a time.
const OPEN_FILES_MAX: usize = 64;
/// A file as large as this is set aside as `NAME.log.1`, in place of the former one.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// How much of a file's end is read for lines of former runs.
const READ_BYTES_MAX: u64 = 1 << 20;

enum Job {
    Line(FunctionKey, Arc<Line>),
    Forget(FunctionKey),
    Flush(SyncSender<()>),
}

/// Hands lines to the thread that writes them. Dropping it writes what waits.
#[derive(Debug)]
pub(super) struct FileWriter {
    folder: PathBuf,
    queue: Option<SyncSender<Job>>,
    metrics: Arc<Metrics>,
    thread: Option<JoinHandle<()>>,
}

impl FileWriter {
    pub(super) fn start(folder: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let mut files = Files { folder: folder.to_owned(), open: HashMap::new(), uses: 0 };
        let thread =
            thread::Builder::new().name("log-writer".to_owned()).spawn(move || files.run(&jobs))?;
        Ok(FileWriter {
            folder: folder.to_owned(),
            queue: Some(queue),
            metrics,
            thread: Some(thread),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a line some time soon, or counts it as dropped.
    pub(super) fn line(&self, function: &FunctionKey, line: Arc<Line>) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Job::Line(function.clone(), line)).is_err() {
            self.metrics.node.log_lines_dropped.inc();
        }
    }

    /// Removes a function's files, after what waits for them. Blocks while the queue is full.
    pub(super) fn forget(&self, function: &FunctionKey) {
        if let Some(queue) = &self.queue {
            // Refused only when the thread is gone, and then nothing is left to do.
            let _ = queue.send(Job::Forget(function.clone()));
        }
    }

    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(queue) = &self.queue
            && queue.send(Job::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Files {
    folder: PathBuf,
    open: HashMap<FunctionKey, OpenFile>,
    /// Counts uses, to find the file that was not used for longest.
    uses: u64,
}

struct OpenFile {
    file: BufWriter<File>,
    bytes: u64,
    used: u64,
    is_dirty: bool,
}

impl Files {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    let Ok(job) = jobs.recv() else { return };
                    job
                }
                Err(TryRecvError::Disconnected) => return self.flush(),
            };
            match job {
                Job::Line(function, line) => {
                    if let Err(why) = self.write(&function, &line) {
                        tracing::warn!(%function, %why, "cannot write the log");
                        self.open.remove(&function);
                    }
                }
                Job::Forget(function) => self.forget(&function),
                Job::Flush(done) => {
                    self.flush();
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, function: &FunctionKey, line: &Line) -> io::Result<()> {
        let mut json = serde_json::to_vec(&line.to_api())?;
        json.push(b'\n');
        let is_full = |file: &OpenFile| file.bytes + json.len() as u64 > FILE_BYTES_MAX;
        if self.open.get(function).is_some_and(is_full) {
            self.rotate(function)?;
        }
        self.uses += 1;
        let uses = self.uses;
        let file = self.file(function)?;
        file.file.write_all(&json)?;
        file.bytes += json.len() as u64;
        file.used = uses;
        file.is_dirty = true;
        Ok(())
    }

    fn file(&mut self, function: &FunctionKey) -> io::Result<&mut OpenFile> {
        if !self.open.contains_key(function) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.close_least_used();
            }
            let path = log_path(&self.folder, function);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            let bytes = file.metadata()?.len();
            let file = OpenFile { file: BufWriter::new(file), bytes, used: 0, is_dirty: false };
            self.open.insert(function.clone(), file);
        }
        Ok(self.open.get_mut(function).expect("open or just opened"))
    }

    fn close_least_used(&mut self) {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used);
        if let Some(function) = oldest.map(|(function, _)| function.clone()) {
            self.open.remove(&function);
        }
    }

    fn rotate(&mut self, function: &FunctionKey) -> io::Result<()> {
        if let Some(mut open) = self.open.remove(function) {
            open.file.flush()?;
        }
        let path = log_path(&self.folder, function);
        fs::rename(&path, path.with_extension("log.1"))
    }

    fn forget(&mut self, function: &FunctionKey) {
        self.open.remove(function);
        let path = log_path(&self.folder, function);
        for path in [path.with_extension("log.1"), path] {
            match fs::remove_file(&path) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %why, "cannot remove the log");
                }
                _ => {}
            }
        }
        // Only an empty namespace's folder goes, and its absence is no matter.
        let _ = fs::remove_dir(self.folder.join(function.namespace()));
    }

    fn flush(&mut self) {
        for (function, open) in self.open.iter_mut().filter(|(_, open)| open.is_dirty) {
            if let Err(why) = open.file.flush() {
                tracing::warn!(%function, %why, "cannot write the log");
            }
            open.is_dirty = false;
        }
    }
}

fn log_path(folder: &Path, function: &FunctionKey) -> PathBuf {
    folder.join(function.namespace()).join(format!("{}.log", function.name()))
}

/// The last `lines` lines that were written before `before`. A file that cannot
/// be read, or a line that was cut off, has none.
pub(super) fn read_before(
    folder: &Path,
    function: &FunctionKey,
    before: jiff::Timestamp,
    lines: usize,
) -> Vec<LogLine> {
    let end = read_end(&log_path(folder, function)).unwrap_or_default();
    let before = readable(before);
    let text = String::from_utf8_lossy(&end);
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    let mut earlier: Vec<LogLine> = parsed.filter(|line| line.time < before).collect();
    earlier.split_off(earlier.len().saturating_sub(lines))
}

fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(READ_BYTES_MAX)))?;
    let mut end = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use gapless_sandbox::LogStream;
    use gapless_types::InstanceId;

    use super::*;

    #[test]
    fn a_large_file_is_set_aside_and_many_functions_share_few_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files { folder: folder.path().to_owned(), open: HashMap::new(), uses: 0 };
        let line = Line::new(InstanceId(1), LogStream::Stdout, &[b'x'; 10_000]);
        let function = FunctionKey::new("default", "hello").unwrap();
        for _ in 0..(FILE_BYTES_MAX / 10_000 + 10) {
            files.write(&function, &line).unwrap();
        }
        files.flush();
        let sizes = ["hello.log", "hello.log.1"]
            .map(|name| fs::metadata(folder.path().join("default").join(name)).unwrap().len());
        assert!(sizes[0] < FILE_BYTES_MAX / 2 && sizes[1] <= FILE_BYTES_MAX, "{sizes:?}");
        for n in 0..OPEN_FILES_MAX * 2 {
            let other = FunctionKey::new("many", &format!("f{n}")).unwrap();
            files.write(&other, &line).unwrap();
            assert!(files.open.len() <= OPEN_FILES_MAX);
        }
        drop(files);
        assert_eq!(fs::read_dir(folder.path().join("many")).unwrap().count(), OPEN_FILES_MAX * 2);
    }
}
