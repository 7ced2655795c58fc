//! [`Memory`]: what is durable, shared between the thread that writes and those
//! that read and watch.
//!
//! One lock guards the state. The writer takes it exclusively for the time that a group
//! takes to apply, and whoever has read what was forgotten meanwhile, to drop that; readers take it for a bounded number of records
//! (`CHUNK`), however many they list: a list pins its revision instead of holding
//! the lock, and versions that a pinned revision shows stay. Immutable maps would
//! save the lock and cost every write a path of new nodes.

mod kept;
mod packed;
mod state;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_store::{Page, Range, Record, StoreError, StoreRevision, Watch};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

pub(crate) use packed::{Dictionaries, Packed};
pub(crate) use state::State;
use watch::Watchers;

/// Records that are looked at under one lock.
const CHUNK: usize = 256;

/// A write that takes effect: its transaction's revision, key and new value.
pub(crate) type Effect = (StoreRevision, Arc<str>, Option<Packed>);

/// The state, shared.
#[derive(Debug)]
pub(crate) struct Memory {
    state: RwLock<State>,
    /// Revisions that are being read, and by how many. Locked while `state` is.
    pins: Mutex<BTreeMap<StoreRevision, usize>>,
    revision: AtomicU64,
    watchers: Watchers,
    dictionaries: Arc<Dictionaries>,
}

impl Memory {
    pub(crate) fn new(state: State) -> Arc<Self> {
        let revision = AtomicU64::new(state.revision());
        let dictionaries = Arc::clone(state.dictionaries());
        let (state, watchers) = (RwLock::new(state), Watchers::default());
        Arc::new(Memory { state, pins: Mutex::default(), revision, watchers, dictionaries })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// A value that is about to be written.
    pub(crate) fn pack(&self, value: &[u8]) -> Packed {
        self.dictionaries.pack(value)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Record> {
        let kept = self.read().get(key)?;
        Some(kept.unpack(&self.dictionaries))
    }

    pub(crate) fn revision(&self) -> StoreRevision {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn list(self: &Arc<Self>, range: Range<'_>) -> Result<Page, StoreError> {
        let pin = self.pin(range.at)?;
        let limit = range.limit.unwrap_or(usize::MAX);
        let (mut kept, mut records) = (Vec::new(), Vec::new());
        let mut last: Option<Arc<str>> = None;
        loop {
            let after = last.as_deref().or(range.after);
            // One more than asked for shows whether there are more.
            let room = limit.saturating_add(1) - records.len();
            last =
                self.read().chunk(range.prefix, after, pin.revision, CHUNK, room, &mut kept).last;
            records.extend(kept.drain(..).map(|kept| kept.unpack(&self.dictionaries)));
            if last.is_none() || records.len() > limit {
                break;
            }
        }
        let more = records.len() > limit;
        records.truncate(limit);
        Ok(Page { records, revision: pin.revision, more })
    }

    /// Records after a key at a pinned revision, of a bounded number looked at.
    /// Returns the key to go on after.
    pub(crate) fn chunk(
        &self,
        after: Option<&str>,
        at: StoreRevision,
        records: &mut Vec<Record>,
    ) -> Option<Arc<str>> {
        let mut kept = Vec::new();
        let last = self.read().chunk("", after, at, CHUNK, usize::MAX, &mut kept).last;
        records.extend(kept.into_iter().map(|kept| kept.unpack(&self.dictionaries)));
        last
    }

    /// Keeps what a revision shows until the pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>, at: Option<StoreRevision>) -> Result<Pin, StoreError> {
        let state = self.read();
        let revision = at.unwrap_or(state.revision());
        state.check(revision)?;
        *self.pins.lock().entry(revision).or_insert(0) += 1;
        Ok(Pin { memory: Arc::clone(self), revision })
    }

    pub(crate) fn watch(
        self: &Arc<Self>,
        prefix: &str,
        after: StoreRevision,
    ) -> Result<Watch, StoreError> {
        self.read().check(after)?;
        Ok(watch::start(Arc::clone(self), prefix.into(), after))
    }

    /// Shows a group that has become durable: its effects, its last revision, and
    /// the revision before which history was asked to be forgotten.
    pub(crate) fn publish(
        &self,
        effects: Vec<Effect>,
        last: StoreRevision,
        history: StoreRevision,
    ) {
        let keys: Vec<Arc<str>> = effects.iter().map(|(_, key, _)| Arc::clone(key)).collect();
        let before = self.revision();
        let mut effects = effects.into_iter().peekable();
        {
            let mut state = self.state.write();
            while let Some(&(revision, ..)) = effects.peek() {
                let mut of_it = std::iter::from_fn(|| effects.next_if(|next| next.0 == revision));
                state.apply(revision, of_it.by_ref().map(|(_, key, value)| (key, value)));
            }
            state.forget(history);
        }
        self.revision.store(last, Ordering::Release);
        self.watchers.published(before, last, &keys);
        self.sweep();
    }

    /// Watches end once they have delivered what there is.
    pub(crate) fn close(&self) {
        self.watchers.close();
    }

    fn sweep(&self) {
        loop {
            let mut state = self.state.write();
            let pinned = self.pins.lock().first_key_value().map(|(revision, _)| *revision);
            state.pin(pinned);
            if !state.sweep() {
                return;
            }
        }
    }
}

/// Holds on to a revision.
#[derive(Debug)]
pub(crate) struct Pin {
    memory: Arc<Memory>,
    pub(crate) revision: StoreRevision,
}

impl Drop for Pin {
    /// What only this pin kept goes with it, also when nothing more is written.
    fn drop(&mut self) {
        {
            let mut pins = self.memory.pins.lock();
            if let Some(readers) = pins.get_mut(&self.revision) {
                *readers -= 1;
                if *readers == 0 {
                    pins.remove(&self.revision);
                }
            }
        }
        // Most have kept nothing: then nobody waits for the exclusive lock.
        if self.memory.read().has_forgotten() {
            self.memory.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{Bounds, Usage};

    const KEYS: u64 = 600;

    /// Gives every key a value, in transactions of one, and forgets all before.
    fn round(memory: &Memory, value: &'static [u8]) {
        let first = memory.revision() + 1;
        let last = memory.revision() + KEYS;
        let effect = |n| (first + n, Arc::from(format!("k{n:03}")), Some(memory.pack(value)));
        memory.publish((0..KEYS).map(effect).collect(), last, last);
    }

    fn all_at(memory: &Memory, at: StoreRevision) -> Vec<Record> {
        let mut records = Vec::new();
        let mut after = None;
        loop {
            after = memory.chunk(after.as_deref(), at, &mut records);
            if after.is_none() {
                return records;
            }
        }
    }

    #[test]
    fn a_pinned_revision_stays_as_it_was_and_goes_with_its_pin() {
        let memory = Memory::new(State::new(Bounds::default()));
        round(&memory, b"1");
        let pin = memory.pin(None).unwrap();
        let again = memory.pin(Some(KEYS)).unwrap();
        let before = all_at(&memory, KEYS);
        round(&memory, b"2");
        drop(again);
        round(&memory, b"3");
        assert_eq!(memory.read().oldest(), 3 * KEYS);
        assert_eq!(all_at(&memory, pin.revision), before, "two rounds of changes are forgotten");
        assert!(memory.pin(Some(KEYS)).is_err(), "nobody else begins there");
        let kept = memory.read().usage().history_events;
        assert_eq!(kept as u64, 2 * KEYS);
        drop(pin);
        assert_eq!(memory.read().usage().history_events, 0, "without another write");
        assert!(all_at(&memory, 3 * KEYS).iter().all(|record| record.value == b"3"[..]));
    }

    #[test]
    fn what_is_deleted_and_forgotten_leaves_nothing() {
        let memory = Memory::new(State::new(Bounds::default()));
        round(&memory, b"1");
        let first = memory.revision() + 1;
        let delete = |n| (first + n, Arc::from(format!("k{n:03}")), None);
        memory.publish((0..KEYS).map(delete).collect(), 2 * KEYS, 0);
        assert_eq!(all_at(&memory, KEYS).len() as u64, KEYS);
        memory.publish(vec![], 2 * KEYS, 2 * KEYS);
        let bare = Usage { revision: 2 * KEYS, ..Usage::default() };
        assert_eq!(memory.read().usage(), bare);
        assert!(memory.read().is_bare());
    }
}
