//! The driver: prepare (compile once, cache, keep resident) and start (a seat).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{ResolvedConfig, StartFailure, StartKind, StartPhase, StartReport};
use gapless_sandbox::files::{FilesFolder, FilesRoot};
use gapless_sandbox::{Driver, LogSink, LogStream, PrepareTask, StartTask, Started};
use gapless_types::{Code, Fault, RevisionName};
use parking_lot::Mutex;

use crate::artifact::{self, Digest};
use crate::cache::Cache;
use crate::engine::Engines;
use crate::failure::start_failure;
use crate::library::{Library, read};
use crate::resident::Resident;
use crate::seat::{Seat, SeatSandbox};
use crate::terms::Terms;
use crate::validate;

/// Starts at a time, per core: each is microseconds of computing.
const STARTS_PER_CORE: usize = 64;
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
    /// Instances that have files now.
    pub files: usize,
}

/// Runs wasi:http components.
pub struct WasmDriver {
    shared: Arc<Shared>,
}

struct Shared {
    code: Arc<Library>,
    /// What each prepared revision runs; as many as there are revisions.
    prepared: Mutex<HashMap<RevisionName, Prepared>>,
    stores: Arc<AtomicUsize>,
    files: Arc<FilesRoot>,
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
            code: Arc::new(Library::new(
                Engines::new(config.instances_max),
                Cache::open(config.cache_dir.clone())?,
                Resident::new(config.resident_bytes_max),
            )),
            prepared: Mutex::default(),
            stores: Arc::default(),
            files: FilesRoot::open(&config.cache_dir)?,
        });
        Ok(Arc::new(WasmDriver { shared }))
    }

    /// What it has done and holds.
    pub fn figures(&self) -> WasmFigures {
        let code = &self.shared.code;
        let (resident, resident_bytes) = code.resident.size();
        WasmFigures {
            compiled: code.compiled.load(Ordering::Relaxed),
            mapped: code.mapped.load(Ordering::Relaxed),
            resident,
            resident_bytes,
            stores: self.shared.stores.load(Ordering::Relaxed),
            files: self.shared.files.live(),
        }
    }

    /// Drops every module nobody runs, as if the budget were full. For benches.
    #[doc(hidden)]
    pub fn evict_all(&self) {
        let digests: Vec<Digest> =
            self.shared.prepared.lock().values().map(|prepared| prepared.digest).collect();
        for digest in digests {
            drop(self.shared.code.resident.remove(&digest));
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
    async fn prepare(&self, task: &PrepareTask) -> Result<(), StartFailure> {
        let spec = &task.revision.spec;
        Terms::new(spec, Arc::default(), Arc::new(NoLog))?;
        let artifact = artifact::path(task)?.to_owned();
        let (digest, bytes) = match spec.artifact.as_deref().and_then(Digest::read) {
            Some(digest) => (digest, None),
            None => {
                let bytes = read(&artifact).await?;
                (Digest::of(&bytes), Some(bytes))
            }
        };
        let module = match self.code.resident.get(&digest) {
            Some(module) => Some(module),
            // A restart prepares every function again: none may push out another.
            None if self.code.waits_on_disk(digest)? => None,
            None => Some(self.code.module(digest, &artifact, bytes).await?),
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
        let mut terms = Terms::new(spec, task.config.clone(), task.logs.clone())?;
        let files = self.lay_out(&task.config).await?;
        terms.files = files.as_ref().map(|files| files.path().to_owned());
        let terms = Arc::new(terms);
        let artifact = artifact::path(&task.prepare)?;
        let (digest, bytes) = self.digest(&task.prepare, artifact).await?;
        let created = Instant::now();
        let module = match self.code.resident.get(&digest) {
            Some(module) => module,
            None => self.code.module(digest, artifact, bytes).await?,
        };
        validate::memory(&module.component, terms.memory_bytes_max)?;
        let (engines, stores) = (self.code.engines.clone(), self.stores.clone());
        let seat = Seat::new(module, terms, files, engines, stores);
        let live = seat.make_live().await.map_err(|error| start_failure(&error, &seat.terms))?;
        seat.keep_idle(live);
        // A component has no start-up of its own after its instantiation.
        let report = StartReport::new(StartKind::Cold)
            .with(StartPhase::Create, created - begun)
            .with(StartPhase::Boot, created.elapsed());
        Ok(Started { sandbox: Box::new(SeatSandbox::new(seat)), report })
    }

    /// Writes the instance's files, for those that have any.
    async fn lay_out(
        &self,
        config: &Arc<ResolvedConfig>,
    ) -> Result<Option<FilesFolder>, StartFailure> {
        if config.files.is_empty() {
            return Ok(None);
        }
        let (files, config) = (Arc::clone(&self.files), Arc::clone(config));
        let written = gapless_rt::spawn_blocking(move || files.lay_out(&config.files)).await;
        let written = written.map_err(io::Error::other).and_then(|written| written);
        written.map(Some).map_err(|error| StartFailure {
            fault: Fault::Platform,
            kind: "CreateFailed",
            message: format!("the node could not make the files of spec.files: {error}"),
        })
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

    fn forget(&self, revision: &RevisionName) {
        let digest = {
            let mut prepared = self.prepared.lock();
            let Some(gone) = prepared.remove(revision) else { return };
            if prepared.values().any(|other| other.digest == gone.digest) {
                return;
            }
            gone.digest
        };
        self.code.remove(digest);
    }
}

/// For terms that are only checked.
struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _stream: LogStream, _line: &[u8]) {}
}
