//! What a connection's task waits for besides its bytes: that it lies idle, or
//! that the server stops. Both cost a request next to nothing: no clock is read,
//! no timer is set and no lock is taken, which hyper's own timer and a cancellation
//! token do for every request or wake-up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::BodyError;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

/// What a connection has been doing.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: AtomicU64,
    under_way: AtomicU32,
}

impl Activity {
    /// A request has begun; it is over when the answer is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Resolves when nothing was under way, and nothing began, for `span`, and
    /// before it was so for twice `span`.
    pub(crate) async fn idle(&self, span: Duration) {
        let mut seen = None;
        loop {
            tokio::time::sleep(span).await;
            let requests = self.requests.load(Ordering::Relaxed);
            let is_quiet = self.under_way.load(Ordering::Relaxed) == 0;
            if is_quiet && (seen == Some(requests) || requests == 0) {
                return;
            }
            seen = is_quiet.then_some(requests);
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer whose request is under way until its end.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    body: B,
    _busy: Busy,
}

impl<B> Counted<B> {
    pub(crate) fn new(body: B, busy: Busy) -> Self {
        Counted { body, _busy: busy }
    }
}

impl<B: HttpBody<Data = Bytes, Error = BodyError> + Unpin> HttpBody for Counted<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells every connection of a server to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    has_stopped: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Tells them.
    pub(crate) fn stop(&self) {
        // First what they look at, then the wake-up that makes them look.
        self.has_stopped.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Resolves when they are told. Must be polled by one task only, as it asks to
    /// be woken once: a connection's task is woken for every request, and would
    /// else take the notification's lock each time.
    pub(crate) async fn stopped(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        let mut is_listening = false;
        std::future::poll_fn(|cx| {
            if !is_listening {
                is_listening = true;
                if told.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            if self.has_stopped.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_once_nothing_happened_for_the_span() {
        let span = Duration::from_millis(5);
        Arc::new(Activity::default()).idle(span).await;
        let activity = Arc::new(Activity::default());
        let busy = activity.begin();
        let watched = activity.clone();
        let idle = gapless_rt::spawn(async move { watched.idle(span).await });
        tokio::time::sleep(span * 10).await;
        assert!(!idle.is_finished(), "a long answer is no idleness");
        drop(busy);
        idle.await.unwrap();
    }

    #[tokio::test]
    async fn everybody_is_told_before_and_after() {
        let stop = Arc::new(Stop::default());
        let before = stop.clone();
        let waiting = gapless_rt::spawn(async move { before.stopped().await });
        tokio::task::yield_now().await;
        stop.stop();
        waiting.await.unwrap();
        stop.stopped().await;
    }
}
