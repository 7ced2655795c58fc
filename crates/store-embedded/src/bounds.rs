//! The store's bounds, by name.

use gapless_store::StoreRevision;

/// How much the store keeps, and when it tidies up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Changes that are kept as history, at most.
    pub history_events_max: usize,
    /// Bytes of history, at most: keys, values and what each replaced.
    pub history_bytes_max: usize,
    /// A log file is followed by another when it would become larger.
    pub segment_bytes: u64,
    /// The log may reach back before history by so much, or by as much as the
    /// records themselves if they are larger, before a checkpoint replaces it.
    pub checkpoint_bytes_min: u64,
    /// Transactions that may wait for the disk, and the bytes of their keys and
    /// values; one may always wait.
    pub waiting_max: usize,
    /// See `waiting_max`.
    pub waiting_bytes_max: usize,
}

impl Default for Bounds {
    /// What start-up reads is bounded by the records, and history and checkpoint
    /// bytes; these keep it well under the 100 ms that `gapless up` promises.
    fn default() -> Self {
        Bounds {
            history_events_max: 100_000,
            history_bytes_max: 32 << 20,
            segment_bytes: 8 << 20,
            checkpoint_bytes_min: 8 << 20,
            waiting_max: 10_000,
            waiting_bytes_max: 64 << 20,
        }
    }
}

/// What is used of the bounds, and what the disk was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The last transaction's revision.
    pub revision: StoreRevision,
    /// Records there are.
    pub records: u64,
    /// Changes that are kept as history.
    pub history_events: usize,
    /// Bytes of history.
    pub history_bytes: usize,
    /// Bytes of the records as they are.
    pub record_bytes: u64,
    /// Bytes that their values take in memory, packed.
    pub packed_bytes: u64,
    /// Transactions that wait for the disk.
    pub waiting: usize,
    /// Bytes of the log's files, without the checkpoint below them.
    pub log_bytes: u64,
    /// Groups of transactions made durable since the store was opened, by one fsync each.
    pub syncs: u64,
}
