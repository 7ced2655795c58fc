//! The keys that seal secrets.

use serde::{Deserialize, Serialize};

/// Where the key is rotated (`POST`).
pub fn key_rotation_path() -> String {
    format!("{}/sealingkeys/rotation", crate::ROOT)
}

/// What became of a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `KeyRotation`.
    pub kind: String,
    /// The name of the key that seals now: the only one left.
    pub key: String,
    /// Secrets that were sealed again.
    pub resealed: u64,
}
