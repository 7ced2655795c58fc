//! The store contract: few, slow, precious records that must not be lost.
//!
//! Keys are text such as `functions/default/hello`; values are bytes the store
//! does not look into. What is written together is one transaction, and every
//! transaction that changes something gets the next revision of the whole store,
//! so that transactions are totally ordered, compare-and-swap is a comparison of
//! numbers, and a reader can say "as of revision 17" or "everything after 17".
//! The shape is that of etcd (<https://etcd.io/docs/v3.6/learning/api/>), so that
//! a store on etcd can follow. Instances never come here: they live in memory.
//!
//! What always holds:
//! - a transaction that was acknowledged survives a crash of the process and of
//!   the machine; one that was refused changed nothing; none is seen in part;
//! - nobody reads, lists or watches what is not durable yet;
//! - a watch delivers every change after its revision, in order and once, or ends
//!   with an error; it skips nothing silently;
//! - history reaches back to [`Store::oldest`], also after a restart.
//!
//! Reads return at once, so they are plain calls: a store keeps what it serves in
//! memory. Writes wait for a disk, so they are futures, of no particular runtime.

mod error;
mod event;
mod read;
mod store;
mod watch;
mod write;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::StoreError;
pub use event::{Record, StoreEvent, StoreRevision};
pub use read::{Page, Range};
pub use store::Store;
pub use watch::Watch;
pub use write::{
    Change, Expect, KEY_BYTES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_WRITES_MAX, Write, check,
};
