//! Instances and nodes as the API shows them, lists, watch events, log lines.

use std::collections::BTreeMap;

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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Its name.
    pub name: String,
    /// Its namespace, for kinds that have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// When it came to be, RFC 3339.
    #[serde(default)]
    pub creation_timestamp: String,
    /// For selecting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One live environment of one revision.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `Node`.
    pub kind: String,
    /// Its name.
    pub metadata: ObjectMeta,
    /// What is observed.
    pub status: NodeStatus,
}

/// What is observed of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    /// Of which reserved.
    pub cpu_millis_reserved: u64,
    /// Memory it has, in bytes.
    pub memory_bytes: u64,
    /// Of which reserved.
    pub memory_bytes_reserved: u64,
    /// Instances on it.
    pub instances: u32,
    /// Of which starting.
    #[serde(default)]
    pub starting: u32,
    /// Images, snapshots, prewarmed pools and data it holds.
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
