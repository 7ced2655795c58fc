//! `sync`: a request that finds no slot gets an instance of its own and waits
//! for it, as AWS Lambda and OpenWhisk do. Latency is then either that of a warm
//! instance or that of a start, and a burst starts as many instances as it has
//! requests.

use super::{Planner, Situation};

/// The planner. It has no state of its own.
#[derive(Debug)]
pub(super) struct SyncStart;

impl Planner for SyncStart {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        situation.live.saturating_add(situation.queued)
    }

    fn binds_requests(&self) -> bool {
        true
    }
}
