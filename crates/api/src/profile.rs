//! Placement profiles and explanations as the API shows them.

use gapless_placement::{Explanation, Profile, ProfileSpec};
use gapless_types::{API_VERSION, FieldError, check_name, read_object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ObjectMeta;

/// Which policies decide where instances go, and how much each counts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

impl PlacementProfile {
    /// Reads a profile from a JSON value and checks it: every unknown field, wrong type,
    /// unknown policy and impossible value is told.
    pub fn from_value(value: Value) -> Result<PlacementProfile, Vec<FieldError>> {
        if !value.is_object() {
            let message = "the document is empty or not a mapping: it must have apiVersion, kind, \
                           metadata and spec";
            return Err(vec![FieldError::new("", message)]);
        }
        read_object::<PlacementProfile>(value).finish(PlacementProfile::check)
    }

    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (field, found, expected) in [
            ("apiVersion", &self.api_version, API_VERSION),
            ("kind", &self.kind, "PlacementProfile"),
        ] {
            if found != expected {
                let message = format!("found {found:?}, expected {expected:?}");
                errors.push(FieldError::new(field, message));
            }
        }
        if let Err(error) = check_name(&self.metadata.name) {
            errors.push(FieldError::new("metadata.name", error.to_string()));
        }
        if let Err(wrong) = Profile::new(&self.metadata.name, &self.spec) {
            let wrong = wrong.into_iter();
            errors.extend(wrong.map(|error| FieldError::new(error.field, error.message)));
        }
        errors
    }
}

/// What is observed of a profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileConflict {
    /// One of the two.
    pub policy: String,
    /// The other.
    pub against: String,
    /// How the two go together over the nodes as they are now, -1 (opposite) to 1; over
    /// a modelled cluster when the nodes are too much alike to tell. Absent when it
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
