//! The declared API: its paths, the kinds it serves besides functions, lists
//! and error statuses. Shapes follow the Kubernetes API conventions.
//!
//! | method and path | what |
//! |---|---|
//! | `GET /readyz`, `/livez` | `200 ok` once requests can be served |
//! | `GET /version` | name and version of the platform |
//! | `GET /metrics` | Prometheus text |
//! | `GET /apis/gapless.dev/v1/functions` | every function (all namespaces) |
//! | `GET .../namespaces/NS/functions` | functions of a namespace |
//! | `GET PUT DELETE .../namespaces/NS/functions/NAME` | one function; `PUT` creates or replaces it |
//! | `POST .../namespaces/NS/functions` | creates a function, `409` if it exists |
//! | `GET .../functions?watch=true[&fieldSelector=metadata.name=NAME]` | one [`WatchEvent`] per line: what exists, then each change |
//! | `GET .../namespaces/NS/functions/NAME/log?tailLines=N&follow=true` | one [`LogLine`] as JSON per line |
//! | `GET /apis/gapless.dev/v1/instances`, `.../namespaces/NS/instances` | instances, from memory |
//! | `GET .../functions/NAME/explain`, `.../instances/NAME/explain` | where its next instance would go; why it is where it is: [`Explained`] |
//! | `GET /apis/gapless.dev/v1/nodes` | nodes |
//! | `PUT DELETE .../nodes/NAME/cordon` | it takes no new instances; it does again |
//! | `GET .../placementprofiles`, `GET PUT DELETE .../placementprofiles/NAME` | [`PlacementProfile`]s |
//! | `GET /apis/gapless.dev/v1/balance` | what the balancer learned: [`BalanceReport`] |
//! | `PUT DELETE /apis/gapless.dev/v1/balance/frozen` | it learns nothing; it does again |
//! | `GET /apis/gapless.dev/v1/placementpolicies/conflicts` | which scores pull against which: [`PolicyConflicts`] |
//! | `HEAD PUT /apis/gapless.dev/v1/artifacts/sha256:HEX` | is an artifact there; store one |
//! | `GET /apis/gapless.dev/v1/info` | [`PlatformInfo`]: the gateway's address and more |
//!
//! `HEAD` is answered wherever `GET` is. Every error is a [`Status`]. A write is on disk before its answer.

mod balance;
mod kinds;
mod logs;
mod profile;
mod sealing;
mod status;

pub use balance::{
    BalanceReport, ClassConflicts, PolicyConflicts, balance_freeze_path, balance_path,
    conflicts_path,
};
pub use kinds::{
    Instance, InstanceStatus, List, ListMeta, LogLine, Node, NodeSpec, NodeStatus, NodeTaint,
    NodeTaintEffect, ObjectMeta, PlatformInfo, Revision, RevisionStatus, WatchEvent,
};
pub use logs::FunctionLogs;
pub use profile::{
    Explained, PlacementProfile, ProfileConflict, ProfilePolicy, ProfileStatus, profile_path,
};
pub use sealing::{KeyRotation, key_rotation_path};
pub use status::{Status, StatusCause, StatusDetails, StatusMeta};

/// Where every resource path begins.
pub const ROOT: &str = "/apis/gapless.dev/v1";

/// The path of one function.
pub fn function_path(namespace: &str, name: &str) -> String {
    format!("{ROOT}/namespaces/{namespace}/functions/{name}")
}

/// The path of one artifact, by its digest `sha256:HEX`.
pub fn artifact_path(digest: &str) -> String {
    format!("{ROOT}/artifacts/{digest}")
}
