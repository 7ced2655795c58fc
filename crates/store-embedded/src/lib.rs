//! The embedded store: everything one machine must not lose, in one folder.
//!
//! ```text
//! DATA_DIR/gapless.lock           held by the one process that uses the folder
//!          state/                 declared state: [`EmbeddedStore`]
//!          artifacts/sha256/HEX   code that was uploaded: [`ArtifactStore`]
//! ```
//!
//! The store is a log of transactions in files (`log`), the records with their
//! versions in memory (`memory`), one thread that writes (`commit`), and now and
//! then a checkpoint of all records in place of the log's beginning (`checkpoint`).
//! Declared state is small, and history, watches and lists at a revision need it in
//! memory anyway: with the log as history, one append and one fsync per group are
//! all that a write costs. A general key-value store below (redb, fjall, SQLite)
//! would write every change twice, once as a record and once as history.
//!
//! What always holds: a write is acknowledged after the fsync that holds it; what
//! is on disk is read whole or refused, never passed over; one process at a time
//! uses a folder; an artifact is there whole or not at all.

mod artifacts;
mod bounds;
mod checkpoint;
mod commit;
mod disk;
mod folder;
mod log;
mod memory;
mod store;
#[cfg(test)]
mod tests;

pub use artifacts::{ARTIFACT_BYTES_MAX, ArtifactError, ArtifactStore, ArtifactWriter};
pub use bounds::{Bounds, Usage};
pub use store::EmbeddedStore;
