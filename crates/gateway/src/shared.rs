//! What a gateway and all its queues use.

use std::sync::{Arc, OnceLock};

use gapless_proto::ControlLink;
use gapless_rt::Clock;
use gapless_telemetry::Metrics;

use crate::routes::Routes;

/// What a gateway and all its queues use.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) control: OnceLock<Arc<dyn ControlLink>>,
    pub(crate) routes: Routes,
}
