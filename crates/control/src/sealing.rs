//! The keys that seal secrets, and their rotation.
//!
//! ```text
//!  1. a new key is added to the file, and seals from now on; all keys open
//!  2. writes that the old key sealed are waited for
//!  3. every stored secret is sealed again; looked at once more
//!  4. the old keys are removed from the file
//! ```
//!
//! What always holds: a stored secret opens with a key that is in the file. A crash at any
//! point leaves old and new keys there; rotating again completes it.

use std::sync::Arc;
use std::time::Duration;

use gapless_declared::{Refusal, key_of, store_prefix};
use gapless_objects::kinds::SECRET;
use gapless_secret::{KeyError, KeyFile, Sealer, is_sealed_with_newest, reseal};
use gapless_store::StoreError;
use parking_lot::RwLock;
use serde_json::Value;

use crate::Control;

/// How long writes that are under way may take.
const WRITES_WITHIN: Duration = Duration::from_secs(30);
/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why keys were not rotated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    #[error("this platform keeps its key in memory only")]
    NoFile,
    #[error("{}", with_source(.0))]
    Key(#[from] KeyError),
    #[error("the keys could not be changed: the platform is ending")]
    Ending,
    #[error(
        "writes of secrets do not end: the new key seals, the old ones are kept; rotate again later"
    )]
    Busy,
    #[error("{0}; the new key seals, the old ones are kept")]
    Store(#[from] StoreError),
    #[error("{}; the new key seals, the old ones are kept", .0.status().message)]
    Refused(Box<Refusal>),
    #[error(
        "secret {0} cannot be opened with any key of the file, and so not sealed again: write or \
         delete it, then rotate again. The new key seals, the old ones are kept"
    )]
    Unopened(String),
}

fn with_source(error: &KeyError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What seals now.
#[derive(Debug)]
pub(crate) struct Sealing {
    sealer: RwLock<Arc<Sealer>>,
    keys: Option<KeyFile>,
    /// One rotation at a time.
    rotating: tokio::sync::Mutex<()>,
}

impl Sealing {
    pub(crate) fn new(sealer: Arc<Sealer>, keys: Option<KeyFile>) -> Self {
        Sealing { sealer: RwLock::new(sealer), keys, rotating: tokio::sync::Mutex::default() }
    }

    pub(crate) fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.sealer.read())
    }

    /// Puts another in place; the one that was there.
    fn replace(&self, sealer: Sealer) -> Arc<Sealer> {
        std::mem::replace(&mut *self.sealer.write(), Arc::new(sealer))
    }
}

impl Control {
    /// Seals every secret with a new key and forgets the others. The new key's name, and
    /// how many secrets were sealed again.
    pub(crate) async fn rotate_key(self: Arc<Self>) -> Result<(String, u64), RotateError> {
        let keys = self.sealing.keys.clone().ok_or(RotateError::NoFile)?;
        let _turn = self.sealing.rotating.lock().await;
        let file = keys.clone();
        let added = gapless_rt::spawn_blocking(move || file.rotate());
        let former = self.sealing.replace(added.await.map_err(|_| RotateError::Ending)??);
        self.let_go(former).await?;
        let newest = self.sealer().newest().to_owned();
        let resealed = self.reseal_all().await?;
        self.check_resealed()?;
        let name = newest.clone();
        let left = gapless_rt::spawn_blocking(move || keys.retire(&name));
        self.sealing.replace(left.await.map_err(|_| RotateError::Ending)??);
        tracing::info!(key = newest, resealed, "secrets are sealed with a new key");
        Ok((newest, resealed))
    }

    /// Waits until nobody has the former sealer any more: a write holds it until it is
    /// decided. `parts` has the first one for good.
    async fn let_go(&self, former: Arc<Sealer>) -> Result<(), RotateError> {
        let mut until = self.clock().now();
        until += WRITES_WITHIN;
        let own = if Arc::ptr_eq(&former, self.first_sealer()) { 2 } else { 1 };
        while Arc::strong_count(&former) > own {
            if self.clock().now() > until {
                return Err(RotateError::Busy);
            }
            let mut next = self.clock().now();
            next += LOOK_EVERY;
            self.clock().sleep_until(next).await;
        }
        Ok(())
    }

    async fn reseal_all(&self) -> Result<u64, RotateError> {
        let Some(secrets) = self.resource(&SECRET) else { return Ok(0) };
        let mut resealed = 0;
        for record in self.store().list_all(&store_prefix(&SECRET, None))? {
            let Some(key) = key_of(&SECRET, &record.key) else { continue };
            let sealer = self.sealer();
            let settled = self.objects().settle(&secrets, &key, |secret| {
                !is_sealed_with_newest(secret, &sealer) && reseal(secret, &sealer).is_ok()
            });
            let settled = settled.await.map_err(|refusal| RotateError::Refused(Box::new(refusal)));
            resealed += u64::from(settled?.is_some());
        }
        Ok(resealed)
    }

    fn check_resealed(&self) -> Result<(), RotateError> {
        let sealer = self.sealer();
        for record in self.store().list_all(&store_prefix(&SECRET, None))? {
            let secret: Value = serde_json::from_slice(&record.value).unwrap_or_default();
            if !is_sealed_with_newest(&secret, &sealer) {
                let name = record.key.split_once('/').map_or("", |(_, name)| name).to_owned();
                return Err(RotateError::Unopened(name));
            }
        }
        Ok(())
    }
}
