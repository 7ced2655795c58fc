//! Start planners: how many instances a revision should have, given what waits
//! and what was learned. A new one is a file in `planner/` and a line in
//! [`for_mode`].
//!
//! A planner reads no clock and asks for nothing: it is told what happens
//! ([`Planner::note`]), asked when the answer may have changed
//! ([`Planner::wanted`]), and, if its authors made it tick, asked again when it
//! says so ([`Planner::tick`]). So the same planner runs in the servers and in
//! the simulator. How long an idle instance stays is not its business but the
//! [keeper](crate::keep)'s, unless it says how many to have in all
//! ([`Planner::owns_scale_down`]), as Knative's does.

mod async_start;
mod dirigent;
mod emergency;
mod planned;
mod sync_start;
mod window;

use std::fmt;
use std::time::Duration;

use gapless_types::{StartMode, Time};

/// What a planner looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Now.
    pub now: Time,
    /// Requests that wait.
    pub queued: u32,
    /// Live instances that take requests; not those for a single one.
    pub live: u32,
    /// Their slots, free or not.
    pub live_slots: u32,
    /// Instances on their way.
    pub starting: u32,
    /// For how long they have been, on average.
    pub starting_age: Duration,
    /// Slots a new instance is expected to have.
    pub slots_each: u32,
    /// How long a start is expected to take when no other is under way.
    pub start: Duration,
    /// How much longer for each other start of the revision that is under way.
    pub start_each: Duration,
    /// How long a service is expected to take, once one was seen.
    pub service: Option<Duration>,
    /// Instances at the most: those there are, while starts are blocked.
    pub instances_max: u32,
}

/// Decides when an instance is started.
pub trait Planner: fmt::Debug + Send {
    /// How many instances are wanted, all told. Called when something waits or
    /// changed, and at ticks; the answer is capped at `instances_max` by the
    /// caller. An answer below `live + starting` says that starts under way are of
    /// no more use; a live instance is ended only by a planner that owns scale-down.
    fn wanted(&mut self, situation: &Situation) -> u32;

    /// Whether a queued request waits for an instance of its own, leaving slots
    /// that free meanwhile to those who have none.
    fn binds_requests(&self) -> bool {
        false
    }

    /// Requests that wait or are in service, each time that changed.
    fn note(&mut self, _now: Time, _in_flight: u32) {}

    /// When to be asked again though nothing happened.
    fn tick(&self) -> Option<Time> {
        None
    }

    /// How many live instances there should be, for a planner that takes them back
    /// itself; then no keep-alive applies.
    fn owns_scale_down(&self) -> Option<u32> {
        None
    }

    /// Whether a request that came now would wait longer than `wait`, so that it is
    /// better refused at once.
    fn sheds(&self, _situation: &Situation, _wait: Duration) -> bool {
        false
    }

    /// Whether an instance that is ready now, beside `live` others, is for a single
    /// request: it serves one and is given back.
    fn is_for_one_request(&mut self, _live: u32) -> bool {
        false
    }
}

/// The planner of a start mode.
pub(crate) fn for_mode(mode: StartMode) -> Box<dyn Planner> {
    match mode {
        StartMode::Auto | StartMode::Planned => Box::new(planned::Planned::default()),
        StartMode::Async => Box::new(async_start::AsyncStart),
        StartMode::Sync => Box::new(sync_start::SyncStart),
        StartMode::Window => Box::new(window::Window::knative()),
        StartMode::Dirigent => Box::new(dirigent::planner()),
        StartMode::Emergency => Box::new(emergency::Emergency::default()),
    }
}

/// One request that waits, nothing else, and starts of 100 ms.
#[cfg(test)]
fn situation() -> Situation {
    Situation {
        now: Time::ZERO,
        queued: 1,
        live: 0,
        live_slots: 0,
        starting: 0,
        starting_age: Duration::ZERO,
        slots_each: 1,
        start: Duration::from_millis(100),
        start_each: Duration::ZERO,
        service: None,
        instances_max: 1000,
    }
}
