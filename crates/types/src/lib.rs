//! The vocabulary every other crate speaks: ids, quantities, time, the declared
//! function, the revision made from it, and whose fault a failure is.
//!
//! Nothing here does I/O, reads a clock or knows a runtime. Words follow the
//! glossary in `ARCHITECTURE.md`; a type's unit is the last word of its name or
//! is carried by the type itself ([`CpuMillis`], [`Bytes`], [`Span`]).

mod fault;
mod function;
mod ids;
mod quantity;
mod revision;
mod time;

pub use fault::{Fault, Reason};
pub use function::{
    Access, Code, Condition, DeviceRequest, FakeModel, FieldError, Function, FunctionSpec,
    FunctionStatus, KeepAlive, LabelMatch, LabelOperator, Metadata, Placement, Preference, Queue,
    Resources, Route, Scale, Start, StartMode, Tolerate, TypeMeta,
};
pub use ids::{FunctionKey, IdError, InstanceId, NodeId, RequestId, RevisionName, check_name};
pub use quantity::{Bytes, CpuMillis, QuantityError, Span};
pub use revision::Revision;
pub use time::Time;

/// The API group and version of every declared object.
pub const API_VERSION: &str = "gapless.dev/v1";
