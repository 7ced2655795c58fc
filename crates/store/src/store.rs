//! [`Store`]: the contract.

use std::fmt;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::BoxFuture;

use crate::{Expect, Page, Range, Record, StoreError, StoreRevision, Watch, Write};

/// A store.
///
/// The calls with `blocking` in their name, `put` and `delete` wait for the disk
/// on the calling thread: they are for the start and for tests; services await
/// [`Store::commit`].
pub trait Store: Send + Sync + fmt::Debug {
    /// One record, as it is.
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError>;

    /// The records of a range, all as of one revision, however many and whatever
    /// is written meanwhile. Fails with [`StoreError::Compacted`] if that revision
    /// is older than history, [`StoreError::InFuture`] if it is yet to come.
    fn list(&self, range: Range<'_>) -> Result<Page, StoreError>;

    /// Commits the writes as one transaction: all of them if every expectation is
    /// met, else none. Durable when it resolves, to the revision that all of them
    /// share. A transaction that changes nothing, such as deleting what is absent
    /// expecting `Any`, takes no revision and resolves to the last one.
    ///
    /// It begins when it is called, not when it is first polled: calls in sequence
    /// commit in that sequence, and dropping the future takes nothing back.
    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'static, Result<StoreRevision, StoreError>>;

    /// Every change under `prefix` after `after`: first those that happened, then
    /// those that happen. Fails with [`StoreError::Compacted`] if history no longer
    /// reaches back to `after`, [`StoreError::InFuture`] if that is yet to come.
    fn watch(&self, prefix: &str, after: StoreRevision) -> Result<Watch, StoreError>;

    /// The last transaction's revision; 0 in a new store.
    fn revision(&self) -> StoreRevision;

    /// The oldest revision that can be listed at and watched after. It moves on
    /// by [`Store::compact`] and with the store's own bound on history; it never
    /// goes back, and a restart does not move it on.
    fn oldest(&self) -> StoreRevision;

    /// Forgets history before `before`, durably: resolves to the oldest revision
    /// then, which is at least that. Records are not touched.
    fn compact(
        &self,
        before: StoreRevision,
    ) -> BoxFuture<'static, Result<StoreRevision, StoreError>>;

    /// Every record under `prefix` as it is, in key order.
    fn list_all(&self, prefix: &str) -> Result<Vec<Record>, StoreError> {
        self.list(Range::prefix(prefix)).map(|page| page.records)
    }

    /// [`Store::commit`], waiting on this thread.
    fn commit_blocking(&self, writes: Vec<Write>) -> Result<StoreRevision, StoreError> {
        block_on(self.commit(writes))
    }

    /// Writes one record, waiting on this thread.
    fn put(&self, key: &str, value: &[u8], expect: Expect) -> Result<StoreRevision, StoreError> {
        self.commit_blocking(vec![Write::put(key, Bytes::copy_from_slice(value), expect)])
    }

    /// Removes one record, waiting on this thread.
    fn delete(&self, key: &str, expect: Expect) -> Result<StoreRevision, StoreError> {
        self.commit_blocking(vec![Write::delete(key, expect)])
    }
}
