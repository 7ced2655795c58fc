//! A watch: changes as they come, and how far it has come.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;

use crate::{StoreError, StoreEvent, StoreRevision};

/// A stream of every change under a prefix after a revision, in order.
///
/// The events of one transaction come one after the other, none of another
/// between them. An error is the last item: [`StoreError::Compacted`] if the
/// reader was too slow for the history that is kept. The stream ends when the
/// store is closed.
pub struct Watch {
    events: BoxStream<'static, Result<StoreEvent, StoreError>>,
    progress: Arc<AtomicU64>,
}

impl Watch {
    /// For stores: a stream, and the number it keeps for [`Watch::progress`].
    pub fn new(
        events: BoxStream<'static, Result<StoreEvent, StoreError>>,
        progress: Arc<AtomicU64>,
    ) -> Self {
        Watch { events, progress }
    }

    /// The revision up to which everything was delivered: a new watch after it
    /// goes on where this one is. It moves on with changes that are not under
    /// the prefix, also while nobody polls, and stays before a transaction until
    /// the last of its events was taken. So it is what a bookmark says.
    pub fn progress(&self) -> StoreRevision {
        self.progress.load(Ordering::Acquire)
    }
}

impl Stream for Watch {
    type Item = Result<StoreEvent, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watch at revision {}", self.progress())
    }
}
