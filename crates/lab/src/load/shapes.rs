//! The shapes of load: closed loop, open loop, burst.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::{JoinSet, LocalSet};

use super::{Check, Connection, Report, Target};

/// How long one request may take before it counts as broken.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Pause after a connection that could not be made, so that a dead server is not hammered.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Connections opened at the same time before a burst: less than any listen backlog.
const OPENING_MAX: usize = 64;

/// What is sent, and how its answers are judged.
#[derive(Clone)]
pub struct Load {
    /// The request.
    pub target: Target,
    /// Judges every answer.
    pub check: Check,
    /// Whether to note what the platform says of each answer (instance, time
    /// queued); costs a little for each.
    pub is_noting: bool,
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Load {
    /// This request, judged by `check`.
    pub fn new(target: Target, check: Check) -> Self {
        Load { target, check, is_noting: false }
    }

    /// The same, noting instances and time queued.
    pub fn noting(mut self) -> Self {
        self.is_noting = true;
        self
    }

    /// Sends one request and counts its outcome; latency counts from `since`.
    async fn send(&self, connection: &mut Option<Connection>, since: Instant, tally: &Tally) {
        let outcome = tokio::time::timeout(ANSWER_WITHIN, async {
            if connection.is_none() {
                *connection = Some(Connection::open(self.target.address).await?);
            }
            let open = connection.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
            let answer = open.call(&self.target.request).await?;
            let answered_at = Instant::now();
            let verdict = (self.check)(&answer);
            tally.count(answered_at, |report| {
                report.count(answered_at - since, &answer, verdict);
                if self.is_noting {
                    report.note(&answer);
                }
            });
            if open.is_over() {
                *connection = None;
            }
            Ok(())
        });
        let error = match outcome.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => std::io::ErrorKind::TimedOut.into(),
        };
        tally.count(Instant::now(), |report| report.count_broken(&error));
        if connection.take().is_none() {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Runs the connections of one load, on this thread, and keeps their one report.
/// Dropping it closes every connection at once (tasks of the runtime would keep
/// them until it next gets a turn, and a server that stops waits for them).
struct Tally {
    begun: Instant,
    report: Mutex<Report>,
}

impl Tally {
    fn begin() -> Arc<Self> {
        Arc::new(Tally { begun: Instant::now(), report: Mutex::default() })
    }

    /// Counts an outcome that was there at `at`.
    fn count(&self, at: Instant, count: impl FnOnce(&mut Report)) {
        let mut report = self.report.lock();
        count(&mut report);
        report.elapsed = report.elapsed.max(at - self.begun);
    }

    /// Runs `connections` to their end; their report.
    async fn gather<F>(&self, connections: impl Iterator<Item = F>) -> Report
    where
        F: Future<Output = ()> + 'static,
    {
        let here = LocalSet::new();
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn_local_on(connection, &here);
        }
        let ended = here.run_until(async {
            while let Some(ended) = running.join_next().await {
                if let Err(error) = ended {
                    let error = std::io::Error::other(error);
                    self.count(Instant::now(), |report| report.count_broken(&error));
                }
            }
        });
        ended.await;
        std::mem::take(&mut self.report.lock())
    }
}

/// `connections` connections, each sending its next request when it has its
/// answer, for `span`.
pub async fn closed_loop(load: &Load, connections: usize, span: Duration) -> Report {
    let tally = Tally::begin();
    let until = tally.begun + span;
    let loops = (0..connections).map(|_| {
        let (load, tally) = (load.clone(), tally.clone());
        async move {
            let mut connection = None;
            while Instant::now() < until {
                load.send(&mut connection, Instant::now(), &tally).await;
            }
        }
    });
    tally.gather(loops).await
}

/// `per_second` requests a second for `span`, spread evenly over `connections`
/// connections. If an answer is so late that the next request is, its latency
/// counts from the moment it was due; there must be enough connections that few are.
pub async fn open_loop(load: &Load, connections: usize, per_second: f64, span: Duration) -> Report {
    // Open before the first request is due: opening is not what is measured.
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(load.target.address).await.ok());
    }
    let tally = Tally::begin();
    let until = tally.begun + span;
    let period = Duration::from_secs_f64(connections as f64 / per_second);
    let loops = opened.into_iter().enumerate().map(|(index, mut connection)| {
        let (load, tally) = (load.clone(), tally.clone());
        let mut due = tally.begun + period.mul_f64(index as f64 / connections as f64);
        async move {
            while due < until {
                let is_idle = Instant::now() < due;
                tokio::time::sleep_until(due.into()).await;
                // A timer that fires late is this program's fault; an answer that
                // came so late that the next request is late as well is not.
                let since = if is_idle { Instant::now() } else { due };
                load.send(&mut connection, since, &tally).await;
                due += period;
            }
        }
    });
    tally.gather(loops).await
}

/// One request on each of `requests` connections, all sent at the same moment.
/// The connections are open before that, and latency counts from that moment.
pub async fn burst(load: &Load, requests: usize) -> std::io::Result<Report> {
    Ok(prepare(load, requests).await?.fire().await)
}

/// A burst whose connections are open.
#[derive(Debug)]
pub struct Burst {
    load: Load,
    connections: Vec<Connection>,
}

/// Opens the connections of a [`burst`].
pub async fn prepare(load: &Load, requests: usize) -> std::io::Result<Burst> {
    let mut connections = Vec::with_capacity(requests);
    while connections.len() < requests {
        let mut opening = JoinSet::new();
        for _ in 0..OPENING_MAX.min(requests - connections.len()) {
            opening.spawn(Connection::open(load.target.address));
        }
        while let Some(opened) = opening.join_next().await {
            connections.push(opened.map_err(std::io::Error::other)??);
        }
    }
    Ok(Burst { load: load.clone(), connections })
}

impl Burst {
    /// Sends every request and waits for every answer.
    pub async fn fire(self) -> Report {
        let tally = Tally::begin();
        let sends = self.connections.into_iter().map(|connection| {
            let (load, tally) = (self.load.clone(), tally.clone());
            async move { load.send(&mut Some(connection), tally.begun, &tally).await }
        });
        tally.gather(sends).await
    }
}
