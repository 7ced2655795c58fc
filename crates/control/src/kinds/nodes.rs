//! `Node`: a machine that runs instances. What it has is observed; labels, taints and
//! whether it is cordoned are declared, and outlive the node's process and ours.

use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_api::{Node, NodeTaintEffect, Status};
use gapless_declared::{
    Admission, Feed, Hold, LiveSource, ObjectKey, Outcome, Refusal, Resource, Source, store_key,
    store_prefix,
};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{AGE, found, integer, text};
use gapless_placement::node::{Taint, TaintEffect};
use gapless_store::{Expect, Record, Write};
use gapless_types::{FieldError, NodeId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Owner;
use crate::Control;
use crate::nodes::DeclaredNode;

/// The kind.
pub(crate) static NODES: Descriptor = Descriptor {
    group: "gapless.dev",
    version: "v1",
    kind: "Node",
    list_kind: "NodeList",
    plural: "nodes",
    singular: "node",
    short_names: &[],
    categories: &["gapless"],
    is_namespaced: false,
    verbs: &["get", "list", "patch", "update", "watch"],
    has_status: false,
    has_scale: false,
    columns: &[
        text("Status", "Ready, or why not; and whether it is cordoned.", state),
        integer("Instances", "Instances on it.", |o| found(o, "status.instances")),
        text("Cpu", "Processor share reserved, of what it has.", |o| {
            share(o, "cpuMillisReserved", "cpuMillis", |n| format!("{:.1}", n as f64 / 1000.0))
        }),
        text("Memory", "Memory reserved, of what it has.", |o| {
            share(o, "memoryBytesReserved", "memoryBytes", |n| {
                format!("{:.1}Gi", n as f64 / f64::from(1 << 30))
            })
        }),
        AGE,
        text("Sandboxes", "Kinds of sandboxes it has.", |o| joined(o, "sandboxes")).wide(),
        text("Zone", "What fails together.", |o| found(o, "status.zone")).wide(),
        text("Taints", "What must be tolerated here.", |o| joined(o, "taints")).wide(),
    ],
    selectable: &["spec.unschedulable"],
    schema: gapless_objects::schema::of::<gapless_api::Node>,
};

fn state(node: &Value) -> Value {
    let is_cordoned = node["status"]["cordoned"] == true;
    match (node["status"]["ready"] == true, is_cordoned) {
        (_, true) => json!("SchedulingDisabled"),
        (true, false) => json!("Ready"),
        (false, false) => json!("NotReady"),
    }
}

fn share(node: &Value, part: &str, whole: &str, shown: fn(u64) -> String) -> Value {
    let number = |field: &str| node["status"][field].as_u64().unwrap_or(0);
    json!(format!("{}/{}", shown(number(part)), shown(number(whole))))
}

fn joined(node: &Value, field: &str) -> Value {
    let all = node["status"][field].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
    json!(texts.join(","))
}

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Nodes(pub(super) Owner, pub(super) Arc<Feed>);

impl Resource for Nodes {
    fn descriptor(&self) -> &'static Descriptor {
        &NODES
    }

    fn source(&self) -> Source {
        Source::Live(Arc::new(Live(self.0.clone(), Arc::clone(&self.1))))
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(stated(admission.new).map(|_| None).map_err(|error| vec![error]))
    }
}

/// What is stored of a node: what was declared of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    spec: gapless_api::NodeSpec,
}

/// What an object declares of its node.
fn stated(object: &Value) -> Result<(Stored, DeclaredNode), FieldError> {
    let node: Node = serde_path_to_error::deserialize(object.clone()).map_err(|error| {
        let path = error.path().to_string();
        FieldError::new(path.trim_start_matches('.'), error.into_inner().to_string())
    })?;
    let stored = Stored { labels: node.metadata.labels, spec: node.spec };
    let declared = declared(&stored);
    Ok((stored, declared))
}

fn declared(stored: &Stored) -> DeclaredNode {
    let taint = |taint: &gapless_api::NodeTaint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: match taint.effect {
            NodeTaintEffect::NoSchedule => TaintEffect::NoSchedule,
            NodeTaintEffect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
        },
    };
    DeclaredNode {
        labels: stored.labels.clone(),
        taints: stored.spec.taints.iter().map(taint).collect(),
        is_cordoned: stored.spec.unschedulable,
    }
}

struct Live(Owner, Arc<Feed>);

impl LiveSource for Live {
    fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.0.get()?.node_value(&key.name)
    }

    fn list(&self, _namespace: Option<&str>) -> Vec<Value> {
        self.0.get().map(|control| control.node_values()).unwrap_or_default()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.1
    }

    fn write(&self, key: &ObjectKey, new: Value) -> BoxFuture<'_, Outcome<Value>> {
        let key = key.clone();
        Box::pin(async move {
            let control = self.0.require()?;
            let wrong = |error: FieldError| Refusal::from(Status::invalid(&key.name, &[error]));
            let (stored, declared) = stated(&new).map_err(wrong)?;
            let id = NodeId::new(&key.name);
            control
                .nodes()
                .declare(&id, declared)
                .map_err(|error| wrong(FieldError::new(error.field, error.message)))?;
            let value = serde_json::to_vec(&stored).unwrap_or_default();
            let write = Write::put(store_key(&NODES, &key), value, Expect::Any);
            control.store().commit(vec![write]).await?;
            self.1.tell(false, || (key.clone(), None));
            self.get(&key).ok_or_else(|| {
                Status::failure(404, "NotFound", format!("node {:?} has left", key.name)).into()
            })
        })
    }
}

impl Control {
    /// What was declared of nodes in former runs.
    pub(crate) fn restore_nodes(&self) -> Result<(), gapless_store::StoreError> {
        for record in self.store().list_all(&store_prefix(&NODES, None))? {
            let Some((_, name)) = record.key.split_once('/') else { continue };
            let id = NodeId::new(name);
            if let Err(why) = restored(&record)
                .and_then(|declared| self.nodes().declare(&id, declared).map_err(|e| e.to_string()))
            {
                tracing::error!(node = name, why, "what was declared of a node cannot be used");
            }
        }
        Ok(())
    }
}

fn restored(record: &Record) -> Result<DeclaredNode, String> {
    let stored: Result<Stored, _> = serde_json::from_slice(&record.value);
    stored.map(|stored| declared(&stored)).map_err(|why| why.to_string())
}
