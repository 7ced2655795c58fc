//! A discrete-event simulator that runs the very cores the servers run.
//!
//! | to find | look in |
//! |---|---|
//! | what is simulated: nodes, starts, bounds | [`Config`] |
//! | how long starts take, with sources | [`StartModel`], [`PUBLISHED`] |
//! | the run: which core is told what, and when | `engine` |
//! | nodes: contention, turns, images | `node`, `sharing` |
//! | what comes of it | [`Report`] |
//! | placement alone, for weights: an hour of a cluster in a fraction of a second | [`placing`] |
//!
//! `dispatch`, `scaling` and `placement` are linked, not imitated: a function has a
//! `Dispatch` as in a gateway and a `Fleet` as in control, and instances are placed
//! by the same `Cluster`. What is modelled is what happens on nodes, and time.
//!
//! What always holds (`tests/`): the same configuration, seed and workload give the
//! same report; every request is served, refused or lost, once; memory grows with
//! functions and what is under way, not with the length of the workload.
//!
//! Not a queueing model solved on paper: the questions asked of it are about the
//! very rules the cores follow, and a formula would answer for other rules.

mod agenda;
mod config;
mod engine;
mod node;
mod place;
pub mod placing;
mod report;
mod sharing;
mod start;

pub use config::{Config, NODES_MAX, Setting};
pub use engine::{Progress, SimError, Simulation};
pub use gapless_dispatch::KeepAlive;
pub use report::{Memory, Percentiles, Report};
pub use start::{PUBLISHED, Published, StartModel, StartModelError};
