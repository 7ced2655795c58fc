//! What waits for the writer.

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, ready};
use gapless_store::{StoreError, StoreRevision, Write};
use parking_lot::{Condvar, Mutex};

use crate::bounds::Bounds;
use crate::memory::Packed;

/// Where a request's outcome goes.
pub(crate) type Answer = oneshot::Sender<Result<StoreRevision, StoreError>>;
/// What a request comes to.
pub(crate) type Outcome = BoxFuture<'static, Result<StoreRevision, StoreError>>;

/// A write: as it is for the log, and its value packed for memory.
#[derive(Debug)]
pub(crate) struct PackedWrite {
    pub(crate) write: Write,
    /// `None` if it deletes.
    pub(crate) packed: Option<Packed>,
}

/// Something for the writer to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// A transaction that was checked.
    Commit { writes: Vec<PackedWrite>, answer: Answer },
    /// Forgets history before a revision.
    Compact { before: StoreRevision, answer: Answer },
    /// A checkpoint ended; log files before this one are gone, if it was made.
    Checkpointed { first: Option<u64> },
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Request::Commit { writes, .. } => writes.iter().map(|one| one.write.bytes()).sum(),
            Request::Compact { .. } | Request::Checkpointed { .. } => 0,
        }
    }
}

/// Requests, in their order.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    requests_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Request>,
    /// Of the transactions among them.
    bytes: usize,
    is_closed: bool,
    /// Whether the writer sleeps.
    is_idle: bool,
}

impl Queue {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let Bounds { waiting_max: requests_max, waiting_bytes_max: bytes_max, .. } = *bounds;
        Queue { waiting: Mutex::default(), arrived: Condvar::new(), requests_max, bytes_max }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().requests.len()
    }

    /// Hands a request to the writer.
    pub(crate) fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Outcome {
        let (answer, answered) = oneshot::channel();
        match self.push(request(answer), false) {
            Ok(()) => answered.map(|answer| answer.unwrap_or(Err(StoreError::Closed))).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    /// Tells the writer something that is not bounded by what waits.
    pub(crate) fn tell(&self, request: Request) {
        // A closed store has no use for it.
        let _ = self.push(request, true);
    }

    /// Waits for requests and takes all. False once closed and empty.
    pub(crate) fn take(&self, taken: &mut Vec<Request>) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.requests.is_empty() && !waiting.is_closed {
            waiting.is_idle = true;
            self.arrived.wait(&mut waiting);
            waiting.is_idle = false;
        }
        std::mem::swap(&mut waiting.requests, taken);
        waiting.bytes = 0;
        !taken.is_empty()
    }

    /// Takes no more requests; those that wait are still served.
    pub(crate) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.arrived.notify_one();
    }

    /// Nobody serves them any more: all that wait are refused.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        waiting.requests.clear();
    }

    fn push(&self, request: Request, is_internal: bool) -> Result<(), StoreError> {
        let bytes = request.bytes();
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(StoreError::Closed);
        }
        let requests = waiting.requests.len();
        let is_full = requests >= self.requests_max || waiting.bytes + bytes > self.bytes_max;
        if is_full && requests > 0 && !is_internal {
            return Err(StoreError::Busy { waiting: requests });
        }
        waiting.bytes += bytes;
        waiting.requests.push(request);
        let is_idle = std::mem::take(&mut waiting.is_idle);
        drop(waiting);
        if is_idle {
            self.arrived.notify_one();
        }
        Ok(())
    }
}
