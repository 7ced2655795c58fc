//! A node: runs instances through sandbox drivers, keeps what they write.
//!
//! A [`Node`] is told by control which instances to start and stop, and says
//! what became of them. It is the authority on which instances exist on it. It
//! knows nothing of requests: the gateway talks to an instance directly.
//!
//! - `lifecycle`: what an instance goes through, as a pure state machine;
//! - `turns`: whose turn it is to start, pure too;
//! - `instances`: both for all instances of a node, still without I/O;
//! - `node`, `live`: the shell around them, one task per instance begun;
//! - `load`: how busy the machine is;
//! - `logs`: what instances write, in memory and in files.

mod instances;
mod lifecycle;
mod live;
mod load;
mod logs;
mod node;
mod turns;

pub use load::LoadMeter;
pub use logs::LogStore;
pub use node::{ArtifactPath, Node, NodeConfig};
