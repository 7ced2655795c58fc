//! The key file: made at the first start, readable by its owner only.
//!
//! One key a line, 64 hexadecimal digits; lines that begin with `#` are remarks. The last
//! key seals, every key opens. A key's name is derived from the key, so a file cannot name
//! it wrongly. To rotate: add a key, seal everything again, remove the old one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gapless_types::Sensitive;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::Sealer;

/// Bytes of a key of ChaCha20-Poly1305 (RFC 8439).
pub(crate) const KEY_BYTES: usize = 32;
/// Most keys a file may hold.
const KEYS_MAX: usize = 64;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

const HEAD: &str = "\
# The keys that seal the secrets of this gapless platform, one a line. The last one seals,
# all of them open. Without this file the stored secrets cannot be read: back it up, apart
# from the data, and keep it readable by its owner only.
";

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can be read by others.
    #[error(
        "the key file {path} may be read or written by others (mode {mode:04o}): whoever read it can \
         open every secret. If nobody did, `chmod 600 {path}`; otherwise rotate the keys too"
    )]
    TooOpen {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something that is no key.
    #[error(
        "the key file {path}, line {line}: {what}; a key is 64 hexadecimal digits. Restore the \
         file from its backup"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, without the line's content.
        what: String,
    },
    /// The file could not be read or written.
    #[error("cannot {act} the key file {path}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else changed the file.
    #[error("the key file {path} was changed meanwhile: nothing is removed from it")]
    Changed {
        /// The file.
        path: String,
    },
    /// The machine gives no randomness.
    #[error("the machine gives no random bytes for a key")]
    NoRandomness,
}

/// A file of keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        KeyFile { path: path.into() }
    }

    /// Reads the keys; makes the file with a first key where there is none.
    pub fn open(&self) -> Result<Sealer, KeyError> {
        match self.read() {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let text = Zeroizing::new(format!("{HEAD}{}\n", *fresh_key()?));
                self.create(&text)?;
                // Another process may have been first: then its keys count.
                self.read()
            }
            read => read,
        }
    }

    /// Adds a key, which seals from now on, and reads them all. The file is replaced as a
    /// whole: a crash leaves the old one or the new one.
    pub fn rotate(&self) -> Result<Sealer, KeyError> {
        // Checks it first.
        self.read()?;
        let (_, text) = self.read_text()?;
        let text = Zeroizing::new(format!("{}\n{}\n", text.trim_end(), *fresh_key()?));
        self.replace(&text)?;
        self.read()
    }

    /// Removes every key but the one that seals, which must be the one called `newest`, and
    /// reads it. What another key sealed cannot be opened any more.
    pub fn retire(&self, newest: &str) -> Result<Sealer, KeyError> {
        let (_, text) = self.read_text()?;
        let mut keys = text.lines().rev().map(str::trim).filter(|line| is_key_line(line));
        let last = keys.next().unwrap_or_default();
        let kept = Zeroizing::new(format!("{HEAD}{last}\n"));
        let sealer = self.parse(&kept)?;
        if sealer.newest() != newest {
            return Err(KeyError::Changed { path: self.shown() });
        }
        self.replace(&kept)?;
        self.read()
    }

    fn read(&self) -> Result<Sealer, KeyError> {
        let (mode, text) = self.read_text()?;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path: self.shown(), mode });
        }
        self.parse(&text)
    }

    fn parse(&self, text: &str) -> Result<Sealer, KeyError> {
        let malformed = |line, what: String| KeyError::Malformed { path: self.shown(), line, what };
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !is_key_line(line) {
                continue;
            }
            let key = read_key(line).map_err(|what| malformed(index + 1, what))?;
            keys.push(key);
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            let what = format!("it has {} keys, allowed are 1 to {KEYS_MAX}", keys.len());
            return Err(malformed(text.lines().count(), what));
        }
        Ok(Sealer::new(keys))
    }

    fn read_text(&self) -> Result<(u32, Zeroizing<String>), KeyError> {
        let failed = |source| self.io("read", source);
        let metadata = fs::metadata(&self.path).map_err(failed)?;
        if metadata.len() > FILE_BYTES_MAX {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "it is no key file");
            return Err(failed(source));
        }
        let text = fs::read_to_string(&self.path).map_err(failed)?;
        Ok((metadata.mode() & 0o7777, Zeroizing::new(text)))
    }

    fn create(&self, text: &str) -> Result<(), KeyError> {
        let temporary = self.write_beside(text)?;
        // A link does not replace: of two first starts one wins, with a whole file.
        let linked = fs::hard_link(&temporary, &self.path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.io("create", error))
            }
            _ => self.sync_folder(),
        }
    }

    fn replace(&self, text: &str) -> Result<(), KeyError> {
        let temporary = self.write_beside(text)?;
        fs::rename(&temporary, &self.path).map_err(|error| self.io("replace", error))?;
        self.sync_folder()
    }

    fn write_beside(&self, text: &str) -> Result<PathBuf, KeyError> {
        let failed = |source| self.io("write", source);
        if let Some(parent) = self.folder() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let temporary = PathBuf::from(name);
        let _ = fs::remove_file(&temporary);
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(temporary)
    }

    fn sync_folder(&self) -> Result<(), KeyError> {
        let folder = self.folder().unwrap_or(Path::new("."));
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| self.io("write", error))
    }

    fn folder(&self) -> Option<&Path> {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty())
    }

    fn io(&self, act: &'static str, source: io::Error) -> KeyError {
        KeyError::Io { act, path: self.shown(), source }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

fn is_key_line(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

fn fresh_key() -> Result<Zeroizing<String>, KeyError> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| KeyError::NoRandomness)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
    for byte in *bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    Ok(text)
}

fn read_key(line: &str) -> Result<Sensitive, String> {
    let digits = line.len();
    if digits != 2 * KEY_BYTES {
        return Err(format!("it has {digits} characters"));
    }
    let mut key = Vec::with_capacity(KEY_BYTES);
    for pair in line.as_bytes().chunks_exact(2) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err("it holds something else than hexadecimal digits".to_owned());
        };
        key.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    Ok(Sensitive::new(key))
}
