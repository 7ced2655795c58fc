//! Orderly shutdown: everyone is told once, the teller waits for those who must finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// Told to everyone who has something to finish before the process ends.
/// Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    /// What the token says, for those who ask often: asking the token locks.
    has_begun: Arc<AtomicBool>,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A process that is not shutting down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when shutdown begins.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Whether shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Runs a task that [`Shutdown::finish`] waits for.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(future);
    }

    /// Tells everyone, and does not wait.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Tells everyone and waits for the tasks, at most `grace`. Returns whether
    /// all of them ended.
    pub async fn finish(&self, grace: std::time::Duration) -> bool {
        self.begin();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_tasks_and_reports_stragglers() {
        let shutdown = Shutdown::new();
        let seen = shutdown.clone();
        shutdown.spawn(async move { seen.begun().await });
        assert!(shutdown.finish(std::time::Duration::from_secs(5)).await);

        let stuck = Shutdown::new();
        stuck.spawn(std::future::pending::<()>());
        assert!(!stuck.finish(std::time::Duration::from_millis(1)).await);
    }
}
