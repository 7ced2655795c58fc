//! Unpacks a deployed folder's tar archive, which came over the network.
//!
//! What always holds: nothing is written outside the target folder, whatever the
//! archive says. Names are checked before anything is made (relative, no `..`);
//! links are made last, so no file is ever written through one; each link is then
//! followed and must end inside. Devices, pipes and hard links are refused by
//! name. Everything comes out readable and without write permission.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use tar::{Archive, Entry, EntryType};

use crate::spawn::is_open_for_writing;

/// How long unpacked programs may stay open for writing before that is left to show.
const SETTLE_MAX: Duration = Duration::from_secs(5);
const SETTLE_LOOK: Duration = Duration::from_millis(1);

/// Bounds of what an archive may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: u64,
    pub(crate) entries_max: u64,
}

/// Why an archive was not unpacked.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The archive is at fault; a clause for people.
    Bad(String),
    /// This machine is.
    Failed(String),
}

use UnpackError::{Bad, Failed};

/// Unpacks `archive` to `target`, which must not exist. Something may be there
/// after an error; the caller removes it.
pub(crate) fn unpack(archive: &Path, target: &Path, bounds: Bounds) -> Result<(), UnpackError> {
    let file = fs::File::open(archive)
        .map_err(|error| Failed(format!("cannot read {}: {error}", archive.display())))?;
    let mut unpacking = Unpacking {
        target,
        bounds,
        bytes: 0,
        entries: 0,
        links: BTreeMap::new(),
        folders: Vec::new(),
        programs: Vec::new(),
    };
    unpacking.make_folder(target)?;
    let mut archive = Archive::new(io::BufReader::with_capacity(64 << 10, file));
    for entry in archive.entries().map_err(damaged)? {
        unpacking.take(&mut entry.map_err(damaged)?)?;
    }
    unpacking.make_links()?;
    unpacking.settle()?;
    // Last, because a folder without write permission takes no files.
    for folder in unpacking.folders.iter().rev() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555))
            .map_err(|error| failed(folder, error))?;
    }
    Ok(())
}

fn damaged(error: io::Error) -> UnpackError {
    Bad(format!("is not a whole tar archive ({error})"))
}

fn failed(path: &Path, error: io::Error) -> UnpackError {
    Failed(format!("cannot write {}: {error}", path.display()))
}

struct Unpacking<'a> {
    target: &'a Path,
    bounds: Bounds,
    bytes: u64,
    entries: u64,
    /// Links to be made, with their targets, by path.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Made, parents first.
    folders: Vec<PathBuf>,
    /// Files that may be executed.
    programs: Vec<PathBuf>,
}

impl Unpacking<'_> {
    fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.bounds.entries_max {
            let max = self.bounds.entries_max;
            return Err(Bad(format!("has more than {max} files and folders")));
        }
        let name = entry.path().map_err(damaged)?.into_owned();
        let Some(inner) = inner_path(&name) else {
            let name = name.display();
            return Err(Bad(format!("names {name:?}, which is not inside the folder")));
        };
        let path = self.target.join(&inner);
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => Ok(()),
            EntryType::Directory => self.make_folder(&path),
            EntryType::Symlink => {
                let link = entry.link_name().map_err(damaged)?;
                let link = link.ok_or_else(|| Bad(format!("has a link {name:?} to nothing")))?;
                self.links.insert(path, link.into_owned());
                Ok(())
            }
            kind if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                self.write_file(&path, entry)
            }
            kind => Err(Bad(format!(
                "has {name:?} of a kind that is not allowed (tar type {:?}); \
                 only files, folders and symbolic links are",
                char::from(kind.as_byte())
            ))),
        }
    }

    fn make_folder(&mut self, path: &Path) -> Result<(), UnpackError> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent()
            && path != self.target
        {
            self.make_folder(parent)?;
        }
        DirBuilder::new().mode(0o700).create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Bad(format!("uses {:?} both as a file and as a folder", self.name_of(path)))
            }
            _ => failed(path, error),
        })?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    fn write_file<R: Read>(
        &mut self,
        path: &Path,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), UnpackError> {
        if path == self.target {
            return Err(Bad("has a file without a name".to_owned()));
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        let mode = entry.header().mode().unwrap_or(0o644) & 0o555 | 0o444;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Bad(format!("has {:?} twice", self.name_of(path))),
            _ => failed(path, error),
        })?;
        let left = self.bounds.bytes_max - self.bytes;
        let size = entry.size();
        let copied = io::copy(&mut entry.take(left + 1), &mut file).map_err(|error| match error
            .raw_os_error()
        {
            Some(_) => failed(path, error),
            None => damaged(error),
        })?;
        if copied > left {
            let max = gapless_types::Bytes(self.bounds.bytes_max);
            return Err(Bad(format!("is larger than {max} unpacked")));
        }
        if copied < size {
            return Err(Bad(format!("ends in the middle of {:?}", self.name_of(path))));
        }
        self.bytes += copied;
        if mode & 0o111 != 0 {
            self.programs.push(path.to_owned());
        }
        Ok(())
    }

    fn make_links(&mut self) -> Result<(), UnpackError> {
        let links = std::mem::take(&mut self.links);
        for (path, to) in &links {
            if let Some(parent) = path.parent() {
                self.make_folder(parent)?;
            }
            symlink(to, path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Bad(format!("has {:?} twice", self.name_of(path))),
                _ => failed(path, error),
            })?;
        }
        let target = self.target.canonicalize().map_err(|error| failed(self.target, error))?;
        for (path, to) in &links {
            let is_inside = path.canonicalize().is_ok_and(|end| end.starts_with(&target));
            if to.is_absolute() || !is_inside {
                return Err(Bad(format!(
                    "has a link {:?} to {:?}, which is not in the folder",
                    self.name_of(path),
                    to.display()
                )));
            }
        }
        Ok(())
    }

    /// Waits until nobody has a program open for writing, because until then it
    /// cannot be executed. We have closed it, but a process that was between fork and
    /// exec meanwhile holds a copy of the descriptor until its exec.
    fn settle(&self) -> Result<(), UnpackError> {
        let deadline = Instant::now() + SETTLE_MAX;
        for path in &self.programs {
            let file = fs::File::open(path).map_err(|error| failed(path, error))?;
            while is_open_for_writing(&file) && Instant::now() < deadline {
                std::thread::sleep(SETTLE_LOOK);
            }
        }
        Ok(())
    }

    fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(self.target).unwrap_or(path).display().to_string()
    }
}

/// The path inside the folder; `None` when it would lead out of it.
fn inner_path(name: &Path) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => inner.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inner)
}

#[cfg(test)]
mod tests;
