//! The envelope of a declared function, in the shape of a Kubernetes object
//! (Kubernetes API conventions: `apiVersion`, `kind`, `metadata`, `spec`, `status`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FunctionSpec;
use crate::{FunctionKey, IdError, Percent};

/// `apiVersion` and `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeMeta {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Function`, `Instance`, `Node`, ...
    pub kind: String,
}

/// What every object says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique within its namespace and kind.
    pub name: String,
    /// Where the name counts; `default` when not given.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// For selecting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Set by the platform: unique over time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Set by the platform: changes with every write.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Set by the platform: counts changes of the spec, from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u64,
    /// Set by the platform: RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub creation_timestamp: String,
    /// Set by the platform when the object was deleted and something must still be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deletion_timestamp: String,
    /// How long it may take to end, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<u64>,
    /// Who must do something before a deleted object goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Objects that this one belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Value>,
    /// Who wrote which fields (Kubernetes, "Server-Side Apply").
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<Value>,
    /// What a name is to begin with, if none is given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Metadata {
    /// Namespace and name as a key.
    pub fn key(&self) -> Result<FunctionKey, IdError> {
        FunctionKey::new(&self.namespace, &self.name)
    }
}

/// A function: code that is run when it is called, and what it needs.
///
/// As declared and, when it comes from the API, as observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Function {
    /// Always `gapless.dev/v1`.
    pub api_version: String,
    /// Always `Function`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// What is asked for: the code, and how it is run.
    pub spec: FunctionSpec,
    /// What the platform observes; ignored on writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FunctionStatus>,
}

/// One aspect of an object's state (Kubernetes API conventions, "Conditions").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect, such as `Ready`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word for machines, such as `CrashLoop`.
    pub reason: String,
    /// A sentence for people: what, why, what to do.
    pub message: String,
    /// When `status` last changed, RFC 3339.
    pub last_transition_time: String,
}

/// What the platform observes of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// The generation this status speaks of.
    #[serde(default)]
    pub observed_generation: u64,
    /// The revision that takes new requests, such as `hello-00002`; of several, the one
    /// with the largest share.
    #[serde(default)]
    pub revision: String,
    /// The newest revision, such as `hello-00003`.
    #[serde(default)]
    pub latest_created_revision: String,
    /// The newest revision that has proven itself; empty while there is none.
    #[serde(default)]
    pub latest_ready_revision: String,
    /// Where to call it, by host name.
    #[serde(default)]
    pub url: String,
    /// Where to call it, by path.
    #[serde(default)]
    pub path_url: String,
    /// Instances ready to serve.
    #[serde(default)]
    pub ready_instances: u32,
    /// Instances on their way.
    #[serde(default)]
    pub starting_instances: u32,
    /// Requests that wait for a slot.
    #[serde(default)]
    pub queued: u32,
    /// Share of its requests that waited for a start, such as `0.5%`; none while it has
    /// had no requests since the platform started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_share: Option<String>,
    /// Who takes which share now; what `spec.traffic` and the rollout came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<TrafficStatus>,
    /// The rollout under way, or the last one if it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Aspects of its state, `Ready` first.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A revision's share of the requests as it is now, in the shape of Knative's
/// `status.traffic`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficStatus {
    /// The revision, such as `hello-00002`.
    pub revision: String,
    /// Its share, in percent, 0 to 100, to the hundredth.
    #[serde(with = "crate::quantity::percent_number")]
    #[schemars(with = "f64")]
    pub percent: Percent,
    /// The tag that leads to it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Where the tag leads, by host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it has its share as `latest`.
    #[serde(default)]
    pub latest: bool,
}

/// A rollout as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// `Preparing`, `Probing`, `Held`, `Progressing` or `RolledBack`.
    pub phase: String,
    /// The revision that served before; empty when there was none.
    pub from: String,
    /// The new revision.
    pub to: String,
    /// The step it is at, from 1; 0 before the first.
    pub step: u32,
    /// How many steps there are before it takes everything.
    pub steps: u32,
    /// The new revision's share of what `latest` takes, in percent, 0 to 100.
    pub percent: u32,
    /// When this phase or step began, RFC 3339.
    pub since: String,
    /// What it waits for, or why it was rolled back: a sentence for people.
    pub reason: String,
}

impl FunctionStatus {
    /// The condition of type `kind`.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == kind)
    }
}
