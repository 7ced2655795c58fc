//! Records, and what happened to them.

use std::sync::Arc;

use bytes::Bytes;

/// The store's revision: how many transactions have changed it.
pub type StoreRevision = u64;

/// One stored record. Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Arc<str>,
    /// Its value.
    pub value: Bytes,
    /// The transaction that gave it this value.
    pub revision: StoreRevision,
    /// The transaction that created it; a record that was deleted and written
    /// again was created again.
    pub created: StoreRevision,
}

/// A change of one record. Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEvent {
    /// The transaction that changed it; several events may share one.
    pub revision: StoreRevision,
    /// Which record.
    pub key: Arc<str>,
    /// Its new value; none if it was deleted.
    pub value: Option<Bytes>,
    /// The record as it was before; none if it was created.
    pub previous: Option<Record>,
}

impl StoreEvent {
    /// The transaction that created the record that was changed.
    pub fn created(&self) -> StoreRevision {
        self.previous.as_ref().map_or(self.revision, |previous| previous.created)
    }

    /// The record as it is after the change; none if it was deleted.
    pub fn record(&self) -> Option<Record> {
        let value = self.value.clone()?;
        let key = Arc::clone(&self.key);
        Some(Record { key, value, revision: self.revision, created: self.created() })
    }
}
