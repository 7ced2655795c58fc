//! What people see: functions with their status, instances, nodes.

use std::sync::Arc;

use gapless_api::{Instance, InstanceStatus, Node, NodeStatus, ObjectMeta, PlatformInfo};
use gapless_placement::Explanation;
use gapless_placement::node::{Taint, TaintEffect};
use gapless_proto::StartPhase;
use gapless_types::{API_VERSION, Condition, Function, FunctionKey, FunctionStatus, InstanceId};
use jiff::Timestamp;

use crate::Control;
use crate::functions::{Declared, Readiness};
use crate::nodes::NodeView;
use crate::revision::{Health, InstanceView, Phase, RevisionState};
use crate::shape::shape_of;

impl Control {
    /// A function with its status.
    pub(crate) fn function_object(&self, key: &FunctionKey) -> Option<Function> {
        let declared = self.functions().lock().get(key).cloned()?;
        Some(self.object(key, &declared))
    }

    /// Functions with their status, of one namespace or all, in order of their names.
    pub(crate) fn function_objects(&self, namespace: Option<&str>) -> Vec<Function> {
        let is_meant = |key: &FunctionKey| namespace.is_none_or(|wanted| key.namespace() == wanted);
        let all: Vec<(FunctionKey, Declared)> = {
            let functions = self.functions().lock();
            let meant = functions.iter().filter(|(key, _)| is_meant(key));
            meant.map(|(key, declared)| (key.clone(), declared.clone())).collect()
        };
        all.iter().map(|(key, declared)| self.object(key, declared)).collect()
    }

    fn object(&self, key: &FunctionKey, declared: &Declared) -> Function {
        let mut metadata = declared.metadata.clone();
        metadata.resource_version = declared.store_revision.to_string();
        Function {
            api_version: API_VERSION.to_owned(),
            kind: "Function".to_owned(),
            metadata,
            spec: declared.latest.spec.clone(),
            status: Some(self.status(key, declared)),
        }
    }

    fn status(&self, key: &FunctionKey, declared: &Declared) -> FunctionStatus {
        let mut health = Health::default();
        for revision in declared.revisions() {
            let Some(state) = self.revision(&revision.name) else { continue };
            let found = state.health();
            health.ready += found.ready;
            health.starting += found.starting;
            if std::ptr::eq(&**revision, &**declared.routed()) {
                (health.trouble, health.since) = (found.trouble, found.since);
            }
        }
        let gateway = self.config().gateway;
        let (name, namespace, port) = (key.name(), key.namespace(), gateway.port());
        FunctionStatus {
            observed_generation: declared.metadata.generation,
            revision: declared.routed().name.short().to_owned(),
            url: format!("http://{name}.{namespace}.localhost:{port}"),
            path_url: format!("{}/fn/{namespace}/{name}/", self.gateway_url()),
            ready_instances: health.ready,
            starting_instances: health.starting,
            conditions: vec![ready_condition(declared, &health)],
        }
    }

    /// The gateway's URL, as one can call it from this machine.
    fn gateway_url(&self) -> String {
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

    /// Instances of one namespace or all, in order of their names.
    pub(crate) fn instance_objects(&self, namespace: Option<&str>) -> Vec<Instance> {
        let mut all = Vec::new();
        for state in self.revisions() {
            let function = &state.revision.function;
            if namespace.is_none_or(|wanted| function.namespace() == wanted) {
                all.extend(state.instances().iter().map(|view| instance_object(&state, view)));
            }
        }
        all.sort_by(|a: &Instance, b| {
            let order = |instance: &Instance| {
                (instance.metadata.namespace.clone(), instance.metadata.name.clone())
            };
            order(a).cmp(&order(b))
        });
        all
    }

    /// The instance that people know by this name.
    pub(crate) fn instance_called(&self, namespace: &str, name: &str) -> Option<InstanceId> {
        let (revision, number) = name.rsplit_once("-i")?;
        let id = InstanceId(u64::from_str_radix(number, 16).ok()?);
        let is_its = |state: &Arc<RevisionState>| {
            state.revision.function.namespace() == namespace
                && state.revision.name.short() == revision
        };
        let state = self.revisions().into_iter().find(is_its)?;
        state.instances().iter().any(|view| view.id == id).then_some(id)
    }

    /// Where the next instance of a function would go.
    pub(crate) fn explain_function(&self, key: &FunctionKey) -> Option<Explanation> {
        let revision = Arc::clone(self.functions().lock().get(key)?.routed());
        let profile = self.profiles().of(key, &revision.spec);
        self.nodes().explain_new(shape_of(key, &revision.spec), profile)
    }

    /// One node.
    pub(crate) fn node_object_called(&self, name: &str) -> Option<Node> {
        self.node_objects().into_iter().find(|node| node.metadata.name == name)
    }

    /// The nodes.
    pub(crate) fn node_objects(&self) -> Vec<Node> {
        self.nodes().views().iter().map(node_object).collect()
    }
}

fn ready_condition(declared: &Declared, health: &Health) -> Condition {
    let new = declared.latest.name.short();
    let serving = declared.serving.as_ref().map(|serving| serving.name.short());
    let (status, reason, message) = match (&declared.readiness, serving, &health.trouble) {
        (Readiness::Preparing, Some(old), _) => {
            ("Unknown", "Preparing", format!("{new} is being prepared; {old} serves until then"))
        }
        (Readiness::Preparing, None, _) => {
            ("Unknown", "Preparing", format!("{new} is being prepared; requests wait"))
        }
        (Readiness::Failed(why), Some(old), _) => {
            ("False", "PrepareFailed", format!("{why} ({old} goes on serving)"))
        }
        (Readiness::Failed(why), None, _) => ("False", "PrepareFailed", why.to_string()),
        (Readiness::Ready, _, Some(trouble)) if trouble.is_capacity && health.ready > 0 => {
            ("True", "NoCapacity", trouble.message.clone())
        }
        (Readiness::Ready, _, Some(trouble)) => {
            let reason = if trouble.is_capacity { "NoCapacity" } else { "CrashLoop" };
            ("False", reason, trouble.message.clone())
        }
        (Readiness::Ready, _, None) => ("True", "Ready", format!("{new} can be called")),
    };
    let changed = match declared.readiness {
        Readiness::Ready => health.since.map_or(declared.since, |since| since.max(declared.since)),
        _ => declared.since,
    };
    Condition {
        r#type: "Ready".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: readable(changed),
    }
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
