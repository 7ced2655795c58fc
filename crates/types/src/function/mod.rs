//! The declared function: what a person writes in `gapless.yaml` and what the
//! API stores and serves. Reading and checking it is in `read.rs`; this module
//! only re-exports.

mod object;
mod placement;
mod read;
mod spec;

pub use object::{Condition, Function, FunctionStatus, Metadata, TypeMeta};
pub use placement::{DeviceRequest, LabelMatch, LabelOperator, Placement, Preference, Tolerate};
pub use read::FieldError;
pub use spec::{
    Access, Code, FakeModel, FunctionSpec, KeepAlive, Queue, Resources, Route, Scale, Start,
    StartMode,
};
