//! Why the store refuses.

use crate::StoreRevision;

/// Why an operation did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A record is not as its writer expected. The transaction changed nothing.
    #[error("{key} was changed by somebody else")]
    Conflict {
        /// The first write's record that is not.
        key: String,
        /// What is there: its revision, if it exists.
        found: Option<StoreRevision>,
    },
    /// History no longer reaches so far back: list again, and watch after that.
    #[error("revision {asked} is too old: history begins at revision {oldest}")]
    Compacted {
        /// The revision that was asked for, or where the watch was.
        asked: StoreRevision,
        /// The oldest that can be listed at and watched after.
        oldest: StoreRevision,
    },
    /// The store has not come so far: the revision is from another store, or wrong.
    #[error("revision {asked} is in the future: the store is at revision {newest}")]
    InFuture {
        /// The revision that was asked for.
        asked: StoreRevision,
        /// The store's.
        newest: StoreRevision,
    },
    /// A transaction writes one record twice.
    #[error("{key} is written twice in one transaction")]
    DuplicateKey {
        /// Which record.
        key: String,
    },
    /// A record needs a key.
    #[error("a key is empty")]
    EmptyKey,
    /// A transaction is larger than one may be.
    #[error("{what} are {found}; {max} are allowed")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        max: usize,
    },
    /// More is waiting for the disk than may. Nothing was changed: try again.
    #[error("nothing was changed: {waiting} transactions wait for the disk already; try again")]
    Busy {
        /// Transactions that wait.
        waiting: usize,
    },
    /// The disk is full. Nothing was changed; it works again when there is space.
    #[error("nothing was changed: no space left for {place} ({why}); free some and try again")]
    NoSpace {
        /// The folder that needs space.
        place: String,
        /// What the system said.
        why: String,
    },
    /// The disk failed, so that nobody knows what is on it. Reads go on; writes
    /// are refused until the store is opened again and finds out.
    #[error("{place} takes no writes since its disk failed ({why}): check the disk, then restart")]
    ReadOnly {
        /// What cannot be written.
        place: String,
        /// What the system said.
        why: String,
    },
    /// The store was closed. Nothing was changed.
    #[error("the store is closed")]
    Closed,
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
    /// The store cannot be opened or read.
    #[error("{what}: {why}")]
    Failed {
        /// The operation and its object.
        what: String,
        /// The cause, in words, and what to do.
        why: String,
    },
}
