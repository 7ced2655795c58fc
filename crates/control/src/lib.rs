//! Control: keeps what people declared, decides how many instances there are
//! and where, and serves the API.
//!
//! ```text
//!   people --HTTP--> http --> declare --> store (durable)
//!                                |
//!                                v routes, in order
//!   gateway --demand, idle--> links --> revision (scaling::Fleet)
//!        ^                                 | start: placement::Cluster
//!        '------ facts, leases ------------+--> node
//! ```
//!
//! - `functions`: what is declared, in memory; `record`: as it is stored;
//! - `declare`: creating, replacing and deleting, durable before it is answered;
//! - `profiles`: placement profiles, and who uses which;
//! - `prepare`: making a new revision runnable, and switching to it;
//! - `routes`: what the gateway is told of functions, in order;
//! - `revision`: one revision's fleet and instances, and what follows from events;
//! - `links`: what gateway and nodes say to us;
//! - `nodes`: placement, and the way to each node; `shape`: what placement looks at;
//! - `status`, `watch`: what people see;
//! - `http`: the API server.
//!
//! What always holds: what follows from an event is collected under a lock and
//! carried out after it is released, in the order of the events; nothing is
//! polled; instances are never stored; a function that nobody calls has neither
//! a fleet nor a task.

mod artifacts;
mod control;
mod declare;
mod functions;
mod http;
mod links;
mod nodes;
mod prepare;
mod profiles;
mod record;
mod revision;
mod routes;
mod shape;
mod status;
mod watch;

pub use control::{Control, ControlConfig, ControlParts};
pub use gapless_placement::node::{Taint, TaintEffect};
pub use gapless_placement::{Load, NodeError, NodeSpec};
