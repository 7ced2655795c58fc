//! [`ArtifactStore`]: uploaded code, named by its digest.
//!
//! An upload is written to a file of its own while it is hashed, checked against
//! the digest it claims, made durable, and only then renamed to its name. So a
//! file under `artifacts/sha256/` is whole and right, and uploading twice is
//! uploading once. Which artifacts are of use is the caller's knowledge
//! ([`ArtifactStore::retain`], [`ArtifactStore::remove`]).

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::folder;

/// Largest artifact, unless another bound is given.
pub const ARTIFACT_BYTES_MAX: u64 = 1 << 30;

/// Why an artifact could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The name is not `sha256:` and 64 lower-case hex digits.
    #[error("{0:?} is not a digest: expected sha256: and 64 lower-case hex digits")]
    BadDigest(String),
    /// More bytes than an artifact may have.
    #[error("the artifact is larger than {bytes_max} bytes, the most one may have")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The bytes are not those that the name promises.
    #[error("the bytes have digest {found}, not {expected}: the upload was damaged or misnamed")]
    Mismatch {
        /// What the name says.
        expected: String,
        /// What the bytes say.
        found: String,
    },
    /// The disk did not do it.
    #[error("cannot store the artifact in {folder}")]
    Disk {
        /// Where.
        folder: String,
        /// Why.
        #[source]
        why: io::Error,
    },
}

/// Artifacts by digest, below a data folder. Calls block while the disk works.
#[derive(Debug)]
pub struct ArtifactStore {
    /// Whole artifacts, by the hex digits of their digest.
    folder: PathBuf,
    /// Uploads under way.
    uploads: PathBuf,
    bytes_max: u64,
    next_upload: AtomicU64,
}

impl ArtifactStore {
    /// Opens the artifacts of `data_dir`, which this process alone uses, and
    /// removes uploads that a former process did not finish.
    pub fn open(data_dir: &Path, bytes_max: u64) -> Result<Arc<Self>, ArtifactError> {
        let folder = data_dir.join("artifacts").join("sha256");
        let uploads = data_dir.join("artifacts").join("uploads");
        let store = ArtifactStore { folder, uploads, bytes_max, next_upload: AtomicU64::new(0) };
        store.make_folders().map_err(|why| store.disk(why))?;
        Ok(Arc::new(store))
    }

    /// Where the artifact `digest` is or would be; `None` if that is no digest.
    pub fn path(&self, digest: &str) -> Option<PathBuf> {
        hex(digest).map(|hex| self.folder.join(hex))
    }

    /// Whether the artifact is there.
    pub fn contains(&self, digest: &str) -> bool {
        self.path(digest).is_some_and(|path| path.is_file())
    }

    /// Begins an upload that must turn out to have this digest.
    pub fn begin(self: &Arc<Self>, digest: &str) -> Result<ArtifactWriter, ArtifactError> {
        if hex(digest).is_none() {
            return Err(ArtifactError::BadDigest(digest.to_owned()));
        }
        let number = self.next_upload.fetch_add(1, Ordering::Relaxed);
        let path = self.uploads.join(number.to_string());
        let file = File::create(&path).map_err(|why| self.disk(why))?;
        Ok(ArtifactWriter {
            store: Arc::clone(self),
            digest: digest.to_owned(),
            unfinished: Unfinished(path),
            file,
            hasher: Sha256::new(),
            bytes: 0,
        })
    }

    /// Removes an artifact; one that is not there is already removed.
    pub fn remove(&self, digest: &str) -> Result<(), ArtifactError> {
        let Some(path) = self.path(digest) else {
            return Ok(());
        };
        match fs::remove_file(path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(self.disk(why)),
            _ => Ok(()),
        }
    }

    /// Removes every artifact that is not one of `digests`, and says how many.
    pub fn retain(&self, digests: &HashSet<String>) -> Result<usize, ArtifactError> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder).map_err(|why| self.disk(why))? {
            let entry = entry.map_err(|why| self.disk(why))?;
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
            if !digests.contains(&digest) {
                fs::remove_file(entry.path()).map_err(|why| self.disk(why))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn make_folders(&self) -> io::Result<()> {
        folder::make(&self.folder)?;
        match fs::remove_dir_all(&self.uploads) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        folder::make(&self.uploads)
    }

    fn disk(&self, why: io::Error) -> ArtifactError {
        ArtifactError::Disk { folder: self.folder.display().to_string(), why }
    }
}

/// An upload under way. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    store: Arc<ArtifactStore>,
    digest: String,
    file: File,
    hasher: Sha256,
    bytes: u64,
    unfinished: Unfinished,
}

impl ArtifactWriter {
    /// The next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.bytes += bytes.len() as u64;
        let bytes_max = self.store.bytes_max;
        if self.bytes > bytes_max {
            return Err(ArtifactError::TooLarge { bytes_max });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|why| self.store.disk(why))
    }

    /// Checks the digest and makes the artifact durable. Returns its size.
    pub fn finish(self) -> Result<u64, ArtifactError> {
        let found = format!("sha256:{:x}", self.hasher.finalize());
        if found != self.digest {
            return Err(ArtifactError::Mismatch { expected: self.digest, found });
        }
        let store = &self.store;
        let target = store.path(&found).expect("a digest just computed is well-formed");
        let made = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.unfinished.0, target))
            .and_then(|()| File::open(&store.folder)?.sync_all());
        made.map_err(|why| store.disk(why))?;
        Ok(self.bytes)
    }
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Not there any more is the good case: it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}

fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (hex.len() == 64 && hex.bytes().all(is_hex)).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn store(bytes_max: u64) -> (tempfile::TempDir, Arc<ArtifactStore>) {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path(), bytes_max).unwrap();
        (folder, store)
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn an_upload_is_there_whole_and_once() {
        let (_folder, store) = store(3);
        for _ in 0..2 {
            let mut upload = store.begin(ABC).unwrap();
            upload.write(b"a").unwrap();
            upload.write(b"bc").unwrap();
            assert_eq!(upload.finish().unwrap(), 3);
        }
        assert!(store.contains(ABC));
        assert_eq!(fs::read(store.path(ABC).unwrap()).unwrap(), b"abc");
        assert_eq!((files(&store.folder), files(&store.uploads)), (1, 0));
    }

    #[test]
    fn a_wrong_large_or_dropped_upload_leaves_nothing() {
        let (_folder, store) = store(3);
        let mut upload = store.begin(ABC).unwrap();
        upload.write(b"abd").unwrap();
        assert!(matches!(upload.finish(), Err(ArtifactError::Mismatch { .. })));
        let mut upload = store.begin(ABC).unwrap();
        assert!(matches!(upload.write(b"abcd"), Err(ArtifactError::TooLarge { bytes_max: 3 })));
        drop(upload);
        assert!(!store.contains(ABC));
        assert_eq!((files(&store.folder), files(&store.uploads)), (0, 0));
    }

    #[test]
    fn a_name_that_is_no_digest_is_refused() {
        let (_folder, store) = store(3);
        let shouted = ABC.to_uppercase();
        for name in ["", "abc", "sha256:", "sha256:../../../etc/passwd", shouted.as_str()] {
            assert!(matches!(store.begin(name), Err(ArtifactError::BadDigest(_))), "{name}");
            assert!(!store.contains(name));
        }
    }

    #[test]
    fn opening_removes_unfinished_uploads_and_retain_the_unused() {
        let (folder, store) = store(100);
        let mut upload = store.begin(ABC).unwrap();
        upload.write(b"abc").unwrap();
        upload.finish().unwrap();
        fs::write(store.uploads.join("left"), "half").unwrap();
        drop(store);
        let store = ArtifactStore::open(folder.path(), 100).unwrap();
        assert_eq!(files(&store.uploads), 0);
        assert_eq!(store.retain(&HashSet::from([ABC.to_owned()])).unwrap(), 0);
        assert!(store.contains(ABC));
        assert_eq!(store.retain(&HashSet::new()).unwrap(), 1);
        assert!(!store.contains(ABC));
        store.remove(ABC).unwrap();
    }
}
