//! What a transaction is made of, and what it may be at most.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::{StoreError, StoreRevision};

/// Longest key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Most writes in one transaction: etcd's default (`--max-txn-ops`).
pub const TRANSACTION_WRITES_MAX: usize = 128;
/// Most bytes of keys and values in one transaction: etcd's default
/// (`--max-request-bytes`).
pub const TRANSACTION_BYTES_MAX: usize = 3 << 19;

/// What a write expects to find. If anything else is there, its transaction
/// changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    Any,
    /// No record.
    Absent,
    /// The record as this transaction left it.
    At(StoreRevision),
}

impl Expect {
    /// Whether a record of this revision, or none, is as expected.
    pub fn is_met_by(self, found: Option<StoreRevision>) -> bool {
        match self {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::At(expected) => found == Some(expected),
        }
    }
}

/// What a write does to its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the value. The bytes are kept as they are, so a slice of a larger
    /// buffer keeps that buffer.
    Put(Bytes),
    /// Removes the record. Removing what is absent, expecting `Any`, is no error.
    Delete,
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub key: Arc<str>,
    /// What must be there.
    pub expect: Expect,
    /// What to do.
    pub change: Change,
}

impl Write {
    /// Sets a record's value.
    pub fn put(key: impl Into<Arc<str>>, value: impl Into<Bytes>, expect: Expect) -> Self {
        Write { key: key.into(), expect, change: Change::Put(value.into()) }
    }

    /// Removes a record.
    pub fn delete(key: impl Into<Arc<str>>, expect: Expect) -> Self {
        Write { key: key.into(), expect, change: Change::Delete }
    }

    /// The bytes of its key and value.
    pub fn bytes(&self) -> usize {
        let value = match &self.change {
            Change::Put(value) => value.len(),
            Change::Delete => 0,
        };
        self.key.len() + value
    }
}

/// Whether the writes make a transaction, of which any store takes the same ones:
/// within the bounds, no empty key, no key twice.
pub fn check(writes: &[Write]) -> Result<(), StoreError> {
    let within = |what: &'static str, found: usize, max: usize| {
        if found <= max { Ok(()) } else { Err(StoreError::TooLarge { what, found, max }) }
    };
    within("the writes of a transaction", writes.len(), TRANSACTION_WRITES_MAX)?;
    let bytes = writes.iter().map(Write::bytes).sum();
    within("the bytes of a transaction's keys and values", bytes, TRANSACTION_BYTES_MAX)?;
    for write in writes {
        within("the bytes of a key", write.key.len(), KEY_BYTES_MAX)?;
        if write.key.is_empty() {
            return Err(StoreError::EmptyKey);
        }
    }
    if let [_, _, ..] = writes {
        let mut seen = HashSet::with_capacity(writes.len());
        if let Some(twice) = writes.iter().find(|write| !seen.insert(&*write.key)) {
            return Err(StoreError::DuplicateKey { key: twice.key.to_string() });
        }
    }
    Ok(())
}
