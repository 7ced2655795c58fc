//! What is stored of functions and revisions, as far as serving them needs it.

use gapless_rollout::Rollout;
use gapless_store::Record;
use gapless_types::FunctionSpec;
use serde::Deserialize;

use crate::functions::Identity;

/// A stored function, as far as it is needed to serve it.
#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    pub(super) metadata: Identity,
    pub(super) spec: FunctionSpec,
    #[serde(default)]
    pub(super) status: StoredStatus,
    #[serde(default)]
    pub(super) course: Option<Rollout>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredStatus {
    #[serde(default)]
    pub(super) latest_created_revision: String,
}

/// A stored revision, as far as it is needed to run it.
#[derive(Debug, Deserialize)]
pub(super) struct StoredRevision {
    pub(super) spec: FunctionSpec,
}

impl Stored {
    /// Reads a record. The words are for the log: whoever wrote it was told before.
    pub(crate) fn read(record: &Record) -> Result<Stored, String> {
        serde_json::from_slice(&record.value).map_err(|why| {
            format!("cannot read the stored {}: {why}; it was written by another version of gapless, or is damaged", record.key)
        })
    }
}
