//! The data folder: made if it is not there, and held by one process.
//!
//! The lock is an advisory lock on `gapless.lock`, which the kernel gives back
//! when the process ends however it ends; the file's text only names the holder,
//! so that the one who is refused can say who has it. A pid file alone would
//! outlive a killed process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use gapless_store::StoreError;

const LOCK_FILE: &str = "gapless.lock";
/// How much of the lock file is read to learn the holder's pid.
const PID_BYTES_MAX: u64 = 20;

/// A folder that this process alone uses, until the value is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Makes the folder and takes its lock.
pub(crate) fn hold(folder: &Path) -> Result<FolderLock, StoreError> {
    make(folder).map_err(|why| unusable("cannot make", folder, &why))?;
    let path = folder.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|why| unusable("cannot write in", folder, &why))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
        Err(TryLockError::Error(why)) => return Err(unusable("cannot lock", folder, &why)),
    }
    write_pid(&mut file).map_err(|why| unusable("cannot write in", folder, &why))?;
    Ok(FolderLock { _file: file })
}

/// Makes a folder, durably, with those above it that are missing.
pub(crate) fn make(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    make(above)?;
    match fs::create_dir(folder) {
        Err(why) if !folder.is_dir() => return Err(why),
        _ => {}
    }
    File::open(above)?.sync_all()
}

/// What the person is told whose data folder cannot be used.
pub(crate) fn unusable(what: &str, folder: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed {
        what: format!("{what} data folder {}", folder.display()),
        why: format!("{why}; choose a folder you can write to with --data-dir"),
    }
}

/// The error for a folder that another process holds.
pub(crate) fn in_use(folder: &Path, lock_file: &mut File) -> StoreError {
    let mut text = String::new();
    // The holder may not have written its pid yet, or not be readable: then it has no name.
    let _ = lock_file.take(PID_BYTES_MAX).read_to_string(&mut text);
    let pid = text.trim();
    let known = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    StoreError::InUse {
        folder: folder.display().to_string(),
        pid: if known { pid.to_owned() } else { "unknown".to_owned() },
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_is_refused_by_pid_and_free_again_after() {
        let folder = tempfile::tempdir().unwrap();
        let held = hold(folder.path()).unwrap();
        let error = hold(folder.path()).unwrap_err();
        let (path, pid) = (folder.path().display(), std::process::id());
        let start = format!("data folder {path} is in use by another gapless (pid {pid})");
        assert!(error.to_string().starts_with(&start), "{error}");
        drop(held);
        hold(folder.path()).unwrap();
    }

    #[test]
    fn a_left_over_lock_file_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK_FILE), "4194304000 and more than a pid\n").unwrap();
        drop(hold(folder.path()).unwrap());
        let text = fs::read_to_string(folder.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = hold(&file.join("data")).unwrap_err().to_string();
        assert!(error.starts_with("cannot make data folder "), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
    }
}
