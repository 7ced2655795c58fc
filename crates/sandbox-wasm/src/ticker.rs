//! Advances the engines' epochs while guests run, so that a guest that never
//! waits yields to others and meets its timeout.
//!
//! One thread for all engines. It sleeps a tick at a time while guests run and
//! parks after [`IDLE_TICKS_MAX`] ticks without one, so an idle node has no
//! wake-ups. Announcing that a guest runs is one load where another did so in
//! the same tick; the thread is woken at most once per idle period, because
//! waking a thread on another core costs more than a small guest's whole run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::Engine;

/// How often a running guest lets others run.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Ticks without a guest after which the thread parks.
const IDLE_TICKS_MAX: u32 = 200;

/// The thread, started with the first guest.
#[derive(Default)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: std::sync::OnceLock<Thread>,
    join: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    engines: Mutex<Vec<Engine>>,
    /// Whether a guest ran since the last tick.
    has_run: AtomicBool,
    is_parked: AtomicBool,
    is_over: AtomicBool,
}

impl Ticker {
    /// Adds an engine whose epoch advances from now on.
    pub(crate) fn add(&self, engine: Engine) {
        self.shared.engines.lock().push(engine);
    }

    /// Says that a guest is about to run.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.shared.has_run.load(Ordering::Relaxed) {
            return;
        }
        self.shared.has_run.store(true, Ordering::SeqCst);
        match self.thread.get() {
            Some(thread) if self.shared.is_parked.load(Ordering::SeqCst) => thread.unpark(),
            Some(_) => {}
            None => self.launch(),
        }
    }

    /// Runs a future that runs a guest.
    pub(crate) async fn drive<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.touch();
            future.as_mut().poll(cx)
        })
        .await
    }

    #[cold]
    fn launch(&self) {
        let mut join = self.join.lock();
        if join.is_some() {
            return;
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("gapless-epochs".to_owned());
        match thread.spawn(move || shared.run()) {
            Ok(handle) => {
                let _ = self.thread.set(handle.thread().clone());
                *join = Some(handle);
            }
            // Without it guests still run; only endless ones would not be stopped.
            Err(error) => tracing::error!(%error, "cannot start the thread that stops guests"),
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut idle_ticks = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            // Also in ticks without a touch: a guest may be in the middle of a long poll.
            for engine in self.engines.lock().iter() {
                engine.increment_epoch();
            }
            match self.has_run.swap(false, Ordering::SeqCst) {
                true => idle_ticks = 0,
                false => idle_ticks += 1,
            }
            if idle_ticks > IDLE_TICKS_MAX {
                self.park();
                idle_ticks = 0;
            }
        }
    }

    /// Announces first and looks again after: a guest in between either is seen
    /// here or sees the announcement.
    fn park(&self) {
        self.is_parked.store(true, Ordering::SeqCst);
        while !self.has_run.load(Ordering::SeqCst) && !self.is_over.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.is_parked.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(handle) = self.join.get_mut().take() {
            handle.thread().unpark();
            let _ = handle.join();
        }
    }
}
