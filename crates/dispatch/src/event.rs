//! What a dispatch core is told, and what it answers.

use std::time::Duration;

use gapless_types::{InstanceId, Reason, RequestId, Time};

use crate::Config;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A request arrived. Its id must be greater than every id before.
    Arrive {
        /// The request.
        request: RequestId,
    },
    /// The client of a queued request left, or of one in service: its slot is free.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// An instance finished a request (its answer, to the last byte), so its slot is free.
    Finish {
        /// The request.
        request: RequestId,
    },
    /// An instance is on its way.
    InstanceStarting {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance can serve.
    InstanceReady {
        /// The instance.
        instance: InstanceId,
        /// How many requests at a time.
        slots: u32,
        /// How long its start took.
        start: Duration,
    },
    /// An instance takes no new requests; answer with [`Action::Released`] once it is idle.
    InstanceRetiring {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance is no more. Requests it serves end by [`Event::Finish`] or [`Event::Cancel`].
    InstanceGone {
        /// The instance.
        instance: InstanceId,
    },
    /// No instance is started before then, for that reason; `None` when starts are possible again.
    StartsBlocked {
        /// What stands in the way.
        blocked: Option<(Time, Reason)>,
    },
    /// Room is wanted: the idle instance whose time is nearest its end is given up.
    Reclaim,
    /// The configuration changed.
    Configure {
        /// The new one.
        config: Config,
    },
    /// The revision is replaced or deleted: what waits is refused with
    /// [`Reason::FunctionGone`] (the gateway sends it to a successor, if there
    /// is one), and nothing new is taken. What is in service goes on.
    Close,
    /// The revision takes new requests again: a rollback to it, before it was finished.
    Open,
    /// The time asked for by [`Action::WakeAt`] has come, or passed, or not: waking is always allowed.
    Wake,
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a request to an instance; it now holds one of its slots.
    Send {
        /// The request.
        request: RequestId,
        /// The instance.
        instance: InstanceId,
    },
    /// Refuse a request. It holds nothing.
    Refuse {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reason,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Tell control how many instances are wanted, all told. Emitted on change only.
    Demand {
        /// The number.
        instances: u32,
    },
    /// Tell control that an instance was unused for the keep-alive.
    Idle {
        /// The instance.
        instance: InstanceId,
    },
    /// Give a retiring instance back.
    Released {
        /// The instance.
        instance: InstanceId,
    },
    /// Call with [`Event::Wake`] at this time. Replaces the former.
    WakeAt(Time),
}
