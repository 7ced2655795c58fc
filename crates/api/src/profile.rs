//! Placement profiles and explanations as the API shows them.

use gapless_placement::{Explanation, ProfileSpec};
use serde::{Deserialize, Serialize};

use crate::ObjectMeta;

/// Which policies decide where instances go, and how much each counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacementProfile {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `PlacementProfile`.
    pub kind: String,
    /// Its name. Profiles are in no namespace.
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: ProfileSpec,
    /// What is observed; ignored on writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ProfileStatus>,
}

/// What is observed of a profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// Its policies, filters first.
    pub policies: Vec<ProfilePolicy>,
    /// Pairs of its scores that want opposite things.
    pub conflicts: Vec<ProfileConflict>,
    /// Functions it decides for now, of those that were called or have a minimum.
    pub functions: u32,
}

/// A policy of a profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfilePolicy {
    /// Its name.
    pub policy: String,
    /// What it does.
    pub summary: String,
    /// How much it counts; 0 for filters and permits.
    pub weight: f32,
}

/// Two scores that want opposite things.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileConflict {
    /// One.
    pub policy: String,
    /// The other.
    pub against: String,
    /// How the two go together over the nodes as they are now, -1 (opposite) to 1; over
    /// a modelled cluster when the nodes are too much alike to tell. `None` when it
    /// does not tell either.
    pub correlation: Option<f32>,
}

/// Why an instance is where it is, or where the next one would go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Explanation`.
    pub kind: String,
    /// Of what: an instance, or a function.
    pub metadata: ObjectMeta,
    /// Whether it is the decision as it was made; if not, as it would be made now.
    pub is_as_decided: bool,
    /// The explanation.
    pub explanation: Explanation,
}

/// The path of one placement profile.
pub fn profile_path(name: &str) -> String {
    format!("{}/placementprofiles/{name}", crate::ROOT)
}
