//! What a fleet is told and what it wants done.

use std::time::Duration;

use gapless_types::{InstanceId, Time};

/// What a fleet must respect.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Instances kept even when idle.
    pub min: u32,
    /// Instances at the most. Wins over `min`.
    pub max: u32,
}

/// Something that happened. Facts of an instance that is not known are ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A gateway wants this many instances, all told. An older `seq` is ignored.
    Demand {
        /// Orders demands.
        seq: u64,
        /// Instances wanted.
        instances: u32,
    },
    /// A node began to make an instance: from here on the start is let finish even if demand
    /// falls. Need not be told; then every start that is not ready can be cancelled.
    Starting {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance can serve.
    Ready {
        /// The instance.
        instance: InstanceId,
    },
    /// The gateway reports an instance unused for its keep-alive.
    Idle {
        /// The instance.
        instance: InstanceId,
    },
    /// The gateway gave an instance back.
    Released {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance is no more; `failed` when nobody told it to stop.
    Gone {
        /// The instance.
        instance: InstanceId,
        /// Whether it failed to start or died.
        failed: bool,
    },
    /// The last `Start` found no node with room.
    NoCapacity {
        /// The instance that was to be.
        instance: InstanceId,
    },
    /// Room was freed on some node: what was blocked for want of room is tried again.
    CapacityFreed,
    /// The revision can be run: starts may begin.
    Runnable,
    /// The configuration changed.
    Configure {
        /// The new one.
        config: Config,
    },
    /// The revision is replaced or deleted: everything ends, once it is idle.
    Close,
    /// The time asked for by [`Action::WakeAt`] has come. Waking is always allowed.
    Wake,
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Place and start a new instance with this id.
    Start {
        /// The instance to be.
        instance: InstanceId,
    },
    /// Drop a start that is not ready yet and is no longer wanted. The fleet forgets it.
    CancelStart {
        /// The instance.
        instance: InstanceId,
    },
    /// Ask the gateway to give a ready instance back.
    Retire {
        /// The instance.
        instance: InstanceId,
    },
    /// Stop an instance that nobody uses. [`Event::Gone`] is due when it is no more.
    Stop {
        /// The instance.
        instance: InstanceId,
    },
    /// Starts are blocked until then (crash-loop back-off or no capacity), or no longer. Each
    /// block is stated when it begins and taken back when its time has come, or before if an
    /// instance became ready or room was freed. One start at a time is tried then, and if that
    /// fails the next block follows.
    Blocked(Option<Block>),
    /// Call with [`Event::Wake`] at this time. Replaces the former; [`Time::NEVER`] cancels it.
    WakeAt(Time),
    /// Nothing is left of a closed fleet.
    Closed,
}

/// Why and how long starts are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Until when.
    pub until: Time,
    /// Whether for want of room (else because starts fail).
    pub is_capacity: bool,
    /// Failures in a row.
    pub failures: u32,
    /// How long this block is.
    pub backoff: Duration,
}
