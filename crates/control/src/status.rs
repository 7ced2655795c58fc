//! What people see: instances, nodes, the platform; for functions see `conditions.rs`.

use std::sync::Arc;

use gapless_api::{
    Instance, InstanceStatus, Node, NodeStatus, NodeTaint, NodeTaintEffect, ObjectMeta,
    PlatformInfo, Status,
};
use gapless_declared::ObjectKey;
use gapless_placement::Explanation;
use gapless_placement::node::{Taint, TaintEffect};
use gapless_proto::StartPhase;
use gapless_types::{API_VERSION, FunctionKey, InstanceId, NodeId, RevisionName};
use jiff::Timestamp;
use serde_json::Value;

use crate::Control;
use crate::nodes::{DeclaredNode, NodeView};
use crate::revision::{InstanceView, Phase, RevisionState};
use crate::shape::shape_of;

impl Control {
    /// The gateway's URL, as one can call it from this machine.
    pub(crate) fn gateway_url(&self) -> String {
        url_of(self.config().gateway)
    }

    /// What a client wants to know of the platform it talks to.
    pub(crate) fn info(&self) -> PlatformInfo {
        let config = self.config();
        PlatformInfo {
            version: config.version.to_owned(),
            gateway: self.gateway_url(),
            api: url_of(config.api),
            data_dir: config.data_dir.display().to_string(),
            pid: std::process::id(),
        }
    }

    /// Instances of one namespace or all, in order of their keys.
    pub(crate) fn instance_values(&self, namespace: Option<&str>) -> Vec<Value> {
        let mut all: Vec<(String, String, Value)> = Vec::new();
        for state in self.revisions() {
            let function = &state.revision.function;
            if namespace.is_none_or(|wanted| function.namespace() == wanted) {
                all.extend(state.instances().iter().map(|view| {
                    let name = instance_name(&state, view.id);
                    (function.namespace().to_owned(), name, instance_value(&state, view))
                }));
            }
        }
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all.into_iter().map(|(_, _, value)| value).collect()
    }

    /// One instance.
    pub(crate) fn instance_value(&self, key: &ObjectKey) -> Option<Value> {
        let (state, id) = self.find_instance(&key.namespace, &key.name)?;
        state.instance(id).map(|view| instance_value(&state, &view))
    }

    /// The instance that people know by this name.
    pub(crate) fn instance_called(&self, namespace: &str, name: &str) -> Option<InstanceId> {
        let (state, id) = self.find_instance(namespace, name)?;
        state.instance(id).map(|view| view.id)
    }

    fn find_instance(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<(Arc<RevisionState>, InstanceId)> {
        let (revision, number) = name.rsplit_once("-i")?;
        let id = InstanceId(u64::from_str_radix(number, 16).ok()?);
        Some((self.revision(&revision_name(namespace, revision)?)?, id))
    }

    /// Where the next instance of a function would go.
    pub(crate) fn explain_function(&self, key: &FunctionKey) -> Option<Explanation> {
        let spec = Arc::clone(&self.functions().lock().get(key)?.spec);
        let profile = self.profiles().of(key, &spec);
        self.nodes().explain_new(shape_of(key, &spec), profile)
    }

    /// One node.
    pub(crate) fn node_value(&self, name: &str) -> Option<Value> {
        let view = self.nodes().view(&NodeId::new(name))?;
        Some(self.node_value_of(&view, self.kind_feeds().nodes.version()))
    }

    /// The nodes, in order of their names.
    pub(crate) fn node_values(&self) -> Vec<Value> {
        let mut views = self.nodes().views();
        views.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
        let version = self.kind_feeds().nodes.version();
        views.iter().map(|view| self.node_value_of(view, version)).collect()
    }

    fn node_value_of(&self, view: &NodeView, version: u64) -> Value {
        let id = &view.spec.id;
        let seen = self.nodes().first_seen(id).map(readable).unwrap_or_default();
        node_value(view, &self.nodes().declared(id), version, seen)
    }
}

/// The revision that people know by this name.
pub(crate) fn revision_name(namespace: &str, short: &str) -> Option<RevisionName> {
    let (function, number) = short.rsplit_once('-')?;
    let function = FunctionKey::new(namespace, function).ok()?;
    Some(RevisionName::new(&function, number.parse().ok()?))
}

/// `404` for a function.
pub(crate) fn not_found(key: &FunctionKey) -> Box<Status> {
    let mut status = Status::failure(404, "NotFound", format!("there is no function {key}"));
    status.details.name = key.name().to_owned();
    Box::new(status)
}

/// An instance's name.
pub(crate) fn instance_name(state: &RevisionState, id: InstanceId) -> String {
    format!("{}-{id}", state.revision.name.short())
}

/// An instance as the API shows it.
pub(crate) fn instance_value(state: &RevisionState, view: &InstanceView) -> Value {
    serde_json::to_value(instance_object(state, view)).unwrap_or_default()
}

fn instance_object(state: &RevisionState, view: &InstanceView) -> Instance {
    let revision = &state.revision;
    let phase = match view.phase {
        Phase::Starting => "Starting",
        Phase::Ready => "Ready",
        Phase::Retiring | Phase::Ending => "Retiring",
    };
    let ms = |span: std::time::Duration| span.as_secs_f64() * 1e3;
    let report = view.report.as_ref();
    let phases = |report: &std::sync::Arc<gapless_proto::StartReport>| {
        let named = StartPhase::ALL.iter().zip(report.phases);
        named.map(|(phase, took)| (phase.as_str().to_owned(), ms(took))).collect()
    };
    Instance {
        api_version: API_VERSION.to_owned(),
        kind: "Instance".to_owned(),
        metadata: ObjectMeta {
            name: format!("{}-{}", revision.name.short(), view.id),
            namespace: revision.function.namespace().to_owned(),
            creation_timestamp: readable(view.made),
            ..ObjectMeta::default()
        },
        status: InstanceStatus {
            function: revision.function.name().to_owned(),
            revision: revision.name.short().to_owned(),
            node: view.node.to_string(),
            phase: phase.to_owned(),
            endpoint: view.endpoint.as_ref().map(|end| format!("{end:?}")).unwrap_or_default(),
            start_kind: report.map(|report| report.kind.as_str().to_owned()).unwrap_or_default(),
            start_ms: report.map(|report| ms(report.total())).unwrap_or_default(),
            start_phases_ms: report.map(phases).unwrap_or_default(),
        },
    }
}

fn node_value(view: &NodeView, declared: &DeclaredNode, version: u64, seen: String) -> Value {
    let mut node = node_object(view);
    node.metadata.creation_timestamp = seen;
    node.spec.unschedulable = declared.is_cordoned;
    let taint = |taint: &Taint| NodeTaint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: match taint.effect {
            TaintEffect::NoSchedule => NodeTaintEffect::NoSchedule,
            TaintEffect::PreferNoSchedule => NodeTaintEffect::PreferNoSchedule,
        },
    };
    node.spec.taints = declared.taints.iter().map(taint).collect();
    node.metadata.resource_version = version.to_string();
    serde_json::to_value(node).unwrap_or_default()
}

fn node_object(view: &NodeView) -> Node {
    let spec = &view.spec;
    let share = |reserved: f32| f64::from((reserved * 1000.0).round() / 1000.0);
    let taint = |taint: &Taint| {
        let effect = match taint.effect {
            TaintEffect::NoSchedule => "NoSchedule",
            TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        };
        let separator = if taint.value.is_empty() { "" } else { "=" };
        format!("{}{separator}{}:{effect}", taint.key, taint.value)
    };
    let mut metadata = ObjectMeta { name: spec.id.to_string(), ..ObjectMeta::default() };
    metadata.labels = spec.labels.clone();
    Node {
        api_version: API_VERSION.to_owned(),
        kind: "Node".to_owned(),
        metadata,
        spec: gapless_api::NodeSpec::default(),
        status: NodeStatus {
            ready: view.is_healthy && !view.is_cordoned,
            cordoned: view.is_cordoned,
            sandboxes: spec.sandboxes.iter().map(ToString::to_string).collect(),
            zone: spec.zone.to_string(),
            rack: spec.rack.to_string(),
            taints: spec.taints.iter().map(taint).collect(),
            devices: spec.devices.iter().map(ToString::to_string).collect(),
            cpu_millis: u64::from(spec.cpu.0),
            cpu_millis_reserved: view.cpu_reserved,
            memory_bytes: spec.memory.0,
            memory_bytes_reserved: view.memory_reserved,
            instances: view.instances,
            starting: view.starting,
            held: u32::try_from(view.held).unwrap_or(u32::MAX),
            cpu_load: share(view.load.cpu),
            memory_load: share(view.load.memory),
        },
    }
}

/// A URL for an address to listen on; one that listens everywhere is called at loopback.
fn url_of(address: std::net::SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    match (ip, ip.is_unspecified()) {
        (_, true) => format!("http://127.0.0.1:{port}"),
        (std::net::IpAddr::V6(ip), false) => format!("http://[{ip}]:{port}"),
        (ip, false) => format!("http://{ip}:{port}"),
    }
}

fn readable(at: Timestamp) -> String {
    format!("{at:.0}")
}
