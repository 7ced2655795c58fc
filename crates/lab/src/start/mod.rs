//! `gapless sim` and `gapless lab start`: when instances are started, by simulation
//! with the servers' own cores, and how true that is.
//!
//! | part | where |
//! |---|---|
//! | one run | [`sim`] |
//! | planners against each other over workloads | [`lab`] |
//! | which workloads, on what | [`scenarios`] |
//! | plots | [`plots`] |
//! | the same on the real platform | [`real`] |

mod goals;
pub mod lab;
mod plots;
mod real;
mod scenarios;
pub mod sim;
mod workload_args;
