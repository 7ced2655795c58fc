//! Ctrl-C and SIGTERM: the work is dropped, and with it everything it started.

use std::fmt;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Somebody interrupted the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// What to exit with: 128 and the signal's number, as shells do.
    pub exit_code: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.exit_code == SIGINT { "interrupted" } else { "told to stop" })
    }
}

impl std::error::Error for Interrupted {}

const SIGINT: u8 = 128 + 2;
const SIGTERM: u8 = 128 + 15;

/// Runs `work` until it ends or somebody interrupts it; then the error is [`Interrupted`].
pub(crate) async fn or_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // The work is large: it goes to the heap.
    let mut work = Box::pin(work);
    tokio::select! {
        outcome = &mut work => outcome,
        _ = interrupt.recv() => Err(Interrupted { exit_code: SIGINT }.into()),
        _ = terminate.recv() => Err(Interrupted { exit_code: SIGTERM }.into()),
    }
}

/// Runs what blocks on a thread of its own, which does not outlive the process: a
/// runtime waits for its blocking tasks, so an interrupt would wait for hours.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens any more once it was interrupted.
        let _ = tell.send(work());
    });
    told.await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interrupt_is_told_from_a_failure() {
        let waits = or_interrupted(async {
            rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::TERM,
            )?;
            std::future::pending::<Result<()>>().await
        });
        let error = waits.await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Interrupted { exit_code: 143 }));
        let failed = or_interrupted(async { Err::<(), _>(anyhow::anyhow!("no")) }).await;
        assert!(failed.unwrap_err().downcast_ref::<Interrupted>().is_none());
        assert_eq!(on_a_thread(|| Ok(7)).await.unwrap(), 7);
    }
}
