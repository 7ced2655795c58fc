//! The components this node can run: finds a module resident, maps it from the
//! cache, or compiles it, each once however many ask at the same time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_proto::StartFailure;
use gapless_types::Fault;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::artifact::{self, Digest};
use crate::cache::{Cache, CachedCode};
use crate::engine::{Engines, Generation};
use crate::module::Module;
use crate::resident::Resident;
use crate::validate;

/// Compilations at a time; one already uses every core.
const COMPILES_AT_ONCE: usize = 1;
/// Code up to this size is mapped where it is needed, which takes less time than
/// handing the work to another thread and back.
const MAPPED_INLINE_BYTES_MAX: u64 = 4 << 20;

/// The components.
pub(crate) struct Library {
    pub(crate) engines: Arc<Engines>,
    cache: Cache,
    pub(crate) resident: Resident,
    compiles: Semaphore,
    /// One lock per digest being mapped, so that it is mapped once.
    mapping: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    pub(crate) compiled: AtomicU64,
    pub(crate) mapped: AtomicU64,
}

impl Library {
    pub(crate) fn new(engines: Engines, cache: Cache, resident: Resident) -> Self {
        Library {
            engines: Arc::new(engines),
            cache,
            resident,
            compiles: Semaphore::new(COMPILES_AT_ONCE),
            mapping: Mutex::default(),
            compiled: AtomicU64::new(0),
            mapped: AtomicU64::new(0),
        }
    }

    /// Whether a component is compiled already and has no room in memory now.
    pub(crate) fn waits_on_disk(&self, digest: Digest) -> Result<bool, StartFailure> {
        let cached = self.find_p2(digest)?;
        Ok(cached.is_some_and(|code| !self.resident.has_room(Module::bytes(code.code_bytes))))
    }

    fn find_p2(&self, digest: Digest) -> Result<Option<CachedCode>, StartFailure> {
        let flavor = self.engines.get(Generation::P2)?;
        Ok(self.cache.find(Generation::P2, &flavor, digest))
    }

    /// A module: resident, from the cache, or compiled. A cache file that turns
    /// out to be of no use is compiled again, once.
    pub(crate) async fn module(
        self: &Arc<Self>,
        digest: Digest,
        artifact: &Path,
        bytes: Option<Vec<u8>>,
    ) -> Result<Arc<Module>, StartFailure> {
        let mut code = match self.find_p2(digest)? {
            Some(code) => code,
            None => self.compile(digest, artifact, bytes).await?,
        };
        if let Ok(module) = self.map_where_fit(&code).await? {
            return Ok(module);
        }
        self.cache.remove(&code);
        code = self.compile(digest, artifact, None).await?;
        self.map_where_fit(&code).await?.map_err(|error| StartFailure {
            fault: Fault::Platform,
            kind: "CacheUnusable",
            message: format!(
                "compiled code cannot be mapped from {}: {error:#}",
                code.path.display()
            ),
        })
    }

    /// Finds the compiled form of a component or makes it, off the event loop.
    async fn compile(
        self: &Arc<Self>,
        digest: Digest,
        artifact: &Path,
        bytes: Option<Vec<u8>>,
    ) -> Result<CachedCode, StartFailure> {
        // One at a time, so whoever waited here finds what the other made.
        let _turn = self.compiles.acquire().await;
        let (shared, artifact) = (self.clone(), artifact.to_owned());
        let work = move || shared.compile_now(digest, &artifact, bytes);
        finished(gapless_rt::spawn_blocking(work).await)?
    }

    fn compile_now(
        &self,
        digest: Digest,
        artifact: &Path,
        bytes: Option<Vec<u8>>,
    ) -> Result<CachedCode, StartFailure> {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => artifact::read(artifact)?,
        };
        if Digest::of(&bytes) != digest {
            return Err(StartFailure {
                fault: Fault::Platform,
                kind: "ArtifactChanged",
                message: format!(
                    "{} is not the component that was deployed (sha256:{digest}); deploy again",
                    artifact.display()
                ),
            });
        }
        validate::preamble(&bytes)?;
        let generation = Generation::of(&bytes);
        let flavor = self.engines.get(generation)?;
        if let Some(code) = self.cache.find(generation, &flavor, digest) {
            return Ok(code);
        }
        let code = flavor.engine.precompile_component(&bytes);
        let code = code.map_err(|error| validate::not_compiled(&error))?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let stored = self.cache.store(generation, &flavor, digest, &code);
        stored.map_err(|error| StartFailure {
            fault: Fault::Platform,
            kind: "CacheUnwritable",
            message: format!("compiled code cannot be kept on disk: {error}"),
        })
    }

    async fn map_where_fit(
        self: &Arc<Self>,
        code: &CachedCode,
    ) -> Result<wasmtime::Result<Arc<Module>>, StartFailure> {
        if code.code_bytes <= MAPPED_INLINE_BYTES_MAX {
            return self.map(code);
        }
        let (shared, code) = (self.clone(), code.clone());
        finished(gapless_rt::spawn_blocking(move || shared.map(&code)).await)?
    }

    /// Maps and links. The outer error is the component's or the platform's, the
    /// inner one means that the cache file is of no use.
    fn map(&self, code: &CachedCode) -> Result<wasmtime::Result<Arc<Module>>, StartFailure> {
        let lock = self.mapping.lock().entry(code.digest).or_default().clone();
        let _turn = lock.lock();
        if let Some(module) = self.resident.get(&code.digest) {
            return Ok(Ok(module));
        }
        let mapped = self.map_now(code);
        self.mapping.lock().remove(&code.digest);
        mapped
    }

    fn map_now(&self, code: &CachedCode) -> Result<wasmtime::Result<Arc<Module>>, StartFailure> {
        let flavor = self.engines.get(code.generation)?;
        let component = match self.cache.map(&flavor.engine, code) {
            Ok(component) => component,
            Err(error) => {
                let path = code.path.display();
                tracing::warn!(%path, %error, "a file of the cache is of no use");
                return Ok(Err(error));
            }
        };
        let linked = Module::link(flavor, code.generation, code.digest, component, code.code_bytes);
        let module = Arc::new(linked.inspect_err(|_| self.cache.remove(code))?);
        self.mapped.fetch_add(1, Ordering::Relaxed);
        drop(self.resident.insert(module.clone()));
        Ok(Ok(module))
    }

    /// Drops a component that no revision needs.
    pub(crate) fn remove(&self, digest: Digest) {
        drop(self.resident.remove(&digest));
        for generation in Generation::ALL {
            // Only an engine that was made has files of this process.
            let flavor = self.engines.made(generation);
            let code = flavor.and_then(|flavor| self.cache.find(generation, &flavor, digest));
            if let Some(code) = code {
                self.cache.remove(&code);
            }
        }
    }
}

/// Reads a component off the event loop.
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, StartFailure> {
    let path = path.to_owned();
    finished(gapless_rt::spawn_blocking(move || artifact::read(&path)).await)?
}

fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, StartFailure> {
    joined.map_err(|error| StartFailure {
        fault: Fault::Platform,
        kind: "Panicked",
        message: format!("preparing the component failed: {error}"),
    })
}
