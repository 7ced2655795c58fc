//! Instance to node: cluster state laid out for the machine, and placement in
//! batches under many policies. Pure: no clock, no threads, no randomness but what
//! follows from a seed.
//!
//! | to find | look in |
//! |---|---|
//! | what a node, an instance, a profile is made of | [`node`], [`shape`], [`profile`] |
//! | the cluster's state as policies see it | [`state`], [`context`] |
//! | the phases, and every policy | [`policy`], [`registry`] |
//! | who owns the state, and how a batch is placed | [`cluster`] |
//! | how the best node is found | `engine` |
//! | how scores are weighed, and learned weights | [`balance`] |
//! | which scores pull against which | [`conflicts`] |
//!
//! What always holds: no node's reservations exceed what it has, in any resource a
//! filter guards; what is possible is placed, however few nodes were looked at
//! first; the same calls give the same placements; "no room" is an answer that says
//! what was lacking on how many nodes, not an error.

pub mod balance;
pub mod cluster;
pub mod conflicts;
pub mod context;
pub mod domains;
mod engine;
mod explain;
pub mod filters;
mod names;
pub mod node;
pub mod permits;
pub mod plain;
pub mod policy;
pub mod profile;
mod reference;
pub mod registry;
pub mod reserves;
pub mod scores;
pub mod shape;
mod shortage;
pub mod state;

#[cfg(test)]
mod fixture;

pub use cluster::{
    Batch, Cluster, Config, Outcome, Placed, Prepared, Proposal, Request, ShapeId, Stage,
};
pub use context::{Context, Shape};
pub use explain::{Explanation, FilterStep, Group, NodeScores, PolicyScore, explain};
pub use node::{Held, Load, NodeError, NodeSpec};
pub use profile::{Profile, ProfileError, ProfileSpec};
pub use reference::reference;
pub use shape::{ShapeError, ShapeSpec};
pub use shortage::{LeftOut, Shortage, Unplaced};
pub use state::{NodeIndex, State};
