//! How far a cache has followed the store: what a writer waits for so that its next
//! request finds the write in effect.

use std::time::Duration;

use gapless_rt::Clock;
use gapless_store::StoreRevision;
use tokio::sync::watch;

/// How long a writer waits at the most. Acting on a write takes far less; a cache that
/// is stuck must not hold up answers for ever.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The last revision that was acted on.
#[derive(Debug)]
pub(crate) struct FollowedTo {
    revision: watch::Sender<StoreRevision>,
    clock: Clock,
}

impl FollowedTo {
    pub(crate) fn new(clock: Clock) -> Self {
        FollowedTo { revision: watch::channel(0).0, clock }
    }

    /// Everything up to `revision` was acted on.
    pub(crate) fn set(&self, revision: StoreRevision) {
        self.revision.send_if_modified(|last| {
            let is_later = *last < revision;
            if is_later {
                *last = revision;
            }
            is_later
        });
    }

    /// Waits until that is so, or has taken too long.
    pub(crate) async fn reached(&self, revision: StoreRevision) {
        let mut seen = self.revision.subscribe();
        let reached = seen.wait_for(|last| *last >= revision);
        if self.clock.timeout(WAIT_MAX, reached).await.is_none() {
            tracing::warn!(revision, "a write took long to take effect");
        }
    }
}
