//! What a gateway and all its queues use.

use std::sync::{Arc, OnceLock};

use gapless_proto::ControlLink;
use gapless_rt::Clock;
use gapless_telemetry::Metrics;
use gapless_types::RevisionName;

use crate::routes::Routes;

/// What a gateway and all its queues use.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) control: OnceLock<Arc<dyn ControlLink>>,
    pub(crate) routes: Routes,
}

impl Shared {
    /// Forgets a revision that is replaced or deleted and of which nothing is left.
    pub(crate) fn forget_if_finished(&self, name: &RevisionName) {
        let Some((_, entry)) = self.routes.revision(name) else {
            return;
        };
        let is_finished = entry.existing().is_none_or(|queue| queue.is_finished());
        if is_finished && !self.routes.is_current(name) {
            self.routes.forget(name);
        }
    }
}
