//! What the platform says about itself: metrics, the stages of a request, logs.
//!
//! Metric names are in [`names`], one file, with their units. Recording on the
//! hot path takes no lock and allocates nothing: a gateway keeps the handles of
//! a revision's metrics ([`FunctionMetrics`]) beside the revision.

mod balance;
mod histogram;
pub mod log;
mod metrics;
pub mod names;
mod store;
mod trace;

pub use balance::BalanceMetrics;
pub use histogram::Histogram;
pub use metrics::{
    ControlMetrics, FunctionMetrics, GatewayMetrics, Metrics, NodeMetrics, Start, StatusClass,
};
pub use store::{StoreFacts, StoreMetrics};
pub use trace::{ServerTiming, Stage, Trace, TraceParent};
