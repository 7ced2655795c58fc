//! What instances write, kept by function: the newest lines in memory, all of
//! them in files, and live streams of them for those who follow.
//!
//! ```text
//!   driver --line--> sink --> ring (memory, bounded) --> followers
//!                         \-> queue (bounded) --> one thread --> logs/NS/NAME.log
//! ```
//!
//! What always holds: an instance never waits for the disk. When the writer falls
//! behind, lines are missing from the file and counted, not from memory.

mod file;
mod line;
mod ring;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use gapless_api::{FunctionLogs, LogLine};
use gapless_sandbox::{LogSink, LogStream};
use gapless_telemetry::Metrics;
use gapless_types::{FunctionKey, InstanceId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast::{self, error::RecvError};

use file::FileWriter;
use line::Line;
use ring::{Budget, Ring};

/// The logs of every function on this machine.
pub struct LogStore {
    functions: RwLock<HashMap<FunctionKey, Arc<FunctionLog>>>,
    budget: Arc<Budget>,
    files: Option<FileWriter>,
    /// Lines in the files from before are of a former run.
    opened: jiff::Timestamp,
}

/// What one function wrote. Made with its first line or reader.
struct FunctionLog {
    function: FunctionKey,
    ring: Mutex<Ring>,
}

impl LogStore {
    /// Logs that are also kept in files below `folder`, which is made if need be.
    /// Lines that the disk was too slow for are counted in `metrics`.
    pub fn open(folder: &Path, metrics: Arc<Metrics>) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(folder)?;
        Ok(Self::with(Some(FileWriter::start(folder, metrics)?)))
    }

    /// Logs in memory only.
    pub fn in_memory() -> Arc<Self> {
        Self::with(None)
    }

    fn with(files: Option<FileWriter>) -> Arc<Self> {
        Arc::new(LogStore {
            functions: RwLock::default(),
            budget: Arc::default(),
            files,
            opened: jiff::Timestamp::now(),
        })
    }

    /// Where one instance's lines go. Costs nothing until the first one.
    pub fn sink(
        self: &Arc<Self>,
        function: &FunctionKey,
        instance: InstanceId,
    ) -> Arc<dyn LogSink> {
        Arc::new(Sink {
            store: Arc::clone(self),
            function: function.clone(),
            instance,
            log: OnceLock::new(),
        })
    }

    /// Waits until every line so far is in its file.
    pub fn flush(&self) {
        if let Some(files) = &self.files {
            files.flush();
        }
    }

    fn log(&self, function: &FunctionKey) -> Arc<FunctionLog> {
        if let Some(log) = self.functions.read().get(function) {
            return Arc::clone(log);
        }
        let mut functions = self.functions.write();
        let new = || {
            let ring = Mutex::new(Ring::new(Arc::clone(&self.budget)));
            Arc::new(FunctionLog { function: function.clone(), ring })
        };
        Arc::clone(functions.entry(function.clone()).or_insert_with(new))
    }

    /// The log of a function that wrote something in this run.
    fn existing(&self, function: &FunctionKey) -> Option<Arc<FunctionLog>> {
        self.functions.read().get(function).cloned()
    }

    /// Lines of former runs, for when this run has not written enough yet.
    fn earlier(&self, function: &FunctionKey, lines: usize) -> Vec<LogLine> {
        match &self.files {
            Some(files) if lines > 0 => {
                file::read_before(files.folder(), function, self.opened, lines)
            }
            _ => Vec::new(),
        }
    }

    fn prepend_earlier(
        &self,
        function: &FunctionKey,
        lines: usize,
        is_complete: bool,
        kept: &[Arc<Line>],
    ) -> Vec<LogLine> {
        let missing = if is_complete { lines - kept.len() } else { 0 };
        let mut all = self.earlier(function, missing);
        all.extend(kept.iter().map(|line| line.to_api()));
        all
    }
}

impl FunctionLogs for LogStore {
    fn tail(&self, function: &FunctionKey, lines: usize) -> Vec<LogLine> {
        let (kept, is_complete) = match self.existing(function) {
            Some(log) => {
                let ring = log.ring.lock();
                (ring.tail(lines), ring.is_complete())
            }
            None => (Vec::new(), true),
        };
        self.prepend_earlier(function, lines, is_complete, &kept)
    }

    fn follow(&self, function: &FunctionKey, lines: usize) -> BoxStream<'static, LogLine> {
        let log = self.log(function);
        let (kept, is_complete, live) = {
            let mut ring = log.ring.lock();
            (ring.tail(lines), ring.is_complete(), ring.follow())
        };
        let first = self.prepend_earlier(function, lines, is_complete, &kept);
        stream::iter(first).chain(live_lines(live)).boxed()
    }

    fn forget(&self, function: &FunctionKey) {
        self.functions.write().remove(function);
        if let Some(files) = &self.files {
            files.forget(function);
        }
    }
}

fn live_lines(live: broadcast::Receiver<Arc<Line>>) -> impl stream::Stream<Item = LogLine> + Send {
    stream::unfold(live, |mut live| async move {
        match live.recv().await {
            Ok(line) => Some((line.to_api(), live)),
            Err(RecvError::Lagged(missed)) => Some((line::missed(missed), live)),
            Err(RecvError::Closed) => None,
        }
    })
}

/// Takes the lines of one instance.
struct Sink {
    store: Arc<LogStore>,
    function: FunctionKey,
    instance: InstanceId,
    log: OnceLock<Arc<FunctionLog>>,
}

impl LogSink for Sink {
    fn line(&self, stream: LogStream, text: &[u8]) {
        let log = self.log.get_or_init(|| self.store.log(&self.function));
        let line = Arc::new(Line::new(self.instance, stream, text));
        log.ring.lock().push(Arc::clone(&line));
        if let Some(files) = &self.store.files {
            files.line(&log.function, line);
        }
    }
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder: Option<PathBuf> = self.files.as_ref().map(|files| files.folder().to_owned());
        f.debug_struct("LogStore").field("folder", &folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FunctionKey {
        FunctionKey::new("default", "hello").unwrap()
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.line.as_str()).collect()
    }

    fn write(store: &Arc<LogStore>, lines: std::ops::Range<u32>) {
        let sink = store.sink(&key(), InstanceId(1));
        for n in lines {
            sink.line(LogStream::Stdout, format!("line {n}").as_bytes());
        }
    }

    #[test]
    fn tail_gives_the_newest_lines_in_order() {
        let store = LogStore::in_memory();
        assert!(store.tail(&key(), 10).is_empty());
        write(&store, 0..5);
        assert_eq!(texts(&store.tail(&key(), 2)), ["line 3", "line 4"]);
        let all = store.tail(&key(), 100);
        assert_eq!(all.len(), 5);
        assert_eq!((all[0].instance.as_str(), all[0].stream.as_str()), ("i000001", "stdout"));
        store.forget(&key());
        assert!(store.tail(&key(), 10).is_empty());
    }

    #[tokio::test]
    async fn follow_gives_the_tail_and_then_what_comes() {
        let store = LogStore::in_memory();
        write(&store, 0..3);
        let mut follow = store.follow(&key(), 1);
        write(&store, 3..5);
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(follow.next().await.unwrap());
        }
        assert_eq!(texts(&seen), ["line 2", "line 3", "line 4"]);
    }

    #[tokio::test]
    async fn a_follower_that_falls_behind_is_told_how_far() {
        let store = LogStore::in_memory();
        let mut follow = store.follow(&key(), 0);
        write(&store, 0..2_000);
        let first = follow.next().await.unwrap();
        assert_eq!(first.stream, "platform");
        assert!(first.line.contains("lines were missed"), "{}", first.line);
        assert!(follow.next().await.unwrap().line.starts_with("line "));
    }

    #[test]
    fn lines_are_in_files_and_found_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(folder.path(), Metrics::new()).unwrap();
        write(&store, 0..3);
        store.flush();
        let file = folder.path().join("default/hello.log");
        let text = std::fs::read_to_string(&file).unwrap();
        let read: Vec<LogLine> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(texts(&read), ["line 0", "line 1", "line 2"]);
        drop(store);

        let store = LogStore::open(folder.path(), Metrics::new()).unwrap();
        assert_eq!(texts(&store.tail(&key(), 2)), ["line 1", "line 2"]);
        write(&store, 3..4);
        store.flush();
        assert_eq!(texts(&store.tail(&key(), 3)), ["line 1", "line 2", "line 3"]);
        store.forget(&key());
        store.flush();
        assert!(!file.exists());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_readable() {
        let store = LogStore::in_memory();
        store.sink(&key(), InstanceId(2)).line(LogStream::Stderr, b"a\xffb");
        assert_eq!(texts(&store.tail(&key(), 1)), ["a\u{FFFD}b"]);
    }
}
