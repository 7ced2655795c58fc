//! The driver contract: what isolates and runs an instance.
//!
//! A node holds one [`Driver`] per kind of code and asks it for [`Sandbox`]es;
//! a driver knows nothing of queues, placement or other nodes. Every driver
//! passes the suite in [`conformance`] (feature `conformance`).
//!
//! ```text
//!   prepare (once per revision, at deploy)      start (once per instance)
//!   artifact -> checked, compiled, unpacked     -> running, reachable, reported
//! ```
//!
//! What always holds: `start` resolves only when the instance can serve, or with
//! the reason it cannot; dropping its future leaves nothing behind; a sandbox
//! that is dropped is dead, with everything it made (processes, sockets, files).

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod files;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gapless_proto::{Endpoint, ResolvedConfig, StartFailure, StartReport};
use gapless_types::{Code, InstanceId, Revision, RevisionName};

/// Makes sandboxes of one kind.
pub trait Driver: Send + Sync + fmt::Debug {
    /// Its name in metrics and in `get nodes`, such as `wasm`.
    fn kind(&self) -> &'static str;

    /// Whether it runs this kind of code.
    fn runs(&self, code: &Code<'_>) -> bool;

    /// Makes a revision runnable: reads its artifact, checks it, compiles it.
    /// Doing it twice is doing it once. The error is what `deploy` shows.
    fn prepare(&self, task: PrepareTask) -> BoxFuture<'static, Result<(), StartFailure>>;

    /// Starts one instance. Prepares first where that was not done or was lost.
    fn start(&self, task: StartTask) -> BoxFuture<'static, Result<Started, StartFailure>>;

    /// How many starts of this kind a node with `cores` cores has under way at
    /// a time; more of them would only slow each other.
    fn starts_at_once(&self, cores: usize) -> usize;

    /// Drops what was prepared for a revision and is of no use to another.
    fn forget(&self, revision: &RevisionName);
}

/// What a driver needs to prepare a revision.
#[derive(Clone, Debug)]
pub struct PrepareTask {
    /// The revision.
    pub revision: Arc<Revision>,
    /// Its artifact on this machine: the component, or the folder's tar archive.
    /// `None` for code without one (a fake).
    pub artifact: Option<PathBuf>,
}

/// What a driver needs to start an instance.
#[derive(Clone)]
pub struct StartTask {
    /// Who it will be.
    pub instance: InstanceId,
    /// The revision and its artifact.
    pub prepare: PrepareTask,
    /// The environment and files it is given, values in place.
    pub config: Arc<ResolvedConfig>,
    /// Takes what the instance writes to stdout and stderr.
    pub logs: Arc<dyn LogSink>,
}

impl fmt::Debug for StartTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {} of {}", self.instance, self.prepare.revision.name)
    }
}

/// A running instance, and how its start went (`create`, `boot` and `init`; the
/// node adds `place` and `fetch`).
#[derive(Debug)]
pub struct Started {
    /// The instance.
    pub sandbox: Box<dyn Sandbox>,
    /// How its start went.
    pub report: StartReport,
}

/// A running instance.
pub trait Sandbox: Send + Sync + fmt::Debug {
    /// Where it takes requests.
    fn endpoint(&self) -> Endpoint;

    /// Resolves when the instance dies without having been told to, with the
    /// cause. Never resolves for one that lives until it is stopped.
    fn died(&self) -> BoxFuture<'static, StartFailure>;

    /// Tells it to end, and after `grace` ends it. Resolves when nothing of it
    /// is left.
    fn stop(self: Box<Self>, grace: Duration) -> BoxFuture<'static, ()>;
}

/// Which output a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Said by the platform about the instance.
    Platform,
}

/// Longest line a driver passes on; a longer one is split.
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;

/// Takes the lines an instance writes. Must not block.
pub trait LogSink: Send + Sync {
    /// One line, without its end.
    fn line(&self, stream: LogStream, line: &[u8]);
}
