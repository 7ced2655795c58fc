//! The driver's folder on disk, and getting rid of what is in it.
//!
//! ```text
//! RUN_DIR/lock                held by the driver that uses the folder
//!         revisions/N         a deployed folder, unpacked
//!         instances/KEY       an instance's scratch folder
//!         sockets/KEY.sock    its Unix socket
//!         trash/N             on its way out
//! ```
//!
//! Nothing here survives a restart: the folders of a run that ended are renamed
//! into `trash` (quick, whatever their size) and removed in the background.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Longest path of a Unix socket (`sun_path`, less its NUL).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How often and how far apart a lock that is held is tried.
const LOCK_TRIES_MAX: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The folder, locked.
#[derive(Debug)]
pub(crate) struct RunDir {
    root: PathBuf,
    trash: Arc<Trash>,
    next: AtomicU64,
    /// Unlocked when dropped.
    _lock: File,
}

impl RunDir {
    /// Takes the folder over, and clears what an earlier run left.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        create_private(root).map_err(|error| within("create the run folder", root, error))?;
        let root = root.canonicalize()?;
        let lock = File::create(root.join("lock"))
            .map_err(|error| within("write to the run folder", &root, error))?;
        take_lock(&lock, &root)?;
        let trash = Arc::new(Trash::open(root.join("trash"))?);
        for name in ["revisions", "instances", "sockets"] {
            let folder = root.join(name);
            if folder.symlink_metadata().is_ok() {
                trash.discard(&folder);
            }
            create_private(&folder).map_err(|error| within("create", &folder, error))?;
        }
        let run_dir = RunDir { root, trash, next: AtomicU64::new(0), _lock: lock };
        let longest = run_dir.socket(u64::MAX);
        if longest.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let message = format!(
                "the run folder's path is too long for Unix sockets: {} would have {} bytes, \
                 {SOCKET_PATH_BYTES_MAX} are allowed; choose a data folder with a shorter path",
                longest.display(),
                longest.as_os_str().len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        Ok(run_dir)
    }

    /// A fresh path for an unpacked folder.
    pub(crate) fn new_revision(&self) -> PathBuf {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.join("revisions").join(next.to_string())
    }

    /// Where sockets are.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.root.join("sockets")
    }

    /// An instance's socket.
    pub(crate) fn socket(&self, key: u64) -> PathBuf {
        self.root.join("sockets").join(format!("{key:x}.sock"))
    }

    /// An instance's scratch folder.
    pub(crate) fn scratch(&self, key: u64) -> PathBuf {
        self.root.join("instances").join(format!("{key:x}"))
    }

    /// Gets rid of things.
    pub(crate) fn trash(&self) -> &Arc<Trash> {
        &self.trash
    }
}

/// Reads an instance's key back from its socket's file name.
pub(crate) fn key_of_socket(file_name: &[u8]) -> Option<u64> {
    let hex = std::str::from_utf8(file_name.strip_suffix(b".sock")?).ok()?;
    u64::from_str_radix(hex, 16).ok()
}

/// Locks for as long as the file is open. A process that is between fork and exec
/// when a lock is let go holds a copy of it for a moment, so this tries for a while.
fn take_lock(lock: &File, root: &Path) -> io::Result<()> {
    for _ in 0..LOCK_TRIES_MAX {
        if lock.try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    let message = format!(
        "the run folder {} is in use by another gapless process; \
         stop that one or choose another data folder",
        root.display()
    );
    Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
}

/// Makes a folder nobody else may enter, with its parents.
fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

fn within(act: &str, path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {act} {}: {error}", path.display()))
}

/// Removes folders, large ones without making anybody wait.
#[derive(Debug)]
pub(crate) struct Trash {
    folder: PathBuf,
    next: AtomicU64,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// Renamed and to be removed. Bounded by what was on disk.
    pending: VecDeque<PathBuf>,
    has_thread: bool,
}

impl Trash {
    fn open(folder: PathBuf) -> io::Result<Self> {
        create_private(&folder).map_err(|error| within("create", &folder, error))?;
        let trash = Trash { folder, next: AtomicU64::new(0), work: Mutex::default() };
        // What an earlier run had not finished is removed here, before its names are reused.
        for entry in fs::read_dir(&trash.folder)? {
            remove(&entry?.path());
        }
        Ok(trash)
    }

    /// Takes `path` out of its place now; its content goes in the background.
    pub(crate) fn discard(self: &Arc<Self>, path: &Path) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let renamed = self.folder.join(next.to_string());
        if let Err(error) = fs::rename(path, &renamed) {
            if error.kind() != io::ErrorKind::NotFound {
                remove(path);
            }
            return;
        }
        let needs_thread = {
            let mut work = self.work.lock();
            work.pending.push_back(renamed);
            !std::mem::replace(&mut work.has_thread, true)
        };
        if needs_thread {
            let trash = self.clone();
            let thread = std::thread::Builder::new().name("gapless-trash".to_owned());
            if thread.spawn(move || trash.sweep()).is_err() {
                self.sweep();
            }
        }
    }

    fn sweep(&self) {
        loop {
            let path = {
                let mut work = self.work.lock();
                let Some(path) = work.pending.pop_front() else {
                    work.has_thread = false;
                    return;
                };
                path
            };
            remove(&path);
        }
    }
}

/// Removes a file or a whole folder, also one without write permission.
fn remove(path: &Path) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let result = if metadata.is_dir() {
        fs::remove_dir_all(path).or_else(|_| {
            make_writable(path);
            fs::remove_dir_all(path)
        })
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = result {
        tracing::warn!(path = %path.display(), %error, "cannot remove what an instance left");
    }
}

fn make_writable(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Removes an instance's scratch folder: at once when it is empty, as most are.
pub(crate) fn remove_scratch(trash: &Arc<Trash>, scratch: &Path) {
    if fs::remove_dir(scratch).is_err() {
        trash.discard(scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_an_earlier_run_left_is_cleared() {
        let root = tempfile::tempdir().unwrap();
        let run_dir = RunDir::open(root.path()).unwrap();
        fs::write(run_dir.socket(7), "").unwrap();
        fs::create_dir(run_dir.scratch(7)).unwrap();
        let read_only = run_dir.new_revision();
        fs::create_dir_all(read_only.join("inner")).unwrap();
        fs::write(read_only.join("inner/file"), "x").unwrap();
        fs::set_permissions(read_only.join("inner"), fs::Permissions::from_mode(0o555)).unwrap();
        drop(run_dir);

        let again = RunDir::open(root.path()).unwrap();
        for name in ["revisions", "instances", "sockets"] {
            assert_eq!(names(&root.path().join(name)), Vec::<String>::new(), "{name}");
        }
        while again.trash.work.lock().has_thread {
            std::thread::yield_now();
        }
        assert_eq!(names(&root.path().join("trash")), Vec::<String>::new());
    }

    #[test]
    fn a_folder_serves_one_driver_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = RunDir::open(root.path()).unwrap();
        let error = RunDir::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another gapless process"), "{error}");
        drop(first);
        RunDir::open(root.path()).unwrap();
    }

    #[test]
    fn a_path_too_long_for_sockets_is_refused_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("x".repeat(120));
        let error = RunDir::open(&long).unwrap_err().to_string();
        assert!(error.contains("shorter path"), "{error}");
    }

    #[test]
    fn a_socket_names_its_instance() {
        assert_eq!(key_of_socket(b"2a.sock"), Some(42));
        for other in [&b"2a"[..], b"x.sock", b".sock", b"2a.sock.tmp"] {
            assert_eq!(key_of_socket(other), None);
        }
    }
}
