//! Request to slot: one pure state machine per revision.
//!
//! [`Dispatch`] takes events (a request arrived, an instance is ready, time
//! passed) with the time they happened, and says what to do. It does no I/O,
//! reads no clock and knows no thread: the gateway drives it with sockets and a
//! real clock, the simulator with modelled instances and a virtual one.
//!
//! ```text
//!   Arrive --> free slot? --yes--> Send
//!                 | no
//!                 v
//!            queue full? --yes--> Refuse(queue-full)
//!                 | no
//!                 v
//!              queued --slot frees--> Send
//!                 |---deadline------> Refuse(queue-timeout)
//!                 |---starts blocked, nothing live--> Refuse(that reason)
//!                 |---Close---------> Refuse(function-gone)
//!                 '---Cancel--------> nothing
//! ```
//!
//! What always holds, and is held by the property tests: every request that
//! arrived ends in exactly one of `Send` or `Refuse` unless it was cancelled; an
//! instance never holds more requests than it has slots; the queue never holds
//! more than its size; when every request has ended nothing of it is left.

mod config;
mod dispatch;
mod event;
mod keep;
mod learned;
mod planner;
mod slots;

pub use config::Config;
pub use dispatch::Dispatch;
pub use event::{Action, Event};
pub use keep::KeepAlive;
pub use learned::Learned;
pub use planner::{Planner, Situation};
