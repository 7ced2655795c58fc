//! Where instances may be and had better be: `spec.placement`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Bytes;

/// What a function asks of the nodes it runs on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// The placement profile that decides; what applies to the function when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Class of workload, such as `cpu`: for profiles, and for who slows whom down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Higher is given room first, when there is too little for all. 0 when not given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Labels a node must have: a value, a list of values, or an operator such as
    /// `{exists: true}`, `{notIn: [a, b]}`, `{gt: 3}`, `{lt: 9}`. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require: BTreeMap<String, LabelMatch>,
    /// Labels a node had better have. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<Preference>,
    /// Taints it does not mind: a key (`*` is every taint), or `{key, value}`. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerate: Vec<Tolerate>,
    /// Functions (`NAME` or `NAMESPACE/NAME`) or functions' labels (`key=value`) that
    /// must not be on the same node. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<String>,
    /// Functions it calls: it is placed near them. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Data it reads, by name, with sizes such as `2Gi`: it is placed where they are. At
    /// most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Bytes>,
    /// Devices it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<DeviceRequest>,
    /// Disk it needs, such as `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Bytes>,
    /// Its processor and memory must come from one NUMA node. `false` when not given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_numa_node: bool,
    /// It wants a node for itself. `false` when not given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub monopoly: bool,
    /// Only nodes dedicated to its namespace will do. `false` when not given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dedicated: bool,
    /// Its code is not trusted: it is kept apart from what is. `false` when not given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untrusted: bool,
}

/// What a label's value must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelMatch {
    /// This.
    Is(String),
    /// One of these.
    OneOf(Vec<String>),
    /// What an operator says.
    Operator(LabelOperator),
}

impl JsonSchema for LabelMatch {
    fn schema_name() -> Cow<'static, str> {
        "LabelMatch".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value, a list of values, or one of {notIn: [...]}, {exists: true}, \
                            {gt: N}, {lt: N}.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

/// An operator on a label's value, as in Kubernetes' node affinity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LabelOperator {
    /// None of these, or the label is absent.
    NotIn(Vec<String>),
    /// The label is there, or is not.
    Exists(bool),
    /// A whole number above this.
    Gt(i64),
    /// A whole number below this.
    Lt(i64),
}

/// Labels a node had better have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preference {
    /// The labels.
    pub labels: BTreeMap<String, LabelMatch>,
    /// How much each counts, against the other preferences. 0 to 100; 1 when not given.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

/// A taint that is not minded: a key, or more exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tolerate {
    /// Every taint with this key; `*` is every taint.
    Key(String),
    /// Taints with this key and value.
    Exact {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

impl JsonSchema for Tolerate {
    fn schema_name() -> Cow<'static, str> {
        "Tolerate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A taint's key (* is every taint), or {key: KEY, value: VALUE}.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

/// Devices of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceRequest {
    /// The kind, such as `gpu`.
    pub kind: String,
    /// How many whole ones. 1 to 255; 1 when not given.
    #[serde(default = "one_device")]
    pub count: u8,
    /// A share of one instead, in thousandths. 1 to 999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_millis: Option<u16>,
}

fn one_device() -> u8 {
    1
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
