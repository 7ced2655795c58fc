//! The real clock, read as [`Time`].

use std::time::Instant;

use gapless_types::Time;

/// A monotonic clock with one origin for the whole process. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The current time.
    pub fn now(&self) -> Time {
        let elapsed = self.origin.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// The instant at which this clock shows `time`, for the runtime's timers.
    /// A far future is capped at a year from the origin.
    pub fn instant(&self, time: Time) -> tokio::time::Instant {
        const YEAR_NANOS: u64 = 365 * 86_400 * 1_000_000_000;
        let nanos = time.as_nanos().min(YEAR_NANOS);
        tokio::time::Instant::from_std(self.origin + std::time::Duration::from_nanos(nanos))
    }

    /// Waits until the clock shows `time`.
    pub async fn sleep_until(&self, time: Time) {
        tokio::time::sleep_until(self.instant(time)).await;
    }

    /// Waits for `future`, at most `span`; `None` when it took longer and was dropped.
    pub async fn timeout<F: Future>(
        &self,
        span: std::time::Duration,
        future: F,
    ) -> Option<F::Output> {
        tokio::time::timeout(span, future).await.ok()
    }
}
