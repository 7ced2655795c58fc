//! Watches: each reads history at its own pace, from where it is.
//!
//! A watch has no queue of its own, so a slow one costs nothing and cannot be
//! overrun without noticing: it finds that history has moved past it. A watch
//! that has seen everything sleeps; the writer wakes it for a change under its
//! prefix, and moves it on without waking it for others.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures::{Stream, StreamExt as _};
use gapless_store::{StoreError, StoreEvent, StoreRevision, Watch};
use parking_lot::Mutex;

use super::Memory;
use super::kept::Event;

/// The watches that sleep.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    next_id: AtomicU64,
    asleep: Mutex<Asleep>,
}

#[derive(Debug, Default)]
struct Asleep {
    by_id: HashMap<u64, Sleeper>,
    is_closed: bool,
}

/// A watch that has seen everything up to its progress.
#[derive(Debug)]
struct Sleeper {
    prefix: Arc<str>,
    progress: Arc<AtomicU64>,
    waker: Waker,
}

impl Watchers {
    /// A group was published: the keys that changed between two revisions.
    pub(crate) fn published(&self, before: StoreRevision, last: StoreRevision, keys: &[Arc<str>]) {
        let mut woken = Vec::new();
        {
            let mut asleep = self.asleep.lock();
            asleep.by_id.retain(|_, sleeper| {
                let seen = sleeper.progress.load(Ordering::Acquire);
                let is_touched = keys.iter().any(|key| key.starts_with(&*sleeper.prefix));
                // One that fell asleep before the former group was published to it looks itself.
                if is_touched || seen != before {
                    woken.push(sleeper.waker.clone());
                    return false;
                }
                sleeper.progress.store(last, Ordering::Release);
                true
            });
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes all, for good.
    pub(crate) fn close(&self) {
        let sleepers = {
            let mut asleep = self.asleep.lock();
            asleep.is_closed = true;
            std::mem::take(&mut asleep.by_id)
        };
        sleepers.into_values().for_each(|sleeper| sleeper.waker.wake());
    }

    fn wake_up(&self, id: u64) {
        self.asleep.lock().by_id.remove(&id);
    }

    /// Whether it fell asleep; not if the store is closed.
    fn fall_asleep(&self, id: u64, sleeper: Sleeper) -> bool {
        let mut asleep = self.asleep.lock();
        if asleep.is_closed {
            return false;
        }
        asleep.by_id.insert(id, sleeper);
        true
    }
}

/// One watch's place in history. While it sleeps, the writer owns `progress`;
/// while it is awake, it does.
struct Reader {
    memory: Arc<Memory>,
    id: u64,
    prefix: Arc<str>,
    /// Up to where history was read into `taken`.
    position: StoreRevision,
    /// Up to where it was delivered.
    progress: Arc<AtomicU64>,
    taken: VecDeque<Event>,
    is_over: bool,
}

pub(crate) fn start(memory: Arc<Memory>, prefix: Arc<str>, after: StoreRevision) -> Watch {
    let progress = Arc::new(AtomicU64::new(after));
    let id = memory.watchers.next_id.fetch_add(1, Ordering::Relaxed);
    let reader = Reader {
        memory,
        id,
        prefix,
        position: after,
        progress: Arc::clone(&progress),
        taken: VecDeque::new(),
        is_over: false,
    };
    Watch::new(reader.boxed(), progress)
}

impl Reader {
    /// The next event that was read. Progress stays before a transaction until its
    /// last event is taken.
    fn next_taken(&mut self) -> Option<StoreEvent> {
        let event = self.taken.pop_front()?;
        let delivered = match self.taken.front() {
            Some(next) if next.revision == event.revision => None,
            Some(_) => Some(event.revision),
            None => Some(self.position),
        };
        if let Some(delivered) = delivered {
            self.progress.store(delivered, Ordering::Release);
        }
        Some(event.unpack(&self.memory.dictionaries))
    }

    /// Reads on until something is taken or all was read; whether something is.
    fn read(&mut self) -> Result<bool, StoreError> {
        loop {
            let read = self.memory.read().changes(&self.prefix, self.position, &mut self.taken);
            let (reached, is_all) = read?;
            self.position = reached;
            if !self.taken.is_empty() {
                return Ok(true);
            }
            self.progress.store(reached, Ordering::Release);
            if is_all {
                return Ok(false);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StoreEvent, StoreError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(event) = self.next_taken() {
            return Poll::Ready(Some(Ok(event)));
        }
        self.memory.watchers.wake_up(self.id);
        self.position = self.progress.load(Ordering::Acquire);
        loop {
            match self.read() {
                Ok(true) => return Poll::Ready(self.next_taken().map(Ok)),
                Ok(false) => {}
                Err(error) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let sleeper = Sleeper {
                prefix: Arc::clone(&self.prefix),
                progress: Arc::clone(&self.progress),
                waker: cx.waker().clone(),
            };
            let is_asleep = self.memory.watchers.fall_asleep(self.id, sleeper);
            // Published between the look and the sleep: nobody would wake it.
            let is_late = self.memory.revision() != self.position;
            if is_asleep && !is_late {
                return Poll::Pending;
            }
            self.memory.watchers.wake_up(self.id);
            if !is_late {
                self.is_over = true;
                return Poll::Ready(None);
            }
            self.position = self.progress.load(Ordering::Acquire);
        }
    }
}

impl Stream for Reader {
    type Item = Result<StoreEvent, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.memory.watchers.wake_up(self.id);
    }
}
