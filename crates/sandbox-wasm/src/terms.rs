//! What one seat's guests may do and have, read once from the function's
//! specification and shared by all its stores.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gapless_proto::{ResolvedConfig, StartFailure};
use gapless_sandbox::LogSink;
use gapless_types::{Fault, FunctionSpec, Sensitive};

use crate::outbound::AllowedHosts;

/// The terms.
pub(crate) struct Terms {
    pub(crate) config: Arc<ResolvedConfig>,
    /// Where the files of `config` are on this machine.
    pub(crate) files: Option<PathBuf>,
    pub(crate) memory_bytes_max: u64,
    pub(crate) timeout: Duration,
    pub(crate) hosts: AllowedHosts,
    pub(crate) concurrency: usize,
    pub(crate) is_reused: bool,
    pub(crate) logs: Arc<dyn LogSink>,
    /// Set when everything that runs must end.
    is_cancelled: AtomicBool,
}

impl Terms {
    pub(crate) fn new(
        spec: &FunctionSpec,
        config: Arc<ResolvedConfig>,
        logs: Arc<dyn LogSink>,
    ) -> Result<Self, StartFailure> {
        check_text(&config)?;
        Ok(Terms {
            config,
            files: None,
            memory_bytes_max: spec.resources.memory.0,
            timeout: spec.timeout.0,
            hosts: AllowedHosts::read(&spec.access.hosts)?,
            concurrency: spec.concurrency.max(1) as usize,
            is_reused: spec.reuse,
            logs,
            is_cancelled: AtomicBool::new(false),
        })
    }

    /// The environment; every value is text, as `new` has checked.
    pub(crate) fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |value| std::str::from_utf8(Sensitive::expose(value)).ok();
        self.config.env.iter().filter_map(move |(name, value)| Some((&**name, text(value)?)))
    }

    /// Whether everything that runs must end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    /// Makes guests that run end at their next tick.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
    }
}

/// A component's environment is text; a process's may be anything.
fn check_text(config: &ResolvedConfig) -> Result<(), StartFailure> {
    let wrong = config.env.iter().find(|(_, value)| std::str::from_utf8(value.expose()).is_err());
    let Some((name, _)) = wrong else { return Ok(()) };
    let message = format!(
        "spec.env.{name}: its value is not UTF-8 text, which a component's environment must \
         be; use spec.files for binary values"
    );
    Err(StartFailure { fault: Fault::Caller, kind: "ConfigNotText", message })
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("concurrency", &self.concurrency)
            .field("is_reused", &self.is_reused)
            .finish_non_exhaustive()
    }
}
