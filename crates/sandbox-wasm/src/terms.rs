//! What one seat's guests may do and have, read once from the function's
//! specification and shared by all its stores.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gapless_proto::StartFailure;
use gapless_sandbox::LogSink;
use gapless_types::FunctionSpec;

use crate::outbound::AllowedHosts;

/// The terms.
pub(crate) struct Terms {
    pub(crate) env: Vec<(String, String)>,
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
    pub(crate) fn new(spec: &FunctionSpec, logs: Arc<dyn LogSink>) -> Result<Self, StartFailure> {
        Ok(Terms {
            env: spec.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            memory_bytes_max: spec.resources.memory.0,
            timeout: spec.timeout.0,
            hosts: AllowedHosts::read(&spec.access.hosts)?,
            concurrency: spec.concurrency.max(1) as usize,
            is_reused: spec.reuse,
            logs,
            is_cancelled: AtomicBool::new(false),
        })
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

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("concurrency", &self.concurrency)
            .field("is_reused", &self.is_reused)
            .finish_non_exhaustive()
    }
}
