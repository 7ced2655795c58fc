//! The envelope of a declared function, in the shape of a Kubernetes object
//! (Kubernetes API conventions: `apiVersion`, `kind`, `metadata`, `spec`, `status`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FunctionSpec;
use crate::{FunctionKey, IdError};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// A function as declared and, when it comes from the API, as observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Function {
    /// Always `gapless.dev/v1`.
    pub api_version: String,
    /// Always `Function`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// What the person asks for.
    pub spec: FunctionSpec,
    /// What the platform observes; ignored on writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FunctionStatus>,
}

/// One aspect of an object's state (Kubernetes API conventions, "Conditions").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// The generation this status speaks of.
    pub observed_generation: u64,
    /// The revision that takes new requests, such as `hello-00002`.
    pub revision: String,
    /// Where to call it, by host name.
    pub url: String,
    /// Where to call it, by path.
    pub path_url: String,
    /// Instances ready to serve.
    pub ready_instances: u32,
    /// Instances on their way.
    pub starting_instances: u32,
    /// `Ready` first.
    pub conditions: Vec<Condition>,
}

impl FunctionStatus {
    /// The condition of type `kind`.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == kind)
    }
}
