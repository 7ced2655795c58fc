//! Packs a function's folder as a tar archive, the same bytes for the same
//! files: sorted by name, without times, owners or other people's modes.
//!
//! An archive is named by its digest, so equal folders are uploaded once and a
//! change of `gapless.yaml` alone uploads nothing (the declaration is not part
//! of the archive). Everything else in the folder goes in, `node_modules`
//! included, because a program may need it; [`NEVER`] and the folder's
//! `.gaplessignore` (in the syntax of `.gitignore`) say what does not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Outcome};
use crate::output;

/// Largest artifact that is uploaded.
pub(crate) const ARTIFACT_BYTES_MAX: u64 = 1 << 30;
/// Most files, folders and links in an archive; a node unpacks no more.
const ENTRIES_MAX: usize = 200_000;
/// The name of the folder's own list of what to leave out.
const IGNORE_FILE: &str = ".gaplessignore";
/// What is left out unless the folder's list says otherwise (`!target/`).
const NEVER: &[&str] =
    &[".git/", ".hg/", ".svn/", "target/", "__pycache__/", ".DS_Store", "/.gaplessignore"];

/// What is uploaded, and the name it is stored under.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// Its bytes, from the beginning.
    pub(crate) file: File,
    /// How many.
    pub(crate) size_bytes: u64,
    /// `sha256:HEX`.
    pub(crate) digest: String,
    /// Files in it, without folders and links.
    pub(crate) files: usize,
    /// What could not be packed (sockets, devices), by path.
    pub(crate) left_out: Vec<PathBuf>,
}

/// The artifact that is `path` itself.
pub(crate) fn file(path: &Path) -> Outcome<Artifact> {
    let failed = |why: String| Failure::new(format!("cannot read {}", path.display()), why);
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("it does not exist".to_owned())
            .help("build the component first, or correct spec.wasm in gapless.yaml"),
        _ => failed(error.to_string()),
    })?;
    let metadata = file.metadata().map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    check_size(path, metadata.len())?;
    let mut digest = Sha256::new();
    let size_bytes = io::copy(&mut file, &mut digest).map_err(|error| failed(error.to_string()))?;
    file.rewind().map_err(|error| failed(error.to_string()))?;
    Ok(Artifact { file, size_bytes, digest: name(digest), files: 1, left_out: Vec::new() })
}

/// The archive of `folder`, without the declaration `manifest`.
pub(crate) fn folder(folder: &Path, manifest: &Path) -> Outcome<Artifact> {
    let failed =
        |error: io::Error| Failure::new(format!("cannot pack {}", folder.display()), error);
    let scratch = tempfile::tempfile().map_err(|error| {
        failed(error).help("packing needs a writable temporary folder; set TMPDIR to one")
    })?;
    let mut packer = Packer {
        root: folder.to_owned(),
        manifest: manifest.to_owned(),
        ignored: ignored(folder)?,
        tar: tar::Builder::new(Hashing { file: scratch, digest: Sha256::new(), size_bytes: 0 }),
        entries: 0,
        files: 0,
        left_out: Vec::new(),
    };
    packer.tar.sparse(false);
    packer.folder(Path::new(""))?;
    let written = packer.tar.into_inner().map_err(failed)?;
    let Hashing { mut file, digest, size_bytes } = written;
    file.rewind().map_err(failed)?;
    let left_out = packer.left_out;
    Ok(Artifact { file, size_bytes, digest: name(digest), files: packer.files, left_out })
}

fn name(digest: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in digest.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn check_size(path: &Path, size_bytes: u64) -> Outcome {
    if size_bytes <= ARTIFACT_BYTES_MAX {
        return Ok(());
    }
    let why = format!(
        "it has more than {} (at least {})",
        output::bytes(ARTIFACT_BYTES_MAX),
        output::bytes(size_bytes)
    );
    Err(Failure::new(format!("{} is too large", path.display()), why)
        .help(format!("leave out what the function does not need: list it in {IGNORE_FILE}")))
}

fn ignored(folder: &Path) -> Outcome<Gitignore> {
    let mut builder = GitignoreBuilder::new(folder);
    for line in NEVER {
        builder.add_line(None, line).expect("a constant pattern");
    }
    let file = folder.join(IGNORE_FILE);
    if file.exists()
        && let Some(error) = builder.add(&file)
    {
        return Err(Failure::new(format!("cannot read {}", file.display()), error));
    }
    builder.build().map_err(|error| Failure::new(format!("cannot read {}", file.display()), error))
}

/// Writes an archive.
struct Packer {
    root: PathBuf,
    manifest: PathBuf,
    ignored: Gitignore,
    tar: tar::Builder<Hashing>,
    entries: usize,
    files: usize,
    left_out: Vec<PathBuf>,
}

impl Packer {
    /// Adds what is in the folder `inside`, relative to the root.
    fn folder(&mut self, inside: &Path) -> Outcome {
        let path = self.root.join(inside);
        let failed =
            |error: io::Error| Failure::new(format!("cannot read {}", path.display()), error);
        let entries: Result<Vec<_>, _> = fs::read_dir(&path).map_err(failed)?.collect();
        let mut entries = entries.map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(failed)?;
            let inside = inside.join(entry.file_name());
            let path = entry.path();
            if path == self.manifest || self.ignored.matched(&inside, kind.is_dir()).is_ignore() {
                continue;
            }
            self.count(&path)?;
            if kind.is_dir() {
                self.entry(tar::EntryType::Directory, &inside, 0o755, 0, io::empty())?;
                self.folder(&inside)?;
            } else if kind.is_symlink() {
                self.link(&path, &inside)?;
            } else if kind.is_file() {
                self.file(&path, &inside)?;
            } else {
                self.left_out.push(inside);
            }
        }
        Ok(())
    }

    fn count(&mut self, path: &Path) -> Outcome {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            let what = format!("{} is too large", self.root.display());
            let why = format!("it has more than {ENTRIES_MAX} files; at {}", path.display());
            return Err(
                Failure::new(what, why).help(format!("list what to leave out in {IGNORE_FILE}"))
            );
        }
        check_size(&self.root, self.tar.get_ref().size_bytes)
    }

    fn file(&mut self, path: &Path, inside: &Path) -> Outcome {
        let failed =
            |error: io::Error| Failure::new(format!("cannot read {}", path.display()), error);
        self.files += 1;
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        check_size(&self.root, self.tar.get_ref().size_bytes + metadata.len())?;
        let mode = if is_executable(&metadata) { 0o755 } else { 0o644 };
        let size = metadata.len();
        // A file that shrinks while it is packed would misplace all that follows.
        let exact = Exact { file: file.take(size), missing: size };
        self.entry(tar::EntryType::Regular, inside, mode, size, exact)
    }

    fn link(&mut self, path: &Path, inside: &Path) -> Outcome {
        let target = fs::read_link(path)
            .map_err(|error| Failure::new(format!("cannot read {}", path.display()), error))?;
        if !stays_inside(inside, &target) {
            let what = format!("cannot pack {}", path.display());
            let why = format!("it is a link to {}, outside the folder", target.display());
            return Err(Failure::new(what, why)
                .help(format!("copy what it points to, or list it in {IGNORE_FILE}")));
        }
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        self.tar
            .append_link(&mut header, inside, &target)
            .map_err(|error| Failure::new(format!("cannot pack {}", path.display()), error))
    }

    fn entry(
        &mut self,
        kind: tar::EntryType,
        inside: &Path,
        mode: u32,
        size: u64,
        data: impl Read,
    ) -> Outcome {
        let mut header = header(kind, mode, size);
        self.tar
            .append_data(&mut header, inside, data)
            .map_err(|error| Failure::new(format!("cannot pack {}", inside.display()), error))
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Whether the link `inside` to `target` ends in the folder it is in.
fn stays_inside(inside: &Path, target: &Path) -> bool {
    let mut depth = inside.components().count() as i64 - 1;
    for part in target.components() {
        match part {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::ParentDir => depth -= 1,
            std::path::Component::CurDir => {}
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

/// Reads exactly as many bytes as the header says, or fails.
struct Exact {
    file: io::Take<File>,
    missing: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.missing -= read as u64;
        if read == 0 && !buffer.is_empty() && self.missing > 0 {
            return Err(io::Error::other("it changed while it was read; try again"));
        }
        Ok(read)
    }
}

/// A file that digests what is written to it.
struct Hashing {
    file: File,
    digest: Sha256,
    size_bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
