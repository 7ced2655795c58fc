//! The driver: prepares folders, works out launches, hands them to the warden.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{Endpoint, StartFailure};
use gapless_sandbox::files::{FilesFolder, FilesRoot};
use gapless_sandbox::{Driver, PrepareTask, Sandbox, StartTask, Started};
use gapless_types::{Code, EnvValue, RevisionName};
use tokio::sync::{oneshot, watch};

use crate::config::LinuxConfig;
use crate::diagnose::{not_created, platform_fault};
use crate::launch::{Launch, Made, search_path};
use crate::orders::{Address, Handle, Order, Post};
use crate::program;
use crate::revisions::{Folder, Revisions};
use crate::run_dir::RunDir;
use crate::unpack::Bounds;
use crate::warden;

/// An interpreter's start is partly waiting (for the disk, for its helper threads),
/// so one a core leaves cores idle; many a core only make the first one late.
const STARTS_PER_CORE: usize = 2;

/// Runs programs that serve HTTP as Linux processes.
pub struct LinuxDriver {
    inner: Arc<Inner>,
}

struct Inner {
    config: LinuxConfig,
    run_dir: Arc<RunDir>,
    files: Arc<FilesRoot>,
    revisions: Revisions,
    handle: Arc<Handle>,
    next_key: AtomicU64,
}

impl fmt::Debug for LinuxDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux processes in {}", self.inner.config.run_dir.display())
    }
}

impl LinuxDriver {
    /// Takes over the run folder, clears what an earlier run left there, and starts
    /// the thread that owns the processes.
    pub fn new(config: LinuxConfig) -> io::Result<Arc<Self>> {
        let run_dir = Arc::new(RunDir::open(&config.run_dir)?);
        let post = Post::new()?;
        warden::start(config.clone(), run_dir.clone(), post.clone())?;
        let bounds =
            Bounds { bytes_max: config.folder_bytes_max, entries_max: config.folder_entries_max };
        let inner = Inner {
            revisions: Revisions::new(run_dir.clone(), bounds),
            files: FilesRoot::open(&config.run_dir)?,
            handle: Arc::new(Handle(post)),
            next_key: AtomicU64::new(1),
            config,
            run_dir,
        };
        Ok(Arc::new(LinuxDriver { inner: Arc::new(inner) }))
    }
}

impl Inner {
    async fn prepare(&self, task: &PrepareTask) -> Result<Option<Arc<Folder>>, StartFailure> {
        let folder = self.revisions.folder(task).await?;
        let spec = &task.revision.spec;
        if let Code::Command([name, ..]) = spec.code() {
            let declared = spec.env.get("PATH").and_then(EnvValue::text);
            let path = search_path(&self.config, declared.map(OsStr::new));
            program::find(name, folder.as_deref().map(Folder::path), path)?;
        }
        Ok(folder)
    }

    /// Writes the instance's files, for those that have any.
    async fn lay_out(&self, task: &StartTask) -> Result<Option<FilesFolder>, StartFailure> {
        if task.config.files.is_empty() {
            return Ok(None);
        }
        let (files, config) = (Arc::clone(&self.files), Arc::clone(&task.config));
        let written = gapless_rt::spawn_blocking(move || files.lay_out(&config.files)).await;
        let written = written.map_err(io::Error::other).and_then(|written| written);
        written.map(Some).map_err(|error| not_created("the files of spec.files", &error))
    }

    async fn start(&self, task: StartTask) -> Result<Started, StartFailure> {
        let begun = Instant::now();
        let folder = self.revisions.folder(&task.prepare).await?;
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let files = self.lay_out(&task).await?;
        let made = Made { key, folder, files, begun };
        let launch = Launch::new(&task, made, &self.config, &self.run_dir)?;
        let socket: Arc<Path> = launch.socket.as_path().into();
        let (reply, answer) = oneshot::channel();
        // From here on, dropping this future ends whatever has come of the order.
        let alive = Alive { key, handle: self.handle.clone(), is_over: false };
        self.handle.give(Order::Start(Box::new(launch), reply));
        let live = match answer.await {
            Ok(Ok(live)) => live,
            Ok(Err(failure)) => {
                alive.release();
                return Err(failure);
            }
            Err(_) => {
                let message = "the thread that owns this node's processes has ended; \
                               this is a defect of gapless: restart the node";
                return Err(platform_fault("WardenGone", message.to_owned()));
            }
        };
        let endpoint = match live.address {
            Address::Socket => Endpoint::Unix(socket),
            Address::Tcp(address) => Endpoint::Tcp(address),
        };
        let sandbox = LinuxSandbox { alive, endpoint, died: live.died };
        Ok(Started { sandbox: Box::new(sandbox), report: live.report })
    }
}

impl Driver for LinuxDriver {
    fn kind(&self) -> &'static str {
        "linux"
    }

    fn runs(&self, code: &Code<'_>) -> bool {
        matches!(code, Code::Command(_))
    }

    fn prepare(&self, task: PrepareTask) -> BoxFuture<'static, Result<(), StartFailure>> {
        let inner = self.inner.clone();
        async move { inner.prepare(&task).await.map(drop) }.boxed()
    }

    fn start(&self, task: StartTask) -> BoxFuture<'static, Result<Started, StartFailure>> {
        let inner = self.inner.clone();
        async move { inner.start(task).await }.boxed()
    }

    fn starts_at_once(&self, cores: usize) -> usize {
        cores.max(1).saturating_mul(STARTS_PER_CORE)
    }

    fn forget(&self, revision: &RevisionName) {
        self.inner.revisions.forget(revision);
    }
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
struct Alive {
    key: u64,
    handle: Arc<Handle>,
    is_over: bool,
}

impl Alive {
    /// Nothing of it is left.
    fn release(mut self) {
        self.is_over = true;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if !self.is_over {
            self.handle.give(Order::Kill { key: self.key });
        }
    }
}

/// An instance that serves.
#[derive(Debug)]
struct LinuxSandbox {
    alive: Alive,
    endpoint: Endpoint,
    died: watch::Receiver<Option<StartFailure>>,
}

impl Sandbox for LinuxSandbox {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn died(&self) -> BoxFuture<'static, StartFailure> {
        let mut died = self.died.clone();
        async move {
            let failure = match died.wait_for(Option::is_some).await {
                Ok(failure) => failure.clone(),
                // It was told to end, and has.
                Err(_) => None,
            };
            match failure {
                Some(failure) => failure,
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn stop(self: Box<Self>, grace: Duration) -> BoxFuture<'static, ()> {
        async move {
            let (done, gone) = oneshot::channel();
            self.alive.handle.give(Order::Stop { key: self.alive.key, grace, done });
            // Resolves when the warden drops its end, with nothing left.
            let _ = gone.await;
            self.alive.release();
        }
        .boxed()
    }
}
