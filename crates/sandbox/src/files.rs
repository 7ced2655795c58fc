//! Lays out the files of an instance in a folder that only its owner may enter, in
//! memory where the machine has a memory file system.
//!
//! ```text
//! /dev/shm/gapless-UID/          or BASE/files where that is not to be had
//!   PID-N.lock                   held by one driver as long as it lives
//!   PID-N/KEY/NAME...            an instance's files: folders 0500, files 0400
//! ```
//!
//! Files of secrets had better never reach a disk: they are sealed there. What a
//! driver that was killed left behind is cleared by the next that opens the root.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gapless_proto::Entries;
use rustix::fs::statfs;

/// Where Linux has a file system in memory for every user (`shm_overview(7)`).
const MEMORY: &str = "/dev/shm";
/// `f_type` of one (`statfs(2)`, `TMPFS_MAGIC`).
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// The variable that names an instance's folder.
pub const FILES_VARIABLE: &str = "GAPLESS_FILES";

static DRIVERS: AtomicU64 = AtomicU64::new(0);

/// Where one driver lays out files. Gone, with all of them, when it is dropped.
#[derive(Debug)]
pub struct FilesRoot {
    folder: PathBuf,
    lock_path: PathBuf,
    next: AtomicU64,
    live: AtomicUsize,
    /// Unlocked when dropped.
    _lock: File,
}

impl FilesRoot {
    /// Opens a place: in memory, or in `base` where that is not to be had.
    pub fn open(base: &Path) -> io::Result<Arc<Self>> {
        let own = rustix::process::geteuid().as_raw();
        let in_memory = Path::new(MEMORY).join(format!("gapless-{own}"));
        if is_memory(Path::new(MEMORY))
            && private_folder(&in_memory).is_ok()
            && let Ok(root) = Self::open_in(&in_memory)
        {
            return Ok(Arc::new(root));
        }
        let on_disk = base.join("files");
        private_folder(&on_disk)?;
        Self::open_in(&on_disk).map(Arc::new)
    }

    fn open_in(root: &Path) -> io::Result<Self> {
        sweep(root);
        // A sweep of another process may take a fresh lock; then the next name is tried.
        for _ in 0..16 {
            let number = DRIVERS.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", std::process::id());
            let lock_path = root.join(format!("{name}.lock"));
            let lock = File::create(&lock_path)?;
            if lock.try_lock().is_ok() && lock_path.exists() {
                let folder = root.join(name);
                remove(&folder);
                DirBuilder::new().mode(0o700).create(&folder)?;
                let (next, live) = (AtomicU64::new(0), AtomicUsize::new(0));
                return Ok(FilesRoot { folder, lock_path, next, live, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "every name tried for a folder is taken"))
    }

    /// Writes an instance's files into a folder of its own. Names are relative, without
    /// `.` and `..`; others are refused.
    pub fn lay_out(self: &Arc<Self>, files: &Entries) -> io::Result<FilesFolder> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{key:x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        self.live.fetch_add(1, Ordering::Relaxed);
        let folder = FilesFolder { path, root: Arc::clone(self) };
        let mut folders = BTreeSet::from([folder.path.clone()]);
        for (name, value) in files {
            if !name.split('/').all(|part| !matches!(part, "" | "." | "..")) {
                let message = format!("{name:?} is not a file's name");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            let file = folder.path.join(name);
            let mut parent = file.parent();
            while let Some(inner) = parent.filter(|inner| *inner != folder.path) {
                folders.insert(inner.to_owned());
                parent = inner.parent();
            }
            if let Some(parent) = file.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut open = OpenOptions::new();
            open.write(true).create_new(true).mode(0o400).open(&file)?.write_all(value.expose())?;
        }
        for inner in folders.iter().rev() {
            fs::set_permissions(inner, Permissions::from_mode(0o500))?;
        }
        Ok(folder)
    }
}

impl FilesRoot {
    /// How many instances' files there are.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

impl Drop for FilesRoot {
    fn drop(&mut self) {
        remove(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// One instance's files. Gone when this is dropped.
#[derive(Debug)]
pub struct FilesFolder {
    path: PathBuf,
    root: Arc<FilesRoot>,
}

impl FilesFolder {
    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FilesFolder {
    fn drop(&mut self) {
        remove(&self.path);
        self.root.live.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS_MAGIC))
}

/// A folder of this user's that nobody else may enter. One that is there already and
/// is anything else is refused: everybody may write to a memory file system.
fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = path.symlink_metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if found.is_dir() && found.uid() == own && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("{} is not a private folder of this user", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Clears what drivers that are no more left behind.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        // Not created: one that is gone meanwhile is another's work.
        let Ok(lock) = OpenOptions::new().write(true).open(&path) else { continue };
        if lock.try_lock().is_ok() {
            remove(&path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}

/// Removes a folder, also one without write permission.
fn remove(folder: &Path) {
    if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
        return;
    }
    make_writable(folder);
    let _ = fs::remove_dir_all(folder);
}

fn make_writable(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use gapless_types::Sensitive;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().mode() & 0o777
    }

    fn entries(names: &[&str]) -> Entries {
        names.iter().map(|name| ((*name).to_owned(), Sensitive::from(*name))).collect()
    }

    #[test]
    fn files_are_private_and_go_with_their_owner() {
        let base = tempfile::tempdir().unwrap();
        let root = FilesRoot::open(base.path()).unwrap();
        let folder = root.lay_out(&entries(&["a", "tls/deep/key", "tls/cert"])).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::read(path.join("tls/deep/key")).unwrap(), b"tls/deep/key");
        for (inner, expected) in [("", 0o500), ("tls", 0o500), ("tls/deep", 0o500), ("a", 0o400)] {
            assert_eq!(mode(&path.join(inner)), expected, "{inner}");
        }
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        drop(folder);
        assert!(!path.exists());
        let other = root.lay_out(&entries(&["b"])).unwrap();
        let whole = root.folder.clone();
        drop((other, root));
        assert!(!whole.exists() && !whole.with_extension("lock").exists());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let root = FilesRoot::open(base.path()).unwrap();
        for name in ["../a", "/a", "a//b", "a/./b", ""] {
            assert!(root.lay_out(&entries(&[name])).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(&root.folder).unwrap().count(), 0, "nothing is left of them");
    }

    #[test]
    fn what_a_killed_driver_left_is_cleared_and_what_lives_is_not() {
        let base = tempfile::tempdir().unwrap();
        let live = FilesRoot::open_in(base.path()).unwrap();
        let left = base.path().join("1-0");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("secret"), "x").unwrap();
        fs::write(base.path().join("1-0.lock"), "").unwrap();
        let next = FilesRoot::open_in(base.path()).unwrap();
        assert!(!left.exists());
        assert!(live.folder.exists() && next.folder.exists());
    }

    #[test]
    fn a_folder_others_may_enter_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        assert!(private_folder(&open).is_err());
        let link = base.path().join("link");
        std::os::unix::fs::symlink(base.path(), &link).unwrap();
        assert!(private_folder(&link).is_err());
    }
}
