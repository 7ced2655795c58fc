//! Compiled components on disk: `DIR/GENERATION-COMPATIBILITY/DIGEST.cwasm`.
//!
//! A file is the engine's artifact with a trailer of our own: a magic number, the
//! artifact's length and its SHA-256. It appears whole or not at all (written
//! aside, synced, renamed). The trailer's sum is checked once per process before
//! a file is mapped as code; after that only its length is. A file that does not
//! check out is compiled again. The directory is the driver's own: whoever can
//! write to it already runs code as the platform.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::artifact::Digest;
use crate::engine::{Flavor, Generation};

const MAGIC: &[u8; 8] = b"gaplesC1";
const TRAILER_BYTES: u64 = 8 + 8 + 32;

/// The directory.
pub(crate) struct Cache {
    dir: PathBuf,
    /// Files whose sum was checked, or which this process wrote.
    checked: Mutex<HashSet<(Generation, Digest)>>,
}

/// A file of the cache.
#[derive(Clone, Debug)]
pub(crate) struct CachedCode {
    pub(crate) generation: Generation,
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
    pub(crate) code_bytes: u64,
}

impl Cache {
    /// The cache in `dir`, which is made where it is missing.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Cache { dir, checked: Mutex::default() })
    }

    fn path(&self, generation: Generation, flavor: &Flavor, digest: &Digest) -> PathBuf {
        let folder = format!("{}-{:016x}", generation.as_str(), flavor.compatibility);
        self.dir.join(folder).join(format!("{digest}.cwasm"))
    }

    /// The compiled form of a component, where there is a whole one.
    pub(crate) fn find(
        &self,
        generation: Generation,
        flavor: &Flavor,
        digest: Digest,
    ) -> Option<CachedCode> {
        let path = self.path(generation, flavor, &digest);
        let code_bytes = code_bytes(&path)?;
        Some(CachedCode { generation, digest, path, code_bytes })
    }

    /// Stores a component's compiled form.
    pub(crate) fn store(
        &self,
        generation: Generation,
        flavor: &Flavor,
        digest: Digest,
        code: &[u8],
    ) -> io::Result<CachedCode> {
        static ASIDE: AtomicU64 = AtomicU64::new(0);
        let path = self.path(generation, flavor, &digest);
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        let number = ASIDE.fetch_add(1, Ordering::Relaxed);
        let aside = folder.join(format!("{digest}.{}-{number}.tmp", std::process::id()));
        let written = write_whole(&aside, code).and_then(|()| fs::rename(&aside, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&aside);
            return Err(error);
        }
        File::open(folder)?.sync_all()?;
        self.checked.lock().insert((generation, digest));
        Ok(CachedCode { generation, digest, path, code_bytes: code.len() as u64 })
    }

    /// Maps compiled code. An error means that the file is of no use.
    #[expect(unsafe_code, reason = "compiled code can only be trusted, not checked")]
    pub(crate) fn map(&self, engine: &Engine, code: &CachedCode) -> wasmtime::Result<Component> {
        let key = (code.generation, code.digest);
        if !self.checked.lock().contains(&key) {
            check_sum(&code.path)?;
            self.checked.lock().insert(key);
        }
        // SAFETY: the file is in the driver's own directory, which nobody else may
        // write to; it is under a name that only `store` gives; its sum showed that
        // it holds what `Engine::precompile_component` returned for an engine with
        // this compatibility hash; and it is never changed in place, only replaced
        // by rename or unlinked, which leaves the mapped pages as they are.
        unsafe { Component::deserialize_file(engine, &code.path) }
    }

    /// Drops a file.
    pub(crate) fn remove(&self, code: &CachedCode) {
        self.checked.lock().remove(&(code.generation, code.digest));
        let _ = fs::remove_file(&code.path);
    }
}

fn write_whole(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(code)?;
    file.write_all(MAGIC)?;
    file.write_all(&(code.len() as u64).to_le_bytes())?;
    file.write_all(&Digest::of(code).0)?;
    file.sync_all()
}

/// The length that the trailer names, where it is the file's.
fn code_bytes(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let whole = file.metadata().ok()?.len();
    let code_bytes = whole.checked_sub(TRAILER_BYTES)?;
    file.seek(SeekFrom::Start(code_bytes)).ok()?;
    let mut head = [0; 16];
    file.read_exact(&mut head).ok()?;
    let named = u64::from_le_bytes(head[8..].try_into().ok()?);
    (head.starts_with(MAGIC) && named == code_bytes).then_some(code_bytes)
}

fn check_sum(path: &Path) -> wasmtime::Result<()> {
    let whole = fs::read(path)?;
    let (code, trailer) = whole.split_at(whole.len().saturating_sub(TRAILER_BYTES as usize));
    if trailer.get(16..) != Some(&Digest::of(code).0) {
        wasmtime::bail!("its sum is not the one it was written with");
    }
    Ok(())
}
