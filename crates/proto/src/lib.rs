//! What gateway, control and node say to each other, and the body a request
//! carries from one to the other.
//!
//! Two kinds of things live here. *Messages and links* ([`link`], [`lease`]):
//! every message states a wish or a fact ("I want 12 instances of R", "instance
//! 7 is ready at E"), never a change, so a lost, repeated or reordered message
//! is harmless; each carries what tells old from new (a sequence number, or a
//! state that only moves forward). In one process the links are called
//! directly; across machines the same messages travel on streams.
//! [`config`] is what an instance is given besides its code.
//! *The wire* ([`body`], [`endpoint`]): a request as it moves between gateway
//! and instance, streamed both ways and never collected.
//!
//! Rule for every caller: no lock is held while a link is called. A core's
//! actions are collected under its lock and carried out after it is released;
//! the callee may call back at once on the same thread.

pub mod body;
pub mod config;
pub mod endpoint;
pub mod lease;
pub mod link;

pub use body::{Body, BodyError};
pub use config::{ConfigSource, Entries, NoConfigs, ResolvedConfig};
pub use endpoint::{CallError, Endpoint, LocalCall, LocalService, Request, Response};
pub use lease::{InstanceFact, Lease, Served, StartFailure, StartKind, StartPhase, StartReport};
pub use link::{
    ControlLink, Demand, FunctionRoute, GatewayLink, NodeFact, NodeLink, NodeListener,
    ProbeFailure, RouteReadiness, RouteTag, RouteTarget, StartInstance, StartsBlocked,
};
