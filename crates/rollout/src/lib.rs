//! How a function's new revision takes over from the old one, or does not: a pure
//! state machine per function.
//!
//! [`Rollout`] takes declarations, what came of preparing and probing a revision, what
//! became of requests, and the passing of time; it says who takes which share of what
//! `latest` takes. Control drives it and states the gateway's route from its shares and
//! `spec.traffic` ([`assign`]).
//!
//! ```text
//!                Prepared          Probed, by 1 instance     no spec.rollout, or
//!   Declared                                                 nobody to compare with
//!  ---------> preparing ----------> probing --------------------------> promoted
//!                 |                  |   | | pinned                    ^ 100%
//!                 |                  |   | v                           |
//!                 |     3 failures,  |   | held --. unpinned           | the last
//!                 | or not in 10 min |   |        |                    | step is good
//!                 |                  |   '--------'-> steps 1..n ------'
//!                 v                  v                   |
//!             rolled back <---------------------------- bad, or in doubt too long
//!             0%, until the declaration changes
//! ```
//!
//! A new revision supersedes the one that is on its way: that one loses its share, which
//! goes back to the last good one. When a step is good and when bad is in `judge.rs`.
//!
//! Whoever drives one tells it [`Event::Declared`] with every declaration, does what the
//! actions say, and tells what came of it. When the wished time has come it sends
//! [`Event::Outcomes`], if [`Rollout::watched`] names revisions, and [`Event::Wake`]
//! otherwise.
//!
//! What always holds (`tests/invariants.rs` checks it on random histories): shares sum
//! to 100, or there are none while no revision has ever proven itself; who has a share
//! has passed its probe; a rolled-back revision has none, and is not tried again until
//! the declaration changes or a person says so; a rollout that is not pinned ends;
//! stopping at any point and resuming from what was stored goes on.
//!
//! Durations are not stored: after a restart a step begins anew, so no restart ever
//! makes a rollout faster.

mod assign;
mod event;
mod judge;
mod rollout;

pub use assign::{Assigned, Assignment, assign};
pub use event::{Action, Event, Failure};
pub use rollout::{Rollout, Share};
