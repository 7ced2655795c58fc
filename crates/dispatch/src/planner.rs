//! Start planners: how many instances a revision should have, given what waits
//! and what was learned. A planner is a pure function of a [`Situation`]; a new
//! one is a file in `planner/` and a line in [`for_mode`].

mod async_start;
mod sync_start;

use std::fmt;
use std::time::Duration;

use gapless_types::StartMode;

/// What a planner looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Requests that wait.
    pub queued: u32,
    /// Live instances that take requests.
    pub live: u32,
    /// Their slots, free or not.
    pub live_slots: u32,
    /// Instances on their way.
    pub starting: u32,
    /// For how long they have been, on average.
    pub starting_age: Duration,
    /// Slots a new instance is expected to have.
    pub slots_each: u32,
    /// How long a start is expected to take.
    pub start: Duration,
    /// How long a service is expected to take, once one was seen.
    pub service: Option<Duration>,
    /// Instances at the most.
    pub instances_max: u32,
}

/// Decides when an instance is started.
pub trait Planner: fmt::Debug + Send {
    /// How many instances are wanted, all told. Called when something waits;
    /// the answer is capped at `instances_max` by the caller. An answer below
    /// `live + starting` says that starts under way are of no more use; it never
    /// ends a live instance.
    fn wanted(&self, situation: &Situation) -> u32;

    /// Whether a queued request waits for an instance of its own, leaving slots
    /// that free meanwhile to those who have none.
    fn binds_requests(&self) -> bool;
}

/// The planner of a start mode.
pub(crate) fn for_mode(mode: StartMode) -> Box<dyn Planner> {
    match mode {
        StartMode::Auto | StartMode::Async => Box::new(async_start::AsyncStart),
        StartMode::Sync => Box::new(sync_start::SyncStart),
    }
}
