//! Where the bytes of a trace come from.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::detect::Role;
use crate::error::{Kind, TraceError};

/// The longest record, and the longest header, in bytes: a file without line ends
/// must not be read into memory whole.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
/// The most bytes held of a stream whose format has to be read more than once.
pub(crate) const STREAM_BYTES_MAX: usize = 256 << 20;
/// The most files of one trace.
pub(crate) const FILES_MAX: usize = 10_000;

/// One file of a trace.
pub struct Input {
    name: String,
    role: Option<Role>,
    body: Body,
}

enum Body {
    Path(PathBuf),
    Bytes(Arc<[u8]>),
    /// What was looked at already, and the rest.
    Stream(Vec<u8>, Box<dyn Read + Send>),
}

impl Input {
    /// The file at `path`.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Input { name: path.display().to_string(), role: None, body: Body::Path(path) }
    }

    /// Bytes in memory; `name` stands in errors, and orders days.
    pub fn bytes(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Input { name: name.into(), role: None, body: Body::Bytes(bytes.as_ref().into()) }
    }

    /// A stream that can be read once, such as standard input.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        let body = Body::Stream(Vec::new(), Box::new(reader));
        Input { name: name.into(), role: None, body }
    }

    /// Says what the file holds, where neither header nor name tell it.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn declared_role(&self) -> Option<Role> {
        self.role
    }

    /// Whether it can be opened more than once.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self.body, Body::Stream(..))
    }

    /// Opens it; a stream is given away with that.
    pub(crate) fn open(&mut self) -> Result<Box<dyn Read + Send>, TraceError> {
        match &mut self.body {
            Body::Path(path) => {
                let file = File::open(path);
                Ok(Box::new(file.map_err(|error| TraceError::unreadable(&self.name, error))?))
            }
            Body::Bytes(bytes) => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
            Body::Stream(begin, rest) => {
                let rest = std::mem::replace(rest, Box::new(io::empty()));
                Ok(Box::new(Cursor::new(std::mem::take(begin)).chain(rest)))
            }
        }
    }

    /// The same file once more.
    pub(crate) fn again(&self) -> Input {
        let body = match &self.body {
            Body::Path(path) => Body::Path(path.clone()),
            Body::Bytes(bytes) => Body::Bytes(Arc::clone(bytes)),
            Body::Stream(..) => unreachable!("a stream is held before it is read again"),
        };
        Input { name: self.name.clone(), role: self.role, body }
    }

    /// The first line, without taking it from a stream.
    pub(crate) fn first_line(&mut self) -> Result<Vec<u8>, TraceError> {
        let mut begin = Vec::new();
        let is_stream = !self.is_repeatable();
        let mut reader = self.open()?;
        let mut chunk = [0; 16 << 10];
        let end = loop {
            if begin.len() >= RECORD_BYTES_MAX {
                return Err(record_too_long(&self.name));
            }
            let count = reader
                .read(&mut chunk)
                .map_err(|error| TraceError::unreadable(&self.name, error))?;
            if count == 0 {
                break begin.len();
            }
            begin.extend_from_slice(&chunk[..count]);
            if let Some(end) = chunk[..count].iter().position(|&byte| byte == b'\n') {
                break begin.len() - count + end;
            }
        };
        let line = begin[..end].to_vec();
        if is_stream {
            self.body = Body::Stream(begin, reader);
        }
        Ok(line)
    }

    /// Makes a stream repeatable by holding it, up to [`STREAM_BYTES_MAX`].
    pub(crate) fn hold(&mut self) -> Result<(), TraceError> {
        if self.is_repeatable() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let mut reader = self.open()?.take(STREAM_BYTES_MAX as u64 + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| TraceError::unreadable(&self.name, error))?;
        if bytes.len() > STREAM_BYTES_MAX {
            let found = format!("a stream of more than {STREAM_BYTES_MAX} bytes");
            let allowed = "a file by its path: this format is read more than once";
            return Err(TraceError::new(&self.name, Kind::TooLarge, found, allowed));
        }
        self.body = Body::Bytes(bytes.into());
        Ok(())
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

pub(crate) fn record_too_long(file: &str) -> TraceError {
    let found = format!("a line of more than {RECORD_BYTES_MAX} bytes");
    TraceError::new(file, Kind::TooLarge, found, "csv with line ends")
}

/// A file, or the trace files of a folder and of the folders in it.
pub(crate) fn of_path(path: &Path) -> Result<Vec<Input>, TraceError> {
    let unreadable =
        |path: &Path, error| TraceError::unreadable(&path.display().to_string(), error);
    if !path.metadata().map_err(|error| unreadable(path, error))?.is_dir() {
        return Ok(vec![Input::path(path)]);
    }
    let mut paths = Vec::new();
    let mut folders = vec![(path.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let path = entry.map_err(|error| unreadable(&folder, error))?.path();
            let is_table =
                path.extension().is_some_and(|ending| ending == "csv" || ending == "txt");
            if path.is_dir() && depth == 0 {
                folders.push((path, 1));
            } else if is_table && path.is_file() {
                paths.push(path);
            }
            if paths.len() > FILES_MAX {
                let (name, found) = (folder.display().to_string(), format!("over {FILES_MAX}"));
                return Err(TraceError::new(&name, Kind::TooLarge, found, "fewer files"));
            }
        }
    }
    paths.sort();
    if paths.is_empty() {
        let name = path.display().to_string();
        return Err(TraceError::new(&name, Kind::Empty, "no .csv or .txt file", "a trace's files"));
    }
    Ok(paths.into_iter().map(Input::path).collect())
}
