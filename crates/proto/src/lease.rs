//! What the gateway learns about instances: leases, and how each start went.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gapless_types::Fault;

use crate::Endpoint;

/// An instance handed to one gateway, which alone sends it requests until it
/// gives the lease back.
#[derive(Clone, Debug)]
pub struct Lease {
    /// How many requests it serves at a time.
    pub slots: u32,
    /// Where it takes them.
    pub endpoint: Endpoint,
    /// How its start went.
    pub start: Arc<StartReport>,
}

/// What a gateway saw of the requests that one instance served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests of which the head of an answer came.
    pub requests: u64,
    /// How long that took from when each had its slot, all told.
    pub took: Duration,
}

impl Served {
    /// How long one request took on average; `None` before any was served.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.took.as_nanos().checked_div(u128::from(self.requests))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// What control says of one instance. Facts of one instance only move forward
/// in the order of this list; one that does not is old and is ignored.
#[derive(Clone, Debug)]
pub enum InstanceFact {
    /// It is on its way.
    Starting,
    /// It can serve.
    Ready(Lease),
    /// It takes no new requests; `ControlLink::released` is due once it is idle.
    Retiring,
    /// It is no more. Requests it was serving fail by their connections.
    Gone(Option<Arc<StartFailure>>),
}

/// Which way an instance came to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartKind {
    /// From nothing but what the deploy left on disk.
    Cold,
    /// From a pool of half-made ones.
    Pooled,
}

impl StartKind {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            StartKind::Cold => "cold",
            StartKind::Pooled => "pooled",
        }
    }
}

/// The phases of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartPhase {
    /// Choosing a node and reaching it, and waiting there for a turn.
    Place,
    /// Bringing the code to the node.
    Fetch,
    /// Making the sandbox.
    Create,
    /// Starting the program or instantiating the component.
    Boot,
    /// The program's own start-up, until it can serve.
    Init,
}

impl StartPhase {
    /// Every phase, in order.
    pub const ALL: [StartPhase; 5] = [
        StartPhase::Place,
        StartPhase::Fetch,
        StartPhase::Create,
        StartPhase::Boot,
        StartPhase::Init,
    ];

    /// Its name in metrics and in `Server-Timing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            StartPhase::Place => "place",
            StartPhase::Fetch => "fetch",
            StartPhase::Create => "create",
            StartPhase::Boot => "boot",
            StartPhase::Init => "init",
        }
    }
}

/// How one start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// Which way.
    pub kind: StartKind,
    /// How long each phase took, in the order of [`StartPhase::ALL`].
    pub phases: [Duration; 5],
}

impl StartReport {
    /// A report with every phase at zero.
    pub const fn new(kind: StartKind) -> Self {
        StartReport { kind, phases: [Duration::ZERO; 5] }
    }

    /// Sets one phase.
    #[must_use]
    pub const fn with(mut self, phase: StartPhase, took: Duration) -> Self {
        self.phases[phase as usize] = took;
        self
    }

    /// How long the whole start took.
    pub fn total(&self) -> Duration {
        self.phases.iter().sum()
    }
}

/// Why an instance did not start, or died.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct StartFailure {
    /// Whose fault.
    pub fault: Fault,
    /// One CamelCase word for machines, such as `ExitedEarly`.
    pub kind: &'static str,
    /// A sentence for people: what, why, what to do.
    pub message: String,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
