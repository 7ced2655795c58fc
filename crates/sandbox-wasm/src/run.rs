//! A guest that waits: shared between whoever polls it (the call, then the
//! response's body) and whoever may end it (the seat's stop, the stalled-client
//! watchdog).
//!
//! A guest that never waits is never put in one of these.

use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::task::AtomicWaker;
use gapless_proto::CallError;
use parking_lot::Mutex;

use crate::failure;
use crate::guest::{Guest, GuestEnd};
use crate::seat::{Permit, Seat};

/// Why a guest is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// Its instance is being stopped.
    Stopped,
    /// It reached its deadline.
    TimedOut,
    /// Nobody waits for it any more.
    Abandoned,
}

/// The shared part.
pub(crate) struct Run {
    work: Mutex<Option<Work>>,
    cancelled: OnceLock<Cancel>,
    waker: AtomicWaker,
}

/// Field order matters: the store goes before the permit says that it is gone.
struct Work {
    guest: Guest,
    permit: Permit,
}

/// What a poll found.
pub(crate) enum Step {
    /// The guest ended by itself.
    Ended(GuestEnd, Permit),
    /// It was ended.
    Cancelled(Cancel),
}

impl Run {
    fn poll(&self, seat: &Seat, cx: &mut Context<'_>) -> Poll<Step> {
        self.waker.register(cx.waker());
        let polled = {
            let mut work = self.work.lock();
            let Some(working) = work.as_mut() else {
                return Poll::Ready(Step::Cancelled(self.why()));
            };
            if self.cancelled.get().is_some() {
                Poll::Pending
            } else {
                seat.ticker().touch();
                match working.guest.as_mut().poll(cx) {
                    Poll::Ready(end) => Poll::Ready((end, work.take())),
                    Poll::Pending => Poll::Pending,
                }
            }
        };
        match polled {
            Poll::Ready((end, Some(work))) => Poll::Ready(Step::Ended(end, work.permit)),
            Poll::Ready((_, None)) => unreachable!("the guest was polled under this lock"),
            // A cancel that came during the poll could not take the guest.
            Poll::Pending if self.cancelled.get().is_some() => {
                self.drop_work();
                Poll::Ready(Step::Cancelled(self.why()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ends the guest: at once, or when the poll that is under way returns.
    pub(crate) fn cancel(&self, why: Cancel) {
        let _ = self.cancelled.set(why);
        if let Some(mut work) = self.work.try_lock() {
            let work = work.take();
            // Dropping a guest calls back into the seat.
            drop(work);
        }
        self.waker.wake();
    }

    fn drop_work(&self) {
        let work = self.work.lock().take();
        drop(work);
    }

    fn why(&self) -> Cancel {
        self.cancelled.get().copied().unwrap_or(Cancel::Abandoned)
    }
}

/// The one who polls. Dropping it ends the guest.
pub(crate) struct Running {
    pub(crate) seat: Arc<Seat>,
    pub(crate) deadline: Instant,
    run: Arc<Run>,
    key: usize,
}

impl Running {
    /// Shares a guest that waits.
    pub(crate) fn share(seat: Arc<Seat>, guest: Guest, permit: Permit, deadline: Instant) -> Self {
        let run = Arc::new(Run {
            work: Mutex::new(Some(Work { guest, permit })),
            cancelled: OnceLock::new(),
            waker: AtomicWaker::new(),
        });
        let key = seat.enlist(run.clone());
        if seat.terms.is_cancelled() {
            run.cancel(Cancel::Stopped);
        }
        Running { seat, deadline, run, key }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Step> {
        self.run.poll(&self.seat, cx)
    }

    /// Ends the guest for a reason.
    pub(crate) fn cancel(&self, why: Cancel) {
        self.run.cancel(why);
    }

    /// Why the guest was ended, if it was.
    pub(crate) fn why_cancelled(&self) -> Option<Cancel> {
        self.run.cancelled.get().copied()
    }

    /// Something that can end the guest and does not keep it.
    pub(crate) fn weak(&self) -> std::sync::Weak<Run> {
        Arc::downgrade(&self.run)
    }

    /// The call of a guest that was ended.
    pub(crate) fn cancelled(&self, why: Cancel) -> CallError {
        match why {
            Cancel::TimedOut => failure::timed_out(&self.seat.terms),
            Cancel::Stopped | Cancel::Abandoned => failure::stopped(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.seat.delist(self.key);
        self.run.cancel(Cancel::Abandoned);
    }
}
