//! When requests are due: a workload's arrivals, each given out at its time.
//!
//! Two threads of their own stand between the workload and the driver. One reads
//! ahead, because a trace may have to be read from a disk; the other sleeps until an
//! arrival is due and hands it over. A thread's sleep is exact to tens of
//! microseconds, a runtime's timer to a millisecond, which is more than a warm call
//! takes. What always holds: the schedule is absolute, so that an arrival that was
//! given out late does not move the next; nothing is given out before it is due.

use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use gapless_workload::{Arrival, TraceError, Workload};
use tokio::sync::{mpsc, oneshot};

/// Arrivals read ahead.
const AHEAD: usize = 8192;
/// Arrivals that are due and not yet taken by a driver that lags.
const DUE_MAX: usize = 65_536;
/// From the moment that the first arrival is known to the schedule's begin.
const LEAD: Duration = Duration::from_millis(20);
/// The longest sleep before looking whether anybody still listens.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// No schedule goes on for longer.
const SPAN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// An arrival whose time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) arrival: Arrival,
    /// When it was due.
    pub(super) at: Instant,
}

/// A workload at work.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the schedule begins.
    pub(super) begun: Instant,
    pub(super) due: mpsc::Receiver<Result<Due, TraceError>>,
}

/// When what arrives at `at` is due, since the schedule's begin.
pub(super) fn due_after(at: Duration, speed: f64) -> Duration {
    let scaled = Duration::try_from_secs_f64(at.as_secs_f64() / speed);
    scaled.map_or(SPAN_MAX, |span| span.min(SPAN_MAX))
}

/// Starts giving out what arrives in `workload`, at `speed` times its own pace. It
/// goes on until the end of the workload or until the receiver is dropped.
pub(super) async fn start(workload: Workload, speed: f64) -> Pace {
    let (read, ready) = blocking::sync_channel(AHEAD);
    let (give, due) = mpsc::channel(DUE_MAX);
    let (tell_begun, begun) = oneshot::channel();
    std::thread::spawn(move || {
        for arrival in workload {
            if read.send(arrival).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let mut next = ready.recv();
        let begun = Instant::now() + LEAD;
        // Nobody is told who does not wait for it any more.
        let _ = tell_begun.send(begun);
        while let Ok(arrival) = next {
            let item = match arrival {
                Ok(arrival) => {
                    let at = begun + due_after(arrival.at, speed);
                    if !sleep_until(at, || give.is_closed()) {
                        return;
                    }
                    Ok(Due { arrival, at })
                }
                Err(error) => Err(error),
            };
            if give.blocking_send(item).is_err() {
                return;
            }
            next = ready.recv();
        }
    });
    // The thread sends it before anything else, unless it could not even do that.
    let begun = begun.await.unwrap_or_else(|_| Instant::now());
    Pace { begun, due }
}

/// Whether the time came before `is_over`.
fn sleep_until(at: Instant, is_over: impl Fn() -> bool) -> bool {
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if is_over() {
            return false;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use gapless_workload::{Input, ReadOptions, read};

    use super::*;

    #[test]
    fn speed_scales_the_schedule_and_bounds_it() {
        let ten = Duration::from_secs(10);
        assert_eq!(due_after(ten, 1.0), ten);
        assert_eq!(due_after(ten, 4.0), Duration::from_millis(2500));
        assert_eq!(due_after(ten, 0.5), Duration::from_secs(20));
        assert_eq!(due_after(ten, f64::MIN_POSITIVE), SPAN_MAX);
        assert_eq!(due_after(Duration::ZERO, 1e-300), Duration::ZERO);
    }

    fn workload() -> Workload {
        let csv = "function,workload,mean_ms,minute_1\na,x,20,7\nb,x,20,5\n";
        read(vec![Input::bytes("t.csv", csv)], &ReadOptions::default()).unwrap()
    }

    #[tokio::test]
    async fn every_arrival_is_given_out_once_at_its_place_and_never_early() {
        let expected: Vec<Arrival> = workload().collect::<Result<_, _>>().unwrap();
        let speed = 1000.0;
        let mut pace = start(workload(), speed).await;
        let mut given = Vec::new();
        while let Some(due) = pace.due.recv().await {
            let due = due.unwrap();
            assert!(Instant::now() >= due.at);
            assert_eq!(due.at - pace.begun, due_after(due.arrival.at, speed));
            given.push(due.arrival);
        }
        assert_eq!(given, expected);
    }

    #[tokio::test]
    async fn an_empty_workload_ends() {
        let mut pace = start(workload().until(Duration::ZERO), 1.0).await;
        assert!(pace.due.recv().await.is_none());
    }

    #[test]
    fn a_sleep_ends_when_nobody_listens() {
        let far = Instant::now() + Duration::from_secs(3600);
        assert!(!sleep_until(far, || true));
        assert!(sleep_until(Instant::now(), || true));
    }
}
