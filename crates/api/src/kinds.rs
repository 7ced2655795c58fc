//! Instances and nodes as the API shows them, lists, watch events, log lines.

use std::collections::BTreeMap;

use gapless_types::FunctionSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list of objects.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `FunctionList`, `InstanceList`, `NodeList`.
    pub kind: String,
    /// About the list.
    pub metadata: ListMeta,
    /// The objects.
    pub items: Vec<T>,
}

/// About a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// The store's revision the list shows.
    pub resource_version: String,
}

impl<T> List<T> {
    /// A list of `kind`, such as `FunctionList`.
    pub fn new(kind: &str, resource_version: u64, items: Vec<T>) -> Self {
        List {
            api_version: gapless_types::API_VERSION.to_owned(),
            kind: kind.to_owned(),
            metadata: ListMeta { resource_version: resource_version.to_string() },
            items,
        }
    }
}

/// The metadata of objects that nobody declares.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Its name.
    pub name: String,
    /// Its namespace, for kinds that have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Set by the platform: unique over time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Set by the platform: changes with every change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// When it came to be, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub creation_timestamp: String,
    /// For selecting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One immutable version of a function's code and configuration. It is made from the
/// function's declaration and goes with the function.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Revision`.
    pub kind: String,
    /// Its name, such as `hello-00001`.
    pub metadata: ObjectMeta,
    /// The function's specification when it was made.
    pub spec: FunctionSpec,
    /// What is observed.
    #[serde(default)]
    pub status: RevisionStatus,
}

/// What is observed of a revision.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// The function's name.
    #[serde(default)]
    pub function: String,
    /// `Preparing`, `Ready`, `Failed`, `RolledBack`, or `Kept` when it takes no requests.
    #[serde(default)]
    pub state: String,
    /// Why it is in that state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its share of the function's requests, in percent.
    #[serde(default)]
    pub percent: f64,
    /// Instances that can serve.
    #[serde(default)]
    pub ready_instances: u32,
    /// Instances on their way.
    #[serde(default)]
    pub starting_instances: u32,
}

/// One live environment of one revision.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Instance`.
    pub kind: String,
    /// Its name, such as `hello-00001-i00002a`.
    pub metadata: ObjectMeta,
    /// What is observed.
    pub status: InstanceStatus,
}

/// What is observed of an instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The function's name.
    pub function: String,
    /// The revision, such as `hello-00001`.
    pub revision: String,
    /// The node it is on.
    pub node: String,
    /// `Starting`, `Ready` or `Retiring`.
    pub phase: String,
    /// Where it takes requests, such as `local` or `tcp:127.0.0.1:40001`.
    pub endpoint: String,
    /// How it was started, such as `cold`; empty until it is ready.
    pub start_kind: String,
    /// How long its start took, in milliseconds.
    pub start_ms: f64,
    /// The start's phases, in milliseconds, in order: name and time.
    pub start_phases_ms: Vec<(String, f64)>,
}

/// A machine that runs instances.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Node`.
    pub kind: String,
    /// Its name, its labels.
    pub metadata: ObjectMeta,
    /// What is declared of it.
    #[serde(default)]
    pub spec: NodeSpec,
    /// What is observed.
    #[serde(default)]
    pub status: NodeStatus,
}

/// What is declared of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// Whether it takes no new instances. Default false.
    #[serde(default)]
    pub unschedulable: bool,
    /// What an instance must tolerate to be placed here, besides what the node itself
    /// says. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<NodeTaint>,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeTaint {
    /// Its key, such as `gpu`.
    pub key: String,
    /// Its value; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule` or `PreferNoSchedule`.
    pub effect: NodeTaintEffect,
}

/// What a taint does to those that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeTaintEffect {
    /// None of them is placed here.
    NoSchedule,
    /// Other nodes come first.
    PreferNoSchedule,
}

/// What is observed of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Whether it takes instances.
    pub ready: bool,
    /// Whether it was told to take no new ones.
    #[serde(default)]
    pub cordoned: bool,
    /// Kinds of sandboxes it has, such as `wasm`.
    pub sandboxes: Vec<String>,
    /// The zone it is in: what fails together.
    #[serde(default)]
    pub zone: String,
    /// The rack within the zone: what is near.
    #[serde(default)]
    pub rack: String,
    /// Its taints, such as `gpu=yes:NoSchedule`.
    #[serde(default)]
    pub taints: Vec<String>,
    /// Its devices, by kind.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Processor share it has, in millicores.
    pub cpu_millis: u64,
    /// Processor share that is reserved for instances, in millicores.
    pub cpu_millis_reserved: u64,
    /// Memory it has, in bytes.
    pub memory_bytes: u64,
    /// Memory that is reserved for instances, in bytes.
    pub memory_bytes_reserved: u64,
    /// How many instances are on it.
    pub instances: u32,
    /// How many of them are starting.
    #[serde(default)]
    pub starting: u32,
    /// How many images, snapshots, prewarmed pools and data sets it holds.
    #[serde(default)]
    pub held: u32,
    /// Measured use of its processor, 0 to 1.
    #[serde(default)]
    pub cpu_load: f64,
    /// Measured use of its memory, 0 to 1.
    #[serde(default)]
    pub memory_load: f64,
}

/// One change, as a line of a watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WatchEvent<T> {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub r#type: String,
    /// The object after the change.
    pub object: T,
}

/// One line an instance wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When, RFC 3339 with microseconds.
    pub time: String,
    /// The instance, such as `i00002a`.
    pub instance: String,
    /// `stdout`, `stderr` or `platform`.
    pub stream: String,
    /// The text.
    pub line: String,
}

/// What a client wants to know of the platform it talks to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformInfo {
    /// Version of gapless.
    pub version: String,
    /// The gateway's URL, such as `http://127.0.0.1:8080`.
    pub gateway: String,
    /// The API's URL.
    pub api: String,
    /// The data folder.
    pub data_dir: String,
    /// The process.
    pub pid: u32,
}
