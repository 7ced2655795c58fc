//! Control: keeps what people declared, decides how many instances there are
//! and where, and serves the API.
//!
//! ```text
//!   people --HTTP--> http --> declared::Objects --> store (durable)
//!                                                     | events, in order
//!                                  routes <-- course <-+
//!   gateway --demand, idle--> links --> revision (scaling::Fleet)
//!        ^                                 | start: placement::Cluster
//!        '------ facts, leases ------------+--> node
//! ```
//!
//! - `kinds`: what is declared and what is observed, a file per kind;
//! - `restore`: what was declared in former runs, and following what is declared now;
//! - `functions`, `course`: functions in memory, and which of their revisions serve;
//! - `prepare`: making a revision runnable, and trying it;
//! - `configs`: the values of secrets and configs, for instances that start;
//! - `routes`: what the gateway is told of functions, in order;
//! - `profiles`: placement profiles, and who uses which;
//! - `revision`: one revision's fleet and instances, and what follows from events;
//! - `links`: what gateway and nodes say to us;
//! - `balance`: weights learned from what came of placements;
//! - `nodes`: placement, and the way to each node; `shape`: what placement looks at;
//! - `reconcile`: what makes the store agree with what is observed, a file each;
//! - `status`, `conditions`, `events`: what people see;
//! - `http`: the API server.
//!
//! What always holds: what follows from an event is collected under a lock and
//! carried out after it is released, in the order of the events; nothing is
//! polled; instances are never stored; a function that nobody calls has neither
//! a fleet nor a task.

mod artifacts;
mod balance;
mod conditions;
mod configs;
mod control;
mod course;
mod events;
mod followed;
mod functions;
mod http;
mod kinds;
mod links;
mod nodes;
mod prepare;
mod profiles;
mod reconcile;
mod restore;
mod revision;
mod routes;
mod sealing;
mod shape;
mod status;

pub use control::{Control, ControlConfig, ControlParts};
pub use gapless_placement::node::{Taint, TaintEffect};
pub use gapless_placement::{Load, NodeError, NodeSpec};
