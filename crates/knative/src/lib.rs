//! Knative Services (`serving.knative.dev/v1`) as functions, and functions as Services.
//!
//! ```text
//!  Service as written ── to_function ──> function (stored, runs)
//!                                   └──> shape (stored beside it: what was written)
//!  function + shape ── to_service ──> Service as written, with Knative's defaults and status
//! ```
//!
//! Three things are done with a field, and never a fourth: it is *honoured*; it is *kept
//! with a warning* where ignoring it changes how well a service runs but not what it does
//! (as Knative does with annotations that it does not know); or it is *refused* by name,
//! with what to do instead, where ignoring it would break the service. `docs/knative.md`
//! has the list.
//!
//! Sources: Knative Serving API specification 1.0 (fields and their levels), the defaults
//! and checks of knative/serving (`pkg/apis/serving/v1`, `pkg/apis/autoscaling`).
//!
//! Pure: values in, values out.

mod annotations;
mod container;
mod defaults;
mod env;
mod fields;
mod service;
mod show;
mod status;
mod traffic;

pub use service::{Translated, to_function};
pub use show::to_service;

/// The API group and version of the Services that are accepted.
pub const API_VERSION: &str = "serving.knative.dev/v1";
/// What an image of a function's uploaded code is called, before `@sha256:HEX`.
pub const ARTIFACT_IMAGE: &str = "gapless.dev/artifact";
/// The concurrency of a service that asks for none: Knative's
/// `container-concurrency-target-default` (config-autoscaler).
pub const CONCURRENCY_DEFAULT: u64 = 100;
/// Knative's `revision-timeout-seconds` (config-defaults).
pub const TIMEOUT_SECONDS_DEFAULT: u64 = 300;
