//! The vocabulary every other crate speaks: ids, quantities, time, the declared
//! function, the revision made from it, and whose fault a failure is.
//!
//! Nothing here does I/O, reads a clock or knows a runtime. Words follow the
//! glossary in `ARCHITECTURE.md`; a type's unit is the last word of its name or
//! is carried by the type itself ([`CpuMillis`], [`Bytes`], [`Span`]).

mod fault;
mod function;
mod ids;
mod outcomes;
mod quantity;
mod revision;
mod sensitive;
mod time;

pub use fault::{Fault, Reason};
pub use function::{
    Access, Code, Condition, DeviceRequest, EnvFrom, EnvValue, EnvValues, FakeModel, FieldError,
    Function, FunctionSpec, FunctionStatus, KeepAlive, Kept, LabelMatch, LabelOperator, LatencyMax,
    Metadata, Placement, Preference, Probe, Queue, Reading, Reference, Resources, RevisionRef,
    RolloutSpec, RolloutStatus, Route, Scale, Start, StartMode, TAG_SEPARATOR, Tolerate,
    TrafficStatus, TrafficTarget, TypeMeta, Word, is_platform_variable, nearest, read_object,
};
pub use ids::{
    FunctionKey, IdError, InstanceId, NodeId, ObjectNameError, RequestId, RevisionName, check_key,
    check_name, check_object_name,
};
pub use outcomes::{Latencies, Outcomes};
pub use quantity::{Bytes, CpuMillis, Percent, QuantityError, Span};
pub use revision::Revision;
pub use sensitive::Sensitive;
pub use time::Time;

/// The API group and version of every declared object.
pub const API_VERSION: &str = "gapless.dev/v1";
