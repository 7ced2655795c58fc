//! What the checks share.

use std::sync::Arc;

use futures::executor::block_on;
use futures::{FutureExt as _, StreamExt as _};

use crate::{Record, StoreError, StoreEvent, StoreRevision, Watch};

pub(super) fn conflict(result: Result<StoreRevision, StoreError>) -> Option<StoreRevision> {
    match result {
        Err(StoreError::Conflict { found, .. }) => found,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub(super) fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| &*record.key).collect()
}

/// The next event; waits for it.
pub(super) fn next(watch: &mut Watch) -> StoreEvent {
    match block_on(watch.next()) {
        Some(Ok(event)) => event,
        other => panic!("expected an event, got {other:?}"),
    }
}

/// Events until the one of a revision, which is of this watch's prefix.
pub(super) fn until(watch: &mut Watch, last: StoreRevision) -> Vec<StoreEvent> {
    let mut events = Vec::new();
    while watch.progress() < last {
        events.push(next(watch));
    }
    events
}

/// Whether nothing is there to be taken at once.
pub(super) fn is_quiet(watch: &mut Watch) -> bool {
    watch.next().now_or_never().is_none()
}

/// A record as a put of a new key leaves it.
pub(super) fn created(key: &str, value: &[u8], revision: StoreRevision) -> Record {
    record(key, value, revision, revision)
}

pub(super) fn record(
    key: &str,
    value: &[u8],
    revision: StoreRevision,
    created: StoreRevision,
) -> Record {
    Record { key: Arc::from(key), value: value.to_vec().into(), revision, created }
}
