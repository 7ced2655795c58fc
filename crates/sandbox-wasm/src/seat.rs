//! An instance as the gateway sees it: somewhere to send up to `concurrency`
//! requests at a time. Holds the stores that are ready, knows the requests under
//! way, and can end them all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{CallError, Endpoint, LocalCall, LocalService, Request, StartFailure};
use gapless_sandbox::files::FilesFolder;
use gapless_sandbox::{LogStream, Sandbox};
use gapless_types::Reason;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use crate::call;
use crate::engine::Engines;
use crate::failure::call_error;
use crate::live::Live;
use crate::module::Module;
use crate::run::{Cancel, Run};
use crate::terms::Terms;
use crate::ticker::Ticker;

/// Fresh stores a seat keeps ready for its next requests.
const READY_MAX: usize = 1;
/// Guests of one seat that may go on after their answers were sent.
const LINGERING_MAX: usize = 16;
/// How long a stop waits for guests in the middle of a poll after ending them.
/// They end at their next tick, so this is only for a caller that holds on to a
/// call without polling it.
const END_WAIT: Duration = Duration::from_secs(1);

/// An instance.
pub(crate) struct Seat {
    pub(crate) module: Arc<Module>,
    pub(crate) terms: Arc<Terms>,
    /// What `spec.files` asks for; gone when nothing of the seat runs.
    files: Mutex<Option<FilesFolder>>,
    engines: Arc<Engines>,
    stores: Arc<AtomicUsize>,
    idle: Mutex<Vec<Live>>,
    /// Requests under way that wait, and lingering guests.
    runs: Mutex<Slab<Arc<Run>>>,
    /// Requests under way and stores being dropped or made: what a stop waits for.
    busy: AtomicUsize,
    lingering: AtomicUsize,
    is_stopping: AtomicBool,
    emptied: Notify,
}

impl Seat {
    pub(crate) fn new(
        module: Arc<Module>,
        terms: Arc<Terms>,
        files: Option<FilesFolder>,
        engines: Arc<Engines>,
        stores: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        Arc::new(Seat {
            module,
            terms,
            files: Mutex::new(files),
            engines,
            stores,
            idle: Mutex::default(),
            runs: Mutex::default(),
            busy: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            is_stopping: AtomicBool::new(false),
            emptied: Notify::new(),
        })
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.engines.ticker
    }

    /// Makes a store.
    pub(crate) async fn make_live(&self) -> wasmtime::Result<Live> {
        self.ticker().drive(Live::new(&self.module, &self.terms, &self.stores)).await
    }

    /// A store that is ready.
    pub(crate) fn take_idle(&self) -> Option<Live> {
        self.idle.lock().pop()
    }

    /// Keeps a store that is ready, unless there are enough or the seat is ending.
    pub(crate) fn keep_idle(&self, live: Live) {
        let most = if self.terms.is_reused { self.terms.concurrency } else { READY_MAX };
        let mut idle = self.idle.lock();
        // Under the lock: a stop sets the flag before it empties the list.
        if idle.len() < most && !self.is_stopping.load(Ordering::SeqCst) {
            idle.push(live);
        }
    }

    /// Lets a request in.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Permit, CallError> {
        let permit = Permit::new(self);
        if self.is_stopping.load(Ordering::SeqCst) {
            let mut error = call_error(Reason::InstanceDied, "the instance was stopped");
            error.instance_is_dead = true;
            error.is_unsent = true;
            return Err(error);
        }
        Ok(permit)
    }

    /// Takes back what a request ran in. A store that may not be used again is
    /// dropped and another made after the caller has moved on, so that the answer
    /// waits for neither.
    pub(crate) fn recycle(self: &Arc<Self>, live: Option<Live>, permit: Permit) {
        match live {
            Some(live) if self.terms.is_reused && live.is_reusable() => self.keep_idle(live),
            live => {
                let renewal = Renewal { live, permit };
                // The task goes to this worker's own next slot: no other core is woken.
                gapless_rt::spawn(renewal.carry_out());
            }
        }
    }

    pub(crate) fn enlist(&self, run: Arc<Run>) -> usize {
        self.runs.lock().insert(run)
    }

    pub(crate) fn delist(&self, key: usize) {
        let run = self.runs.lock().remove(key);
        drop(run);
    }

    /// Whether one more guest may go on after its answer.
    pub(crate) fn may_linger(&self) -> bool {
        let others = self.lingering.fetch_add(1, Ordering::Relaxed);
        if others >= LINGERING_MAX {
            self.lingering.fetch_sub(1, Ordering::Relaxed);
        }
        others < LINGERING_MAX
    }

    pub(crate) fn lingered(&self) {
        self.lingering.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says something about the instance in its log.
    pub(crate) fn note(&self, line: &str) {
        self.terms.logs.line(LogStream::Platform, line.as_bytes());
    }

    fn close(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    fn end_all(&self) {
        self.terms.cancel();
        // Ending a guest drops its permit, which may not happen under the lock.
        let runs: Vec<Arc<Run>> = self.runs.lock().iter().map(|(_, run)| run.clone()).collect();
        for run in runs {
            run.cancel(Cancel::Stopped);
        }
    }

    fn remove_files(&self) {
        let files = self.files.lock().take();
        drop(files);
    }

    /// Resolves when nothing of the seat runs.
    async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// Something of a seat that runs.
pub(crate) struct Permit(Arc<Seat>);

impl Permit {
    fn new(seat: &Arc<Seat>) -> Self {
        seat.busy.fetch_add(1, Ordering::SeqCst);
        Permit(seat.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1
            && self.0.is_stopping.load(Ordering::SeqCst)
        {
            self.0.emptied.notify_waiters();
        }
    }
}

/// Drops a used store and makes the next. Field order matters: the store goes
/// before the permit says that it is gone.
struct Renewal {
    live: Option<Live>,
    permit: Permit,
}

impl Renewal {
    async fn carry_out(mut self) {
        drop(self.live.take());
        let seat = &self.permit.0;
        let has_ready = seat.terms.is_reused || !seat.idle.lock().is_empty();
        if has_ready || seat.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        // A failure shows in the next request, which tries again.
        if let Ok(live) = seat.make_live().await {
            seat.keep_idle(live);
        }
    }
}

/// The handle the node holds.
pub(crate) struct SeatSandbox {
    seat: Arc<Seat>,
}

impl SeatSandbox {
    pub(crate) fn new(seat: Arc<Seat>) -> Self {
        SeatSandbox { seat }
    }
}

impl fmt::Debug for SeatSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seat of {:?}", self.seat.module)
    }
}

/// Wraps the seat for calls.
struct Service(Arc<Seat>);

impl LocalService for Service {
    fn call(&self, request: Request) -> LocalCall {
        Box::pin(call::call(self.0.clone(), request))
    }
}

impl Sandbox for SeatSandbox {
    fn endpoint(&self) -> Endpoint {
        Endpoint::Local(Arc::new(Service(self.seat.clone())))
    }

    fn died(&self) -> BoxFuture<'static, StartFailure> {
        // A guest that dies takes its store with it; the seat goes on.
        std::future::pending().boxed()
    }

    fn stop(self: Box<Self>, grace: Duration) -> BoxFuture<'static, ()> {
        async move {
            self.seat.close();
            if tokio::time::timeout(grace, self.seat.empty()).await.is_err() {
                self.seat.end_all();
                let _ = tokio::time::timeout(END_WAIT, self.seat.empty()).await;
            }
            self.seat.remove_files();
        }
        .boxed()
    }
}

impl Drop for SeatSandbox {
    fn drop(&mut self) {
        self.seat.close();
        self.seat.end_all();
        self.seat.remove_files();
    }
}
