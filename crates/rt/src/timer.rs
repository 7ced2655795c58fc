//! One re-armable alarm, for a core that asks to be woken.
//!
//! A core's `WakeAt` moves often and fires seldom, so moving it must be cheap:
//! a later time only changes a number (the sleeping task looks again when it
//! wakes), and an earlier one wakes the task. A core that never asks never has
//! a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_types::Time;
use tokio::sync::Notify;

use crate::{Clock, spawn};

/// An alarm that calls back at the time it was last set to.
#[derive(Debug)]
pub struct Timer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// When to fire, in nanoseconds; `u64::MAX` for never.
    due: AtomicU64,
    /// What the task sleeps until; `u64::MAX` when it waits to be notified.
    asleep_until: AtomicU64,
    earlier: Notify,
}

impl Timer {
    /// An alarm that is not set. `fire` must not block; it may set the alarm again.
    /// The task ends when the timer is dropped.
    pub fn spawn(clock: Clock, fire: impl Fn() + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            clock,
            due: AtomicU64::new(u64::MAX),
            asleep_until: AtomicU64::new(u64::MAX),
            earlier: Notify::new(),
        });
        let weak = Arc::downgrade(&shared);
        spawn(async move {
            // Holds the state only while it is awake or asleep on a due time,
            // and learns of the timer's end by the notification in `drop`.
            let mut current = weak.upgrade();
            while let Some(shared) = current.take() {
                shared.wait_until_due().await;
                if Arc::strong_count(&shared) == 1 {
                    return;
                }
                drop(shared);
                fire();
                current = weak.upgrade();
            }
        });
        Timer { shared }
    }

    /// Fires at `time` instead of whenever it was set to; [`Time::NEVER`] unsets it.
    pub fn set(&self, time: Time) {
        let due = time.as_nanos();
        self.shared.due.store(due, Ordering::SeqCst);
        if due < self.shared.asleep_until.load(Ordering::SeqCst) {
            self.shared.earlier.notify_one();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.due.store(0, Ordering::SeqCst);
        self.shared.earlier.notify_one();
    }
}

impl Shared {
    async fn wait_until_due(&self) {
        loop {
            let due = self.due.load(Ordering::SeqCst);
            if due <= self.clock.now().as_nanos() {
                // A `set` between the load and here is kept, not overwritten.
                let fired = u64::MAX;
                if self.due.compare_exchange(due, fired, Ordering::SeqCst, Ordering::SeqCst).is_ok()
                {
                    return;
                }
                continue;
            }
            self.asleep_until.store(due, Ordering::SeqCst);
            // Announce first, look again after: a `set` in between either is seen
            // here or sees the announcement and notifies.
            if self.due.load(Ordering::SeqCst) < due {
                continue;
            }
            tokio::select! {
                () = self.clock.sleep_until(Time::from_nanos(due)), if due != u64::MAX => {}
                () = self.earlier.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn fires_at_the_time_last_set_and_once() {
        let clock = Clock::start();
        let fired = Arc::new(AtomicU32::new(0));
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let count = fired.clone();
        let timer = Timer::spawn(clock, move || {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = tx.send(clock.now());
        });
        timer.set(clock.now() + Duration::from_secs(3600));
        let due = clock.now() + Duration::from_millis(20);
        timer.set(due);
        let at = rx.recv().await.unwrap();
        assert!(at >= due);
        timer.set(clock.now() + Duration::from_millis(5));
        timer.set(clock.now() + Duration::from_millis(15));
        rx.recv().await.unwrap();
        assert_eq!(fired.load(Ordering::SeqCst), 2);
        drop(timer);
        assert!(rx.recv().await.is_none(), "the task ended with its timer");
    }

    #[tokio::test]
    async fn unset_never_fires() {
        let clock = Clock::start();
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let timer = Timer::spawn(clock, move || tx.send(()).unwrap_or_default());
        timer.set(clock.now() + Duration::from_millis(5));
        timer.set(Time::NEVER);
        let quiet = tokio::time::timeout(Duration::from_millis(30), rx.recv()).await;
        assert!(quiet.is_err());
    }
}
