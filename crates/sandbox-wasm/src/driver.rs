//! The driver: prepare (compile once, cache, keep resident) and start (a seat).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{StartFailure, StartKind, StartPhase, StartReport};
use gapless_sandbox::{Driver, LogSink, LogStream, PrepareTask, StartTask, Started};
use gapless_types::{Code, Fault, RevisionName};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::artifact::{self, Digest};
use crate::cache::{Cache, CachedCode};
use crate::engine::{Engines, Generation};
use crate::failure::start_failure;
use crate::module::Module;
use crate::resident::Resident;
use crate::seat::{Seat, SeatSandbox};
use crate::terms::Terms;
use crate::validate;

/// Compilations at a time; one already uses every core.
const COMPILES_AT_ONCE: usize = 1;
/// Starts at a time, per core: each is microseconds of computing.
const STARTS_PER_CORE: usize = 64;
/// Code up to this size is mapped where it is needed, which takes less time than
/// handing the work to another thread and back.
const MAPPED_INLINE_BYTES_MAX: u64 = 4 << 20;

/// How a driver is set up.
#[derive(Clone, Debug)]
pub struct WasmConfig {
    /// Where compiled components are kept; made when missing. The driver's own:
    /// its files are run as code.
    pub cache_dir: PathBuf,
    /// Budget of components kept mapped and linked while nobody runs them.
    pub resident_bytes_max: u64,
    /// Component instances that may exist at a time. Reserves addresses, not memory.
    pub instances_max: u32,
}

impl WasmConfig {
    /// The defaults, with the cache in `cache_dir`.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        WasmConfig {
            cache_dir: cache_dir.into(),
            resident_bytes_max: 64 << 20,
            instances_max: 4096,
        }
    }
}

/// What a driver has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WasmFigures {
    /// Components compiled since the driver was made.
    pub compiled: u64,
    /// Components mapped from the cache.
    pub mapped: u64,
    /// Components resident now.
    pub resident: usize,
    /// What those count for.
    pub resident_bytes: u64,
    /// Stores that exist now: ready, at work or lingering.
    pub stores: usize,
}

/// Runs wasi:http components.
pub struct WasmDriver {
    shared: Arc<Shared>,
}

struct Shared {
    engines: Arc<Engines>,
    cache: Cache,
    resident: Resident,
    compiles: Semaphore,
    /// One lock per digest being mapped, so that it is mapped once.
    mapping: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    /// What each prepared revision runs; as many as there are revisions.
    prepared: Mutex<HashMap<RevisionName, Prepared>>,
    stores: Arc<AtomicUsize>,
    compiled: AtomicU64,
    mapped: AtomicU64,
}

#[derive(Clone)]
struct Prepared {
    artifact: PathBuf,
    digest: Digest,
}

impl WasmDriver {
    /// A driver; the engine itself is made when the first component needs it.
    pub fn new(config: WasmConfig) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            engines: Arc::new(Engines::new(config.instances_max)),
            cache: Cache::open(config.cache_dir)?,
            resident: Resident::new(config.resident_bytes_max),
            compiles: Semaphore::new(COMPILES_AT_ONCE),
            mapping: Mutex::default(),
            prepared: Mutex::default(),
            stores: Arc::default(),
            compiled: AtomicU64::new(0),
            mapped: AtomicU64::new(0),
        });
        Ok(Arc::new(WasmDriver { shared }))
    }

    /// What it has done and holds.
    pub fn figures(&self) -> WasmFigures {
        let (resident, resident_bytes) = self.shared.resident.size();
        WasmFigures {
            compiled: self.shared.compiled.load(Ordering::Relaxed),
            mapped: self.shared.mapped.load(Ordering::Relaxed),
            resident,
            resident_bytes,
            stores: self.shared.stores.load(Ordering::Relaxed),
        }
    }

    /// Drops every module nobody runs, as if the budget were full. For benches.
    #[doc(hidden)]
    pub fn evict_all(&self) {
        let digests: Vec<Digest> =
            self.shared.prepared.lock().values().map(|prepared| prepared.digest).collect();
        for digest in digests {
            drop(self.shared.resident.remove(&digest));
        }
    }
}

impl fmt::Debug for WasmDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmDriver").field("figures", &self.figures()).finish()
    }
}

impl Driver for WasmDriver {
    fn kind(&self) -> &'static str {
        "wasm"
    }

    fn runs(&self, code: &Code<'_>) -> bool {
        matches!(code, Code::Wasm)
    }

    fn prepare(&self, task: PrepareTask) -> BoxFuture<'static, Result<(), StartFailure>> {
        let shared = self.shared.clone();
        async move { shared.prepare(&task).await }.boxed()
    }

    fn start(&self, task: StartTask) -> BoxFuture<'static, Result<Started, StartFailure>> {
        let shared = self.shared.clone();
        async move { shared.start(task).await }.boxed()
    }

    fn starts_at_once(&self, cores: usize) -> usize {
        STARTS_PER_CORE * cores.max(1)
    }

    fn forget(&self, revision: &RevisionName) {
        self.shared.forget(revision);
    }
}

impl Shared {
    async fn prepare(self: &Arc<Self>, task: &PrepareTask) -> Result<(), StartFailure> {
        let spec = &task.revision.spec;
        Terms::new(spec, Arc::new(NoLog))?;
        let artifact = artifact::path(task)?.to_owned();
        let (digest, bytes) = match spec.artifact.as_deref().and_then(Digest::read) {
            Some(digest) => (digest, None),
            None => {
                let bytes = read(&artifact).await?;
                (Digest::of(&bytes), Some(bytes))
            }
        };
        let cached = self.find_p2(digest)?;
        let module = match (self.resident.get(&digest), cached) {
            (Some(module), _) => Some(module),
            // A restart prepares every function again: none may push out another.
            (None, Some(code)) if !self.resident.has_room(code.code_bytes) => None,
            (None, _) => Some(self.module(digest, &artifact, bytes).await?),
        };
        if let Some(module) = module {
            validate::memory(&module.component, spec.resources.memory.0)?;
        }
        let name = task.revision.name.clone();
        self.prepared.lock().insert(name, Prepared { artifact, digest });
        Ok(())
    }

    async fn start(self: Arc<Self>, task: StartTask) -> Result<Started, StartFailure> {
        let begun = Instant::now();
        let spec = &task.prepare.revision.spec;
        let terms = Arc::new(Terms::new(spec, task.logs.clone())?);
        let artifact = artifact::path(&task.prepare)?;
        let (digest, bytes) = self.digest(&task.prepare, artifact).await?;
        let created = Instant::now();
        let module = match self.resident.get(&digest) {
            Some(module) => module,
            None => self.module(digest, artifact, bytes).await?,
        };
        validate::memory(&module.component, terms.memory_bytes_max)?;
        let seat = Seat::new(module, terms, self.engines.clone(), self.stores.clone());
        let live = seat.make_live().await.map_err(|error| start_failure(&error, &seat.terms))?;
        seat.keep_idle(live);
        // A component has no start-up of its own after its instantiation.
        let report = StartReport::new(StartKind::Cold)
            .with(StartPhase::Create, created - begun)
            .with(StartPhase::Boot, created.elapsed());
        Ok(Started { sandbox: Box::new(SeatSandbox::new(seat)), report })
    }

    /// Which component a start runs, with its bytes where they had to be read.
    async fn digest(
        &self,
        task: &PrepareTask,
        artifact: &Path,
    ) -> Result<(Digest, Option<Vec<u8>>), StartFailure> {
        if let Some(digest) = task.revision.spec.artifact.as_deref().and_then(Digest::read) {
            return Ok((digest, None));
        }
        let known = self.prepared.lock().get(&task.revision.name).cloned();
        if let Some(prepared) = known.filter(|prepared| prepared.artifact == artifact) {
            return Ok((prepared.digest, None));
        }
        let bytes = read(artifact).await?;
        Ok((Digest::of(&bytes), Some(bytes)))
    }

    fn find_p2(&self, digest: Digest) -> Result<Option<CachedCode>, StartFailure> {
        let flavor = self.engines.get(Generation::P2)?;
        Ok(self.cache.find(Generation::P2, &flavor, digest))
    }

    /// A module: resident, from the cache, or compiled. A cache file that turns
    /// out to be of no use is compiled again, once.
    async fn module(
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

    fn forget(&self, revision: &RevisionName) {
        let digest = {
            let mut prepared = self.prepared.lock();
            let Some(gone) = prepared.remove(revision) else { return };
            if prepared.values().any(|other| other.digest == gone.digest) {
                return;
            }
            gone.digest
        };
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

async fn read(path: &Path) -> Result<Vec<u8>, StartFailure> {
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

/// For terms that are only checked.
struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _stream: LogStream, _line: &[u8]) {}
}
