//! The driver: sends each request of a workload when it is due, whatever becomes of
//! the others.
//!
//! It needs a gateway and the names of functions that are there; who deployed them is
//! not its business. Every request is a task on the caller's thread, with a connection
//! from a pool that grows as needed. What always holds: no request waits for another
//! one's answer; latency counts from the moment a request was due, so what this
//! program itself is late by is part of it, and shown apart; what exceeds the bound on
//! requests under way is counted as unsent, never sent later.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_workload::{Arrival, TraceError, Workload};
use parking_lot::Mutex;
use rustix::process::Resource;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::MissedTickBehavior;

use super::pace::{self, Due, Pace};
use super::tally::Tally;
use crate::load::{Answer, Connection};
use crate::platform::raise_file_limit;

/// Requests under way, at the most, however many files may be open.
pub(crate) const IN_FLIGHT_MAX: usize = 20_000;
/// Files that are not connections, and some room.
const OTHER_FILES: u64 = 128;
/// A connection that was idle for longer is not used again: the gateway closes them.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The header field that says how many microseconds the workload's request works.
const SERVICE_FIELD: &str = "x-replay-us";
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Makes the target of a request, such as `/work?us=1000`.
pub(crate) type PathOf = Rc<dyn Fn(&Arrival) -> String>;
/// Judges an answer that was served: why it is wrong, if it is.
pub(crate) type Check = Rc<dyn Fn(&Arrival, &Answer<'_>) -> Result<(), String>>;

/// Told how far it is.
pub(crate) type Tell = Box<dyn FnMut(&Progress)>;

/// How to drive.
pub(crate) struct Options {
    /// How much faster than the workload's own pace requests arrive. Their service
    /// time stays as it is.
    pub(crate) speed: f64,
    /// What is asked for.
    pub(crate) path: PathOf,
    /// Whether what was served is right.
    pub(crate) check: Check,
    /// Requests under way at the most; see [`in_flight_max`].
    pub(crate) in_flight_max: usize,
    /// How long an answer may take beyond its service time.
    pub(crate) patience: Duration,
    /// Told how many requests of each function are under way.
    pub(crate) in_flight: InFlight,
    /// Called each second.
    pub(crate) progress: Option<Tell>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("speed", &self.speed).finish_non_exhaustive()
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Since the schedule's begin.
    pub(crate) elapsed: Duration,
    /// Requests whose time has come.
    pub(crate) arrived: u64,
    /// Of which without an answer yet.
    pub(crate) in_flight: u64,
}

/// What came of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The counts.
    pub(crate) tally: Tally,
    /// From the schedule's begin to the last answer.
    pub(crate) wall: Duration,
    /// Requests under way when it was stopped; none otherwise.
    pub(crate) unanswered: u64,
    /// Whether it was stopped before its end.
    pub(crate) is_partial: bool,
}

/// Requests under way, by function. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<Vec<u32>>>);

impl InFlight {
    fn enter(&self, function: usize) -> Entered {
        let mut counts = self.0.lock();
        if counts.len() <= function {
            counts.resize(function + 1, 0);
        }
        counts[function] += 1;
        Entered { counts: self.clone(), function }
    }

    /// How many requests of each function are under way; none of those that are left out.
    pub(crate) fn counts(&self) -> Vec<u32> {
        self.0.lock().clone()
    }
}

/// A request under way, until it is dropped.
struct Entered {
    counts: InFlight,
    function: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.counts.0.lock()[self.function] -= 1;
    }
}

/// How many requests may be under way with as many open files as this process may
/// have, which is raised as far as it goes.
pub(crate) fn in_flight_max() -> usize {
    raise_file_limit();
    let files = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    connections.clamp(1, IN_FLIGHT_MAX)
}

/// What the requests share.
struct Shared {
    gateway: SocketAddr,
    path: PathOf,
    check: Check,
    patience: Duration,
    in_flight: InFlight,
    tally: RefCell<Tally>,
    /// Idle connections, the one used last at the end, and since when.
    idle: RefCell<Vec<(Connection, Instant)>>,
}

/// Sends `workload` to the functions that `host_of` names at `gateway`, until its end
/// or until `stop` ends, and counts what becomes of it. Once stopped, nothing is waited
/// for: what is under way is abandoned and said to be unanswered.
pub(crate) async fn drive(
    gateway: SocketAddr,
    host_of: impl Fn(usize) -> String,
    workload: Workload,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, TraceError> {
    let Options { speed, path, check, in_flight_max, patience, in_flight, progress } = options;
    let (tally, idle) = (RefCell::default(), RefCell::default());
    let shared = Rc::new(Shared { gateway, path, check, patience, in_flight, tally, idle });
    let here = LocalSet::new();
    let schedule = Schedule { pace: pace::start(workload, speed).await, in_flight_max, progress };
    here.run_until(schedule.keep(&shared, host_of, stop)).await
}

/// What is to be sent, and how much of it at a time.
struct Schedule {
    pace: Pace,
    in_flight_max: usize,
    progress: Option<Tell>,
}

impl Schedule {
    async fn keep(
        mut self,
        shared: &Rc<Shared>,
        host_of: impl Fn(usize) -> String,
        stop: impl Future<Output = ()>,
    ) -> Result<Outcome, TraceError> {
        let begun = self.pace.begun;
        let mut hosts: HashMap<u32, Rc<str>> = HashMap::new();
        let mut running = JoinSet::new();
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first is at once, and nothing has happened.
        tick.tick().await;
        let mut stop = std::pin::pin!(stop);
        let (mut has_more, mut is_partial) = (true, false);
        while has_more || !running.is_empty() {
            tokio::select! {
                biased;
                () = &mut stop => {
                    is_partial = true;
                    break;
                }
                due = self.pace.due.recv(), if has_more => match due.transpose()? {
                    None => has_more = false,
                    Some(due) => {
                        let mut tally = shared.tally.borrow_mut();
                        tally.arrived(&due.arrival);
                        if running.len() >= self.in_flight_max {
                            tally.unsent += 1;
                            continue;
                        }
                        let function = due.arrival.function;
                        let host = hosts.entry(function);
                        let host = host.or_insert_with(|| host_of(function as usize).into());
                        running.spawn_local(send(shared.clone(), host.clone(), due));
                    }
                },
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        shared.tally.borrow_mut().broke(&io::Error::other(error));
                    }
                }
                _ = tick.tick() => {
                    if let Some(tell) = &mut self.progress {
                        tell(&shared.progress(begun));
                    }
                }
            }
        }
        let wall = begun.elapsed();
        let Progress { in_flight: unanswered, .. } = shared.progress(begun);
        // What is under way must not count any more.
        running.shutdown().await;
        Ok(Outcome { tally: shared.tally.take(), wall, unanswered, is_partial })
    }
}

impl Shared {
    fn progress(&self, begun: Instant) -> Progress {
        let tally = self.tally.borrow();
        let in_flight = tally.arrived - tally.ended();
        Progress { elapsed: begun.elapsed(), arrived: tally.arrived, in_flight }
    }

    /// An open connection: an idle one, else a new one.
    async fn connection(&self) -> io::Result<Connection> {
        let newest = self.idle.borrow_mut().pop();
        match newest {
            Some((connection, since)) if since.elapsed() < IDLE_MAX => Ok(connection),
            // The others are idle for even longer.
            Some(_) => {
                self.idle.borrow_mut().clear();
                Connection::open(self.gateway).await
            }
            None => Connection::open(self.gateway).await,
        }
    }

    async fn call(&self, due: &Due, request: &[u8]) -> io::Result<()> {
        let mut connection = self.connection().await?;
        let answer = connection.call(request).await?;
        let answered_at = Instant::now();
        self.tally.borrow_mut().answered(&due.arrival, answered_at - due.at, &answer, |answer| {
            (self.check)(&due.arrival, answer)
        });
        if !connection.is_over() {
            self.idle.borrow_mut().push((connection, answered_at));
        }
        Ok(())
    }
}

/// Sends one request and counts what becomes of it.
async fn send(shared: Rc<Shared>, host: Rc<str>, due: Due) {
    shared.tally.borrow_mut().sent(due.at.elapsed());
    let _entered = shared.in_flight.enter(due.arrival.function as usize);
    let path = (shared.path)(&due.arrival);
    let us = due.arrival.service.as_micros();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{SERVICE_FIELD}: {us}\r\n\r\n");
    let limit = due.arrival.service.saturating_add(shared.patience);
    let called = tokio::time::timeout(limit, shared.call(&due, request.as_bytes())).await;
    if let Err(error) = called.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        shared.tally.borrow_mut().broke(&error);
    }
}

#[cfg(test)]
mod tests;
