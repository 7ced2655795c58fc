//! How far a cache has followed the store: what a writer waits for so that its next
//! request finds the write in effect.
//!
//! Each writer waits for its own revision and is woken once, when that is reached: with
//! many writers, waking all of them for every event would cost more than the events.

use std::time::Duration;

use futures::channel::oneshot;
use gapless_rt::Clock;
use gapless_store::StoreRevision;
use parking_lot::Mutex;

/// How long a writer waits at the most. Acting on a write takes far less; a cache that
/// is stuck must not hold up answers for ever.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The last revision that was acted on.
#[derive(Debug)]
pub(crate) struct FollowedTo {
    state: Mutex<State>,
    clock: Clock,
}

/// Writers are as many as requests that write at a time, which is bounded.
#[derive(Debug, Default)]
struct State {
    last: StoreRevision,
    waiting: Vec<(StoreRevision, oneshot::Sender<()>)>,
}

impl FollowedTo {
    pub(crate) fn new(clock: Clock) -> Self {
        FollowedTo { state: Mutex::default(), clock }
    }

    /// Everything up to `revision` was acted on.
    pub(crate) fn set(&self, revision: StoreRevision) {
        let reached: Vec<_> = {
            let mut state = self.state.lock();
            if revision <= state.last {
                return;
            }
            state.last = revision;
            state.waiting.extract_if(.., |(wanted, _)| *wanted <= revision).collect()
        };
        for (_, writer) in reached {
            // One that has gone does not want to know.
            let _ = writer.send(());
        }
    }

    /// Waits until that is so, or has taken too long.
    pub(crate) async fn reached(&self, revision: StoreRevision) {
        let reached = {
            let mut state = self.state.lock();
            if state.last >= revision {
                return;
            }
            // Those who gave up are let go of here.
            state.waiting.retain(|(_, writer)| !writer.is_canceled());
            let (writer, reached) = oneshot::channel();
            state.waiting.push((revision, writer));
            reached
        };
        if self.clock.timeout(WAIT_MAX, reached).await.is_none() {
            tracing::warn!(revision, "a write took long to take effect");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_writer_is_woken_when_its_own_revision_is_reached() {
        let followed = Arc::new(FollowedTo::new(Clock::start()));
        followed.set(3);
        followed.reached(3).await;
        let wait = |revision| {
            let followed = Arc::clone(&followed);
            tokio::spawn(async move { followed.reached(revision).await })
        };
        let (fifth, seventh) = (wait(5), wait(7));
        while followed.state.lock().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        followed.set(4);
        assert_eq!(followed.state.lock().waiting.len(), 2);
        followed.set(6);
        fifth.await.unwrap();
        assert!(!seventh.is_finished());
        assert_eq!(followed.state.lock().waiting.len(), 1);
        followed.set(2);
        followed.set(9);
        seventh.await.unwrap();
    }
}
