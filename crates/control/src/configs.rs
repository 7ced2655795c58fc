//! The values of secrets and configs, for instances that start: read from the store's
//! memory when one is asked for, opened, and kept nowhere.

use std::sync::Arc;

use gapless_declared::{ObjectKey, store_key};
use gapless_objects::kinds::{CONFIG_MAP, SECRET};
use gapless_proto::{ConfigSource, Entries};
use gapless_secret::{config_entries, secret_entries};
use gapless_types::Kept as Kind;
use serde_json::Value;

use crate::Control;

/// What is declared, as a source of values.
pub(crate) struct Kept<'a>(pub(crate) &'a Control);

impl ConfigSource for Kept<'_> {
    fn entries(
        &self,
        kept: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Entries>>, String> {
        let descriptor = match kept {
            Kind::Secret => &SECRET,
            Kind::Config => &CONFIG_MAP,
        };
        let key = store_key(descriptor, &ObjectKey::new(namespace, name));
        let record = self.0.store().get(&key).map_err(|error| error.to_string())?;
        let Some(record) = record else { return Ok(None) };
        let object: Value =
            serde_json::from_slice(&record.value).map_err(|why| format!("is damaged: {why}"))?;
        let entries = match kept {
            Kind::Secret => {
                secret_entries(&object, &self.0.sealer()).map_err(|error| error.to_string())?
            }
            Kind::Config => config_entries(&object),
        };
        Ok(Some(Arc::new(entries)))
    }
}
