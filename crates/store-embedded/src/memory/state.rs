//! [`State`]: the records with their versions, and history.
//!
//! A record is a chain of versions; history is every change in order. A version
//! is kept as long as a revision that history reaches back to shows it. Keys and
//! packed values are shared between chain, history and readers: none is copied here,
//! and values are packed and unpacked without the lock.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use gapless_store::{Record, StoreError, StoreRevision};

use super::kept::{Event, Kept, Version, Versions};
use super::packed::{Dictionaries, Packed};
use crate::bounds::{Bounds, Usage};

/// What a record costs in a checkpoint beside its bytes.
const RECORD_BYTES: usize = 24;
/// Changes of history that are forgotten under one lock.
const FORGET_MAX: usize = 2_000;
/// Changes that a watch looks at under one lock.
const SCAN_MAX: usize = 1_000;
/// Changes that a watch takes under one lock.
const TAKE_MAX: usize = 128;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct State {
    /// Boxed: a tree's nodes are half empty when keys come in order.
    records: BTreeMap<Arc<str>, Box<Versions>>,
    history: VecDeque<Event>,
    history_bytes: usize,
    /// Changes at the front of `history` that are forgotten but still here.
    forgotten: usize,
    forgotten_bytes: usize,
    revision: StoreRevision,
    /// What can be listed at and watched after.
    oldest: StoreRevision,
    /// A reader is at this revision: versions that it sees stay.
    pinned: Option<StoreRevision>,
    /// Bytes of the records as they are.
    live_bytes: u64,
    live_records: u64,
    /// What their values take, packed.
    packed_bytes: u64,
    dictionaries: Arc<Dictionaries>,
    bounds: Bounds,
}

/// Records of a chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The last key that was looked at; none if there are no more.
    pub(crate) last: Option<Arc<str>>,
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        State {
            records: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            forgotten: 0,
            forgotten_bytes: 0,
            revision: 0,
            oldest: 0,
            pinned: None,
            live_bytes: 0,
            live_records: 0,
            packed_bytes: 0,
            dictionaries: Arc::default(),
            bounds,
        }
    }

    /// The records of a checkpoint: where history begins.
    pub(crate) fn load(&mut self, revision: StoreRevision, records: Vec<Record>) {
        let sample = |every| records.iter().step_by(every).map(|one| one.value.clone()).collect();
        self.dictionaries.learn(records.len() as u64, sample);
        let packed = self.dictionaries.pack_all(&records);
        for (Record { key, revision, created, .. }, value) in records.into_iter().zip(packed) {
            self.count(&key, Some(&value), None);
            let newest = Version { revision, created, value: Some(value) };
            self.records.insert(key, Box::new(Versions { newest, older: Vec::new() }));
        }
        (self.revision, self.oldest) = (revision, revision);
    }

    /// What values are packed with.
    pub(crate) fn dictionaries(&self) -> &Arc<Dictionaries> {
        &self.dictionaries
    }

    pub(crate) fn revision(&self) -> StoreRevision {
        self.revision
    }

    pub(crate) fn oldest(&self) -> StoreRevision {
        self.oldest
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// What is used of memory.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            revision: self.revision,
            records: self.live_records,
            history_events: self.history.len(),
            history_bytes: self.history_bytes,
            record_bytes: self.live_bytes,
            packed_bytes: self.packed_bytes,
            ..Usage::default()
        }
    }

    /// Whether no key is left, not even of a record that is gone.
    #[cfg(test)]
    pub(crate) fn is_bare(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn pin(&mut self, pinned: Option<StoreRevision>) {
        self.pinned = pinned;
    }

    pub(crate) fn get(&self, key: &str) -> Option<Kept> {
        let (key, versions) = self.records.get_key_value(key)?;
        Kept::of(key, &versions.newest)
    }

    /// The revision of a record that is there.
    pub(crate) fn revision_of(&self, key: &str) -> Option<StoreRevision> {
        let newest = &self.records.get(key)?.newest;
        newest.value.is_some().then_some(newest.revision)
    }

    /// Whether a revision can be listed at or watched after.
    pub(crate) fn check(&self, asked: StoreRevision) -> Result<(), StoreError> {
        if asked < self.oldest {
            return Err(StoreError::Compacted { asked, oldest: self.oldest });
        }
        if asked > self.revision {
            return Err(StoreError::InFuture { asked, newest: self.revision });
        }
        Ok(())
    }

    /// Looks at up to `scan` records under the prefix and after a key, as they
    /// were at a revision that is pinned or not forgotten. Adds at most `room`.
    pub(crate) fn chunk(
        &self,
        prefix: &str,
        after: Option<&str>,
        at: StoreRevision,
        scan: usize,
        room: usize,
        records: &mut Vec<Kept>,
    ) -> Chunk {
        let from = match after {
            Some(after) if after >= prefix => Excluded(after),
            _ => Included(prefix),
        };
        let wanted = records.len() + room;
        let mut last = None;
        let range = self.records.range::<str, _>((from, Unbounded));
        let range = range.take_while(|(key, _)| key.starts_with(prefix));
        for (index, (key, versions)) in range.enumerate() {
            if index == scan || records.len() == wanted {
                return Chunk { last };
            }
            records.extend(versions.at(at).and_then(|version| Kept::of(key, version)));
            last = Some(Arc::clone(key));
        }
        Chunk { last: None }
    }

    /// Takes changes under the prefix after a revision, whole transactions. Returns
    /// the revision it has come to, and whether that is the last one.
    pub(crate) fn changes(
        &self,
        prefix: &str,
        after: StoreRevision,
        taken: &mut VecDeque<Event>,
    ) -> Result<(StoreRevision, bool), StoreError> {
        self.check(after)?;
        let from = self.history.partition_point(|event| event.revision <= after);
        let mut reached = after;
        for (scanned, event) in self.history.range(from..).enumerate() {
            let is_enough = scanned >= SCAN_MAX || taken.len() >= TAKE_MAX;
            if is_enough && event.revision != reached {
                return Ok((reached, false));
            }
            reached = event.revision;
            if event.key.starts_with(prefix) {
                taken.push_back(event.clone());
            }
        }
        Ok((self.revision, true))
    }

    /// Applies the next transaction.
    pub(crate) fn apply(
        &mut self,
        revision: StoreRevision,
        writes: impl Iterator<Item = (Arc<str>, Option<Packed>)>,
    ) {
        debug_assert_eq!(revision, self.revision + 1, "a transaction is missing");
        self.revision = revision;
        for (key, value) in writes {
            self.change(revision, key, value);
        }
        self.dictionaries.learn(self.live_records, |every| {
            let values = self.records.values().filter_map(|one| one.newest.value.as_ref());
            values.step_by(every).map(|value| self.dictionaries.unpack(value)).collect()
        });
    }

    fn change(&mut self, revision: StoreRevision, key: Arc<str>, value: Option<Packed>) {
        use std::collections::btree_map::Entry;
        let (key, previous) = match self.records.entry(key) {
            Entry::Vacant(vacant) => {
                let key = Arc::clone(vacant.key());
                let newest = Version { revision, created: revision, value: value.clone() };
                vacant.insert(Box::new(Versions { newest, older: Vec::new() }));
                (key, None)
            }
            Entry::Occupied(mut occupied) => {
                let key = Arc::clone(occupied.key());
                let versions = occupied.get_mut();
                let previous = Some(&versions.newest).filter(|newest| newest.value.is_some());
                let previous = previous.cloned();
                let created = previous.as_ref().map_or(revision, |previous| previous.created);
                let newest = Version { revision, created, value: value.clone() };
                versions.older.push(mem::replace(&mut versions.newest, newest));
                (key, previous)
            }
        };
        let replaced = previous.as_ref().and_then(|previous| previous.value.as_ref());
        self.count(&key, value.as_ref(), replaced);
        let event = Event { revision, key, value, previous };
        self.history_bytes += event.bytes();
        self.history.push_back(event);
    }

    /// A value takes the place of another.
    fn count(&mut self, key: &str, value: Option<&Packed>, replaced: Option<&Packed>) {
        let bytes = |value: &Packed| (key.len() + value.len() + RECORD_BYTES) as u64;
        let taken = |value: &Packed| value.taken() as u64;
        self.live_bytes += value.map_or(0, bytes);
        self.live_bytes -= replaced.map_or(0, bytes);
        self.packed_bytes += value.map_or(0, taken);
        self.packed_bytes -= replaced.map_or(0, taken);
        self.live_records += u64::from(value.is_some());
        self.live_records -= u64::from(replaced.is_some());
    }

    /// Moves the beginning of history on to a revision, if it is before that, and
    /// further until history is within its bounds. A transaction is kept or
    /// forgotten whole, and the last one is kept whatever its size: watches have
    /// yet to see it.
    pub(crate) fn forget(&mut self, before: StoreRevision) {
        self.oldest = self.oldest.max(before.min(self.revision));
        while let Some(event) = self.history.get(self.forgotten) {
            let is_beyond = self.history.len() - self.forgotten > self.bounds.history_events_max
                || self.history_bytes - self.forgotten_bytes > self.bounds.history_bytes_max;
            let is_kept = !is_beyond || event.revision == self.revision;
            if event.revision > self.oldest && is_kept {
                return;
            }
            self.oldest = self.oldest.max(event.revision);
            self.forgotten += 1;
            self.forgotten_bytes += event.bytes();
        }
    }

    /// Whether something is forgotten that is still here: a reader looked at it.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten > 0
    }

    /// Drops some of what is before history and no reader looks at. Returns
    /// whether there is more.
    pub(crate) fn sweep(&mut self) -> bool {
        let until = self.pinned.map_or(self.oldest, |pinned| pinned.min(self.oldest));
        for _ in 0..FORGET_MAX {
            match self.history.front() {
                Some(event) if event.revision <= until => {}
                _ => return false,
            }
            if let Some(event) = self.history.pop_front() {
                let bytes = event.bytes();
                self.history_bytes -= bytes;
                self.forgotten -= 1;
                self.forgotten_bytes -= bytes;
                self.drop_versions_before(&event.key, event.revision);
            }
        }
        true
    }

    /// Nobody asks for the record before `revision` any more.
    fn drop_versions_before(&mut self, key: &Arc<str>, revision: StoreRevision) {
        let Some(versions) = self.records.get_mut(key) else { return };
        let older = &mut versions.older;
        let shown = older.iter().position(|version| version.revision >= revision);
        older.drain(..shown.unwrap_or(older.len()));
        // Absence is what there is before the first version anyway.
        if older.first().is_some_and(|first| first.revision == revision && first.value.is_none()) {
            older.remove(0);
        }
        if older.is_empty() {
            older.shrink_to_fit();
            let newest = &versions.newest;
            if newest.revision <= revision && newest.value.is_none() {
                self.records.remove(key);
            }
        }
    }
}
