//! Ctrl-C and SIGTERM: the work is dropped, and with it everything it started.

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` until it ends or somebody interrupts it.
pub(crate) async fn or_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // The work is large: it goes to the heap.
    let mut work = Box::pin(work);
    tokio::select! {
        outcome = &mut work => outcome,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}
