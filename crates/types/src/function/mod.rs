//! The declared function: what a person writes in `gapless.yaml` and what the
//! API stores and serves. Reading and checking it is in `read.rs`; this module
//! only re-exports.

mod check;
mod env;
mod object;
mod placement;
mod read;
mod reading;
mod rollout;
mod spec;
mod traffic;
mod words;

pub use check::is_platform_variable;
pub use env::{EnvFrom, EnvValue, Kept, Reference};
pub use object::{
    Condition, Function, FunctionStatus, Metadata, RolloutStatus, TrafficStatus, TypeMeta,
};
pub use placement::{DeviceRequest, LabelMatch, LabelOperator, Placement, Preference, Tolerate};
pub use read::FieldError;
pub use reading::{Reading, read_object};
pub use rollout::{LatencyMax, Probe, RolloutSpec};
pub use spec::{
    Access, Code, EnvValues, FakeModel, FunctionSpec, KeepAlive, Queue, Resources, Route, Scale,
    Start, StartMode, Word,
};
pub use traffic::{RevisionRef, TAG_SEPARATOR, TrafficTarget};
pub use words::nearest;
