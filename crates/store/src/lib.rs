//! The store contract: few, slow, precious records that must not be lost.
//!
//! Keys are text such as `functions/default/hello`; values are bytes the store
//! does not look into. Every write gets the next revision of the whole store,
//! so that writes are totally ordered and compare-and-swap is a comparison of
//! numbers. Instances never come here: they live in memory.
//!
//! What always holds: a write that was acknowledged survives a crash of the
//! process and of the machine; a write that was refused changed nothing.

#[cfg(feature = "conformance")]
pub mod conformance;

use std::fmt;

/// The store's revision: how many writes it has seen.
pub type StoreRevision = u64;

/// One stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The write that gave it this value.
    pub revision: StoreRevision,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    Any,
    /// No record.
    Absent,
    /// The record as this write left it.
    At(StoreRevision),
}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record is not as the writer expected.
    #[error("{key} was changed by somebody else")]
    Conflict {
        /// Which record.
        key: String,
        /// What is there: its revision, if it exists.
        found: Option<StoreRevision>,
    },
    /// Another process has the store open.
    #[error(
        "data folder {folder} is in use by another gapless (pid {pid}): stop that one, or choose \
         another folder with --data-dir"
    )]
    InUse {
        /// The store's folder.
        folder: String,
        /// The other process, as far as it said so.
        pid: String,
    },
    /// The store cannot read or write. Nothing was acknowledged.
    #[error("{what}: {why}")]
    Failed {
        /// The operation and its object.
        what: String,
        /// The cause, in words.
        why: String,
    },
}

/// A store. Calls block while the disk works; services call them off their
/// event loops.
pub trait Store: Send + Sync + fmt::Debug {
    /// One record.
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError>;
    /// Every record whose key begins with `prefix`, in key order.
    fn list(&self, prefix: &str) -> Result<Vec<Record>, StoreError>;
    /// Writes a record if what is there is as expected. Durable when it returns.
    fn put(&self, key: &str, value: &[u8], expect: Expect) -> Result<StoreRevision, StoreError>;
    /// Removes a record if what is there is as expected. Durable when it returns.
    /// Removing what is absent, expecting `Any`, is no error.
    fn delete(&self, key: &str, expect: Expect) -> Result<StoreRevision, StoreError>;
    /// The last write's revision.
    fn revision(&self) -> StoreRevision;
}
