//! Records, their versions and their changes as memory keeps them: with packed values,
//! which are shared and unpacked without the lock.

use std::mem;
use std::sync::Arc;

use gapless_store::{Record, StoreEvent, StoreRevision};

use super::packed::{Dictionaries, Packed};

/// What a change in history costs beside its bytes.
const EVENT_BYTES: usize = mem::size_of::<Event>();

/// A value of a record, or its absence, since a revision.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) revision: StoreRevision,
    pub(crate) created: StoreRevision,
    pub(crate) value: Option<Packed>,
}

/// The versions of one record.
#[derive(Debug)]
pub(crate) struct Versions {
    pub(crate) newest: Version,
    /// Oldest first.
    pub(crate) older: Vec<Version>,
}

impl Versions {
    pub(crate) fn at(&self, revision: StoreRevision) -> Option<&Version> {
        if self.newest.revision <= revision {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|version| version.revision <= revision)
    }
}

/// A record as it was at some revision.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: Arc<str>,
    pub(crate) value: Packed,
    pub(crate) revision: StoreRevision,
    pub(crate) created: StoreRevision,
}

impl Kept {
    pub(crate) fn of(key: &Arc<str>, version: &Version) -> Option<Self> {
        let value = version.value.clone()?;
        let (revision, created) = (version.revision, version.created);
        Some(Kept { key: Arc::clone(key), value, revision, created })
    }

    /// The record.
    pub(crate) fn unpack(self, dictionaries: &Dictionaries) -> Record {
        let Kept { key, value, revision, created } = self;
        Record { key, value: dictionaries.unpack(&value), revision, created }
    }
}

/// A change of one record.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) revision: StoreRevision,
    pub(crate) key: Arc<str>,
    pub(crate) value: Option<Packed>,
    pub(crate) previous: Option<Version>,
}

impl Event {
    /// The change, for those who watch.
    pub(crate) fn unpack(self, dictionaries: &Dictionaries) -> StoreEvent {
        let Event { revision, key, value, previous } = self;
        let previous = previous.and_then(|version| Kept::of(&key, &version));
        StoreEvent {
            revision,
            key,
            value: value.map(|value| dictionaries.unpack(&value)),
            previous: previous.map(|record| record.unpack(dictionaries)),
        }
    }

    /// Its share of the bytes that history may have: of keys and values as they are.
    pub(crate) fn bytes(&self) -> usize {
        let previous = self.previous.as_ref().and_then(|version| version.value.as_ref());
        let value = self.value.as_ref().map_or(0, Packed::len);
        EVENT_BYTES + self.key.len() + value + previous.map_or(0, Packed::len)
    }
}
