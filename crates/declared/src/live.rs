//! Objects in memory: many, fast, soft. They have versions of their own.
//!
//! A version is a count that begins at the microseconds of the epoch at which the
//! process started, so that a version of a former process is older than all of this
//! one's. [`Feed`] is where changes are told: it costs one atomic addition while
//! nobody watches. A watch that resumes goes on from the feed's ring, or is told
//! that its version is too old and lists again. Whoever lists is likely to watch
//! next, from the version that was listed: a list has changes kept for a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::key::ObjectKey;
use crate::refusal::Outcome;

/// Changes kept for watches that resume, while somebody watches.
const RING_MAX: usize = 16_384;
/// How long changes are kept for whoever listed, and after the last watcher left.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Changes a watcher may be behind.
const BEHIND_MAX: usize = 65_536;

/// Where live objects are read, and changed if the kind allows.
pub trait LiveSource: Send + Sync {
    /// One object.
    fn get(&self, key: &ObjectKey) -> Option<Value>;
    /// The objects of a namespace or all, in order of their keys.
    fn list(&self, namespace: Option<&str>) -> Vec<Value>;
    /// Where changes are told.
    fn feed(&self) -> &Arc<Feed>;
    /// Makes an object of this kind be so. Only for kinds with an `update` verb.
    fn write(&self, key: &ObjectKey, new: Value) -> BoxFuture<'_, Outcome<Value>>;
}

/// One change of a live object. Every event is of one object and names its version.
#[derive(Clone, Debug)]
pub struct FeedEvent {
    /// The version it made.
    pub version: u64,
    /// Which object.
    pub key: ObjectKey,
    /// The object as it was last, if it is gone.
    pub gone: Option<Arc<Value>>,
    /// Whether it is new.
    pub is_new: bool,
}

/// Where changes of live objects are told.
#[derive(Debug)]
pub struct Feed {
    version: AtomicU64,
    watchers: AtomicUsize,
    /// Whether changes are kept: while somebody watches, and for those who may come.
    is_kept: AtomicBool,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<FeedEvent>,
    /// Every event after this version is in the ring, if changes are kept.
    complete_after: u64,
    /// When somebody last listed or left.
    wanted_at: Option<Instant>,
    /// To the watchers; made for the first one, as its room is megabytes.
    live: Option<broadcast::Sender<FeedEvent>>,
}

impl Feed {
    /// A feed of a process that started at `now`.
    pub fn new(now: Timestamp) -> Self {
        let first = u64::try_from(now.as_microsecond()).unwrap_or(1);
        Feed {
            version: AtomicU64::new(first),
            watchers: AtomicUsize::new(0),
            is_kept: AtomicBool::new(false),
            ring: Mutex::default(),
        }
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Whether anybody watches, or may go on from a list made a moment ago. An object
    /// that goes need not be rendered otherwise.
    pub fn is_watched(&self) -> bool {
        self.is_kept.load(Ordering::SeqCst)
    }

    /// The version that a list begun now shows at least. Changes after it are kept for
    /// a while, so that a watch can go on from it.
    pub(crate) fn listed(&self) -> u64 {
        let mut ring = self.ring.lock();
        self.keep(&mut ring);
        self.version()
    }

    /// Has changes kept from now on.
    fn keep(&self, ring: &mut Ring) {
        ring.wanted_at = Some(Instant::now());
        if !self.is_kept.swap(true, Ordering::SeqCst) {
            ring.events.clear();
            ring.complete_after = self.version();
        }
    }

    /// Keeps no more changes if nobody watches nor is expected to.
    fn forget(&self, ring: &mut Ring) {
        let is_wanted = ring.wanted_at.is_some_and(|at| at.elapsed() < KEPT_FOR);
        if !is_wanted && self.watchers.load(Ordering::SeqCst) == 0 {
            self.is_kept.store(false, Ordering::SeqCst);
            *ring = Ring::default();
        }
    }

    /// An object changed. `key` and what it was are only made if somebody watches.
    pub fn tell(&self, is_new: bool, event: impl FnOnce() -> (ObjectKey, Option<Value>)) {
        // Either the first watcher sees this version, or this sees the watcher.
        if !self.is_watched() {
            let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
            if self.is_watched() {
                self.record(&mut self.ring.lock(), version, is_new, event());
            }
            return;
        }
        let event = event();
        let mut ring = self.ring.lock();
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.record(&mut ring, version, is_new, event);
        self.forget(&mut ring);
    }

    fn record(
        &self,
        ring: &mut Ring,
        version: u64,
        is_new: bool,
        (key, gone): (ObjectKey, Option<Value>),
    ) {
        let event = FeedEvent { version, key, gone: gone.map(Arc::new), is_new };
        if ring.events.len() >= RING_MAX
            && let Some(oldest) = ring.events.pop_front()
        {
            ring.complete_after = oldest.version;
        }
        if let Some(live) = &ring.live {
            let _ = live.send(event.clone());
        }
        ring.events.push_back(event);
    }

    /// Events after `version`: those kept, and those to come. `None` if some in between
    /// are not kept.
    pub(crate) fn subscribe(self: &Arc<Self>, version: u64) -> Option<Subscription> {
        let mut ring = self.ring.lock();
        self.watchers.fetch_add(1, Ordering::SeqCst);
        self.keep(&mut ring);
        let is_complete = version >= ring.complete_after && version <= self.version();
        let after = ring.events.iter().filter(|event| event.version > version).cloned();
        let (feed, kept) = (Arc::clone(self), after.collect());
        let live = ring.live.get_or_insert_with(|| broadcast::Sender::new(BEHIND_MAX)).subscribe();
        drop(ring);
        // Dropping it when something is missing counts its watcher out again, which
        // takes the ring.
        let subscription = Subscription { feed, kept, live };
        is_complete.then_some(subscription)
    }
}

/// A watcher's place in a feed.
#[derive(Debug)]
pub(crate) struct Subscription {
    feed: Arc<Feed>,
    kept: VecDeque<FeedEvent>,
    live: broadcast::Receiver<FeedEvent>,
}

impl Subscription {
    /// The next event; `None` when too many were missed.
    pub(crate) async fn next(&mut self) -> Option<FeedEvent> {
        match self.kept.pop_front() {
            Some(event) => Some(event),
            None => self.live.recv().await.ok(),
        }
    }

    /// Everything up to this version was taken, if nothing waits.
    pub(crate) fn told_up_to(&self) -> u64 {
        // Read before looking whether something waits: what comes after has a higher one.
        let version = self.feed.version();
        if self.kept.is_empty() && self.live.is_empty() { version } else { 0 }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.ring.lock().wanted_at = Some(Instant::now());
        self.feed.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}
