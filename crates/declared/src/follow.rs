//! Following a prefix of the store from within the platform: what exists, then every
//! change, in the store's order; and anew from what exists whenever too much was missed.

use std::sync::Arc;

use futures::StreamExt as _;
use gapless_store::{Record, Store, StoreError, StoreEvent, StoreRevision};

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Followed {
    /// Everything there is under the prefix, as of a revision. What is not in it is gone.
    All(Vec<Record>, StoreRevision),
    /// One change.
    Changed(StoreEvent),
}

/// Tells `act` what exists after `after` (or all of it first, without one), then every
/// change, until the store is closed. `act` must not block.
///
/// # Errors
/// The store cannot be read.
pub async fn follow(
    store: Arc<dyn Store>,
    prefix: String,
    after: Option<StoreRevision>,
    mut act: impl FnMut(Followed) + Send,
) -> Result<(), StoreError> {
    let mut after = after;
    loop {
        let from = match after.take() {
            Some(from) => from,
            None => {
                let revision = store.revision();
                let records = store.list_all(&prefix)?;
                act(Followed::All(records, revision));
                // Changes since are told again, which is harmless; none is missed.
                revision
            }
        };
        let mut watch = match store.watch(&prefix, from) {
            Ok(watch) => watch,
            Err(StoreError::Compacted { .. }) => continue,
            Err(error) => return Err(error),
        };
        loop {
            match watch.next().await {
                Some(Ok(event)) => act(Followed::Changed(event)),
                Some(Err(error)) => {
                    tracing::warn!(%error, prefix, "missed changes; reading everything again");
                    break;
                }
                None => return Ok(()),
            }
        }
    }
}
