//! Filters: may an instance of this shape be on this node?
//! One policy per file; [`registry`](crate::registry) lists them.

mod device_fit;
mod disk_fit;
mod health;
mod monopoly;
mod numa_fit;
mod required_anti_affinity;
mod required_labels;
mod resource_fit;
mod sandbox_kind;
mod taint_toleration;
mod tenant_dedication;
mod trust_partition;
mod unschedulable;

pub use device_fit::DeviceFit;
pub use disk_fit::DiskFit;
pub use health::Health;
pub use monopoly::Monopoly;
pub use numa_fit::NumaFit;
pub use required_anti_affinity::RequiredAntiAffinity;
pub use required_labels::RequiredLabels;
pub use resource_fit::ResourceFit;
pub use sandbox_kind::SandboxKind;
pub use taint_toleration::TaintToleration;
pub use tenant_dedication::TenantDedication;
pub use trust_partition::TrustPartition;
pub use unschedulable::Unschedulable;
