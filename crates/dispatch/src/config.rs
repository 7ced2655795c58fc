//! What a revision's dispatch must respect.

use std::time::Duration;

use gapless_types::StartMode;

use crate::KeepAlive;

/// What a revision's dispatch must respect.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Requests that may wait.
    pub queue_size: u32,
    /// How long one may wait.
    pub queue_wait: Duration,
    /// Slots a new instance is expected to have.
    pub concurrency: u32,
    /// Instances at the most.
    pub instances_max: u32,
    /// How long an unused instance is kept before it is reported idle.
    pub keep_alive: KeepAlive,
    /// Which start planner decides.
    pub mode: StartMode,
    /// How long a start is expected to take before the first was seen.
    pub start_prior: Duration,
}
