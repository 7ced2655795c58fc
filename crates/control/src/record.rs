//! A function as it is stored: the declared object, and what has to be known
//! after a restart to serve the right revision of it.

use gapless_store::{Record, StoreError};
use gapless_types::{Function, FunctionKey, FunctionSpec};
use serde::{Deserialize, Serialize};

/// Where functions are in the store.
pub(crate) const FUNCTIONS_PREFIX: &str = "functions/";

/// The key of a function.
pub(crate) fn store_key(key: &FunctionKey) -> String {
    format!("{FUNCTIONS_PREFIX}{}/{}", key.namespace(), key.name())
}

/// The value of a function.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    /// As declared, without status and resource version.
    pub(crate) function: Function,
    /// Why its revision was refused by its driver, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    /// The revision that serves if this one was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Previous>,
}

/// A former revision.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Previous {
    pub(crate) generation: u64,
    pub(crate) spec: FunctionSpec,
}

impl Stored {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a declared function is representable in JSON")
    }

    /// Reads a record. One that cannot be read stops the start: going on would
    /// lose a function without a word.
    pub(crate) fn read(record: &Record) -> Result<Stored, StoreError> {
        serde_json::from_slice(&record.value).map_err(|why| StoreError::Failed {
            what: format!("cannot read the stored {}", record.key),
            why: format!("{why}; it was written by another version of gapless, or is damaged"),
        })
    }
}
