//! Placement alone, simulated: instances come and go on modelled nodes, the real
//! [`Cluster`](gapless_placement::Cluster) decides where, and the models say what each
//! placement cost. No requests and no queues: those are [`Simulation`](crate::Simulation)'s.
//! So an hour of a cluster takes a fraction of a second, and weights can be searched.
//!
//! | to find | look in |
//! |---|---|
//! | nodes, functions, a mix of them | [`world`] |
//! | every formula and constant, with its source or that it is assumed | [`model`] |
//! | what is on one node, and what it does to who is there | `node` |
//! | the run: what happens in which order | [`episode`], `events` |
//! | what came of it | [`outcome`] |
//!
//! What always holds: the same world, mix, seed and weights give the same outcome; the
//! workload is the same whatever weights are played; every instance is counted once.
//!
//! Simplified, and said so: an instance's length is fixed when it starts (by the
//! slowdown of that moment), its cost is by the slowdown it really had; what finds no
//! room is a failure and is not tried again.

mod cluster;
mod draw;
mod episode;
mod events;
pub mod model;
mod node;
mod outcome;
pub mod world;

pub use episode::{Episode, Playing, Probe};
pub use outcome::{Costs, Outcome};
