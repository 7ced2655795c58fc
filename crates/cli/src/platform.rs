//! The platform of one machine, assembled: store, gateway, control, nodes, and
//! the two listeners, in one process.
//!
//! ```text
//! DATA_DIR/gapless.lock, state/, artifacts/       store
//!          secrets.key                            seals secrets in the store; 0600
//!          logs/                                  what functions write
//!          wasm/                                  compiled components
//!          run/                                   unpacked folders, sockets
//! ```
//!
//! What always holds: the listeners are bound before the data folder is touched,
//! so a port in use changes nothing; a start that fails leaves nothing running;
//! nothing that takes longer than opening files happens before it is ready
//! (components are mapped and programs unpacked when they are first needed).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gapless_control::{Control, ControlConfig, ControlParts, NodeSpec, Taint};
use gapless_gateway::{Gateway, GatewayConfig};
use gapless_node::{ArtifactPath, LogStore, Node, NodeConfig};
use gapless_proto::{ControlLink, Demand, GatewayLink, NodeLink, NodeListener, Served};
use gapless_rt::{Clock, Shutdown};
use gapless_sandbox::Driver;
use gapless_sandbox_fake::FakeDriver;
use gapless_sandbox_linux::{LinuxConfig, LinuxDriver};
use gapless_sandbox_wasm::{WasmConfig, WasmDriver};
use gapless_secret::KeyFile;
use gapless_store_embedded::{ARTIFACT_BYTES_MAX, ArtifactStore, EmbeddedStore};
use gapless_telemetry::{Metrics, StoreFacts};
use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId, RevisionName};
use tokio::net::TcpListener;

use crate::failure::{Failure, Outcome};
use crate::machine::{LOCAL_NODE, ZONE_LABEL, architecture, fake_node, measure_load, memory_bytes};
use crate::port_holder;

/// The node's folder for unpacked code and sockets, in the data folder.
const RUN_DIR: &str = "run";
/// What seals secrets, in the data folder.
const KEY_FILE: &str = "secrets.key";
/// How much more processor share than it has this machine gives away: an idle
/// instance uses none, and busy ones share what there is.
const CPU_OVERCOMMIT: usize = 10;
/// What a modelled node has.
const FAKE_CORES: usize = 64;
const FAKE_MEMORY_BYTES: u64 = 256 << 30;
/// Memory assumed where the machine does not say.
const MEMORY_BYTES_DEFAULT: u64 = 4 << 30;
/// Longer than the gateway and the API let a request go on after shutdown began.
const DRAIN_WITHIN: Duration = Duration::from_secs(12);
/// How long an instance may take to end when told, and how long all of them
/// together may take until they are given up.
const STOP_GRACE: Duration = Duration::from_secs(5);
const STOP_WITHIN: Duration = Duration::from_secs(7);
/// How long closing files may take. What is left over then, the next start clears.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where state is kept.
    pub(crate) data_dir: PathBuf,
    /// Where the gateway listens.
    pub(crate) gateway: SocketAddr,
    /// Where the API listens.
    pub(crate) api: SocketAddr,
    /// Modelled nodes besides this machine.
    pub(crate) fake_nodes: u32,
    /// Labels of the node that is this machine.
    pub(crate) node_labels: Vec<(String, String)>,
    /// Its taints.
    pub(crate) node_taints: Vec<Taint>,
    /// Placement decisions kept to be explained as they were made.
    pub(crate) explain_decisions: usize,
    /// Whether weights of placement policies are learned.
    pub(crate) balances: bool,
}

/// A running platform.
pub(crate) struct Platform {
    /// Where functions are called.
    pub(crate) gateway_url: String,
    /// Where the API is.
    pub(crate) api_url: String,
    shutdown: Shutdown,
    nodes: Vec<Arc<Node>>,
    logs: Arc<LogStore>,
    /// The only owner: nodes and gateway hold weak references.
    control: Arc<Control>,
    /// What is of no use to the next run.
    run_dir: PathBuf,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "platform at {} and {}", self.gateway_url, self.api_url)
    }
}

impl Platform {
    /// Starts everything; returns when requests can be served.
    pub(crate) async fn start(options: Options) -> Outcome<Self> {
        let gateway_listener = bind("gateway", "--gateway", options.gateway)?;
        let api_listener = bind("API", "--api", options.api)?;
        let (gateway_address, api_address) =
            (gateway_listener.local_addr()?, api_listener.local_addr()?);
        let (clock, shutdown, metrics) = (Clock::start(), Shutdown::new(), Metrics::new());
        let gateway =
            Gateway::new(GatewayConfig::default(), clock, Arc::clone(&metrics), shutdown.clone());
        let as_link: Arc<dyn GatewayLink> = gateway.clone();
        let run_dir = options.data_dir.join(RUN_DIR);
        let config = ControlConfig {
            gateway: gateway_address,
            api: api_address,
            data_dir: options.data_dir.clone(),
            version: env!("CARGO_PKG_VERSION"),
            decisions_kept: options.explain_decisions,
            balances: options.balances,
        };
        let opening = Opening { options, clock, metrics, shutdown: shutdown.clone() };
        let parts = gapless_rt::spawn_blocking(move || opening.open(config, &as_link));
        let Opened { control, nodes, logs } =
            parts.await.map_err(|error| Failure::new("cannot start", error))??;
        gateway.connect(Arc::new(ToControl(Arc::downgrade(&control))));
        let listener: Arc<dyn NodeListener> = control.clone();
        for (node, spec) in &nodes {
            node.connect(&listener);
            let link: Arc<dyn NodeLink> = node.clone();
            let added = control.add_node(link, spec.clone());
            added.map_err(|error| Failure::new("cannot start the platform", error))?;
        }
        measure_load(&control, clock, &shutdown);
        shutdown.spawn(gateway.serve(gateway_listener));
        let api = Arc::clone(&control);
        shutdown.spawn(async move { api.serve_api(api_listener).await });
        control.begin();
        Ok(Platform {
            gateway_url: url(gateway_address),
            api_url: url(api_address),
            shutdown,
            nodes: nodes.into_iter().map(|(node, _)| node).collect(),
            logs,
            control,
            run_dir,
        })
    }

    /// Takes nothing new, lets what is under way end, stops every instance.
    pub(crate) async fn stop(self) {
        if !self.shutdown.finish(DRAIN_WITHIN).await {
            tracing::warn!("some requests did not end in time and are cut off");
        }
        let stops = self.nodes.iter().map(|node| node.shutdown(STOP_GRACE));
        let stopped = tokio::time::timeout(STOP_WITHIN, futures::future::join_all(stops)).await;
        if stopped.is_err() {
            tracing::warn!("some instances did not stop in time and are killed");
        }
        let close = move || {
            self.logs.flush();
            // The store's file is closed with its last owner, so that the next
            // start need not repair it.
            drop((self.nodes, self.control));
            let removed = std::fs::remove_dir_all(&self.run_dir);
            if let Err(error) = removed {
                tracing::debug!(%error, folder = %self.run_dir.display(), "left for the next start");
            }
        };
        let _ = tokio::time::timeout(CLOSE_WITHIN, gapless_rt::spawn_blocking(close)).await;
    }
}

/// The gateway's way to control. Weak, so that the gateway, whose queues refer
/// back to it, does not keep the store open.
struct ToControl(Weak<Control>);

impl ToControl {
    fn tell(&self, call: impl FnOnce(&Control)) {
        if let Some(control) = self.0.upgrade() {
            call(&control);
        }
    }
}

impl ControlLink for ToControl {
    fn demand(&self, revision: &RevisionName, demand: Demand) {
        self.tell(|control| control.demand(revision, demand));
    }

    fn idle(&self, revision: &RevisionName, instance: InstanceId) {
        self.tell(|control| control.idle(revision, instance));
    }

    fn released(&self, revision: &RevisionName, instance: InstanceId) {
        self.tell(|control| control.released(revision, instance));
    }

    fn served(&self, revision: &RevisionName, instance: InstanceId, served: Served) {
        self.tell(|control| control.served(revision, instance, served));
    }

    fn broken(&self, revision: &RevisionName, instance: InstanceId, why: &str) {
        self.tell(|control| control.broken(revision, instance, why));
    }
}

/// What is needed to open the data folder.
struct Opening {
    options: Options,
    clock: Clock,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

/// What came of it.
struct Opened {
    control: Arc<Control>,
    nodes: Vec<(Arc<Node>, NodeSpec)>,
    logs: Arc<LogStore>,
}

impl Opening {
    /// Opens everything on disk. Blocks while the disk works.
    fn open(self, config: ControlConfig, gateway: &Arc<dyn GatewayLink>) -> Outcome<Opened> {
        let data_dir = &self.options.data_dir;
        let what = "cannot start the platform";
        // A store's error says what to do itself.
        let store = EmbeddedStore::open(data_dir).map_err(|error| Failure::new(what, error))?;
        observe(&store, &self.metrics);
        let failed = |error: &dyn fmt::Display| {
            Failure::new(what, error)
                .help("give `gapless up` a folder you may write to: --data-dir DIR")
        };
        let artifacts = ArtifactStore::open(data_dir, ARTIFACT_BYTES_MAX)
            .map_err(|error| failed(&with_source(&error)))?;
        let logs = LogStore::open(&data_dir.join("logs"), Arc::clone(&self.metrics))
            .map_err(|error| failed(&error))?;
        let wasm: Arc<dyn Driver> = WasmDriver::new(WasmConfig::new(data_dir.join("wasm")))
            .map_err(|error| failed(&error))?;
        let linux: Arc<dyn Driver> = LinuxDriver::new(LinuxConfig::new(data_dir.join(RUN_DIR)))
            .map_err(|error| failed(&error))?;
        let keys = KeyFile::new(data_dir.join(KEY_FILE));
        let sealer = keys.open().map_err(|error| failed(&with_source(&error)))?;
        let parts = ControlParts {
            store,
            sealer: Arc::new(sealer),
            keys: Some(keys),
            artifacts: Arc::clone(&artifacts),
            logs: logs.clone(),
            gateway: Arc::downgrade(gateway),
            clock: self.clock,
            metrics: Arc::clone(&self.metrics),
            shutdown: self.shutdown.clone(),
        };
        let control = Control::new(config, parts).map_err(|error| failed(&error))?;
        let path: ArtifactPath = Arc::new(move |digest| artifacts.path(digest));
        let mut nodes = vec![self.local_node(Arc::from([wasm, linux]), &path, &logs)];
        let fake: Arc<[Arc<dyn Driver>]> = Arc::from([FakeDriver::new() as Arc<dyn Driver>]);
        for number in 1..=self.options.fake_nodes {
            let (fake, id) = (Arc::clone(&fake), NodeId::new(&format!("fake-{number:05}")));
            let (node, spec) = self.node(id, fake, FAKE_CORES, FAKE_MEMORY_BYTES, &path, &logs);
            nodes.push((node, fake_node(spec, number)));
        }
        Ok(Opened { control, nodes, logs })
    }

    fn local_node(
        &self,
        drivers: Arc<[Arc<dyn Driver>]>,
        path: &ArtifactPath,
        logs: &Arc<LogStore>,
    ) -> (Arc<Node>, NodeSpec) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = memory_bytes().unwrap_or(MEMORY_BYTES_DEFAULT);
        let (node, mut spec) =
            self.node(NodeId::new(LOCAL_NODE), drivers, cores, memory, path, logs);
        spec.cpu = cpu(cores * CPU_OVERCOMMIT);
        spec.labels.extend(self.options.node_labels.clone());
        spec.taints.clone_from(&self.options.node_taints);
        if let Some(zone) = spec.labels.get(ZONE_LABEL) {
            spec.zone = zone.as_str().into();
        }
        (node, spec)
    }

    fn node(
        &self,
        id: NodeId,
        drivers: Arc<[Arc<dyn Driver>]>,
        cores: usize,
        memory_bytes: u64,
        path: &ArtifactPath,
        logs: &Arc<LogStore>,
    ) -> (Arc<Node>, NodeSpec) {
        let config = NodeConfig { id: id.clone(), cores };
        let (path, logs) = (Arc::clone(path), Arc::clone(logs));
        let node = Node::new(config, drivers, path, logs, self.clock, Arc::clone(&self.metrics));
        let mut spec = NodeSpec::new(id, cpu(cores), Bytes(memory_bytes));
        spec.sandboxes = node.kinds().into_iter().map(Into::into).collect();
        spec.labels.insert("kubernetes.io/arch".to_owned(), architecture().to_owned());
        spec.labels.insert("kubernetes.io/hostname".to_owned(), spec.id.to_string());
        (node, spec)
    }
}

/// Has a store's usage among the metrics, as long as it is open.
fn observe(store: &Arc<EmbeddedStore>, metrics: &Metrics) {
    let store = Arc::downgrade(store);
    metrics.store.observe(move || {
        let usage = store.upgrade()?.usage();
        Some(StoreFacts {
            records: usage.records,
            record_bytes: usage.record_bytes,
            packed_bytes: usage.packed_bytes,
            history_changes: usage.history_events as u64,
            history_bytes: usage.history_bytes as u64,
            waiting: usage.waiting as u64,
            log_bytes: usage.log_bytes,
            syncs: usage.syncs,
            revision: usage.revision,
        })
    });
}

fn cpu(cores: usize) -> CpuMillis {
    CpuMillis(u32::try_from(cores.saturating_mul(1000)).unwrap_or(u32::MAX))
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn bind(what: &str, flag: &str, address: SocketAddr) -> Outcome<TcpListener> {
    gapless_net::listen(address).map_err(|error| {
        let failure =
            |why: String| Failure::new(format!("the {what} cannot listen on {address}"), why);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                let holder = port_holder::find(address);
                let holder = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
                failure(format!("the port is in use{holder}")).help(format!(
                    "end that one, or choose another port: {flag} {}:PORT (0 takes a free one)",
                    address.ip()
                ))
            }
            std::io::ErrorKind::PermissionDenied => {
                failure("permission denied".to_owned()).help(format!(
                    "ports below 1024 are for root; choose another: {flag} {}:8080",
                    address.ip()
                ))
            }
            std::io::ErrorKind::AddrNotAvailable => failure(
                "this machine does not have that address".to_owned(),
            )
            .help(format!("choose one of its own, such as {flag} 127.0.0.1:{}", address.port())),
            _ => failure(error.to_string()),
        }
    })
}

/// The URL at which this machine reaches an address to listen on.
fn url(address: SocketAddr) -> String {
    match (address.ip().is_unspecified(), address.is_ipv6()) {
        (true, false) => format!("http://127.0.0.1:{}", address.port()),
        (true, true) => format!("http://[::1]:{}", address.port()),
        (false, _) => format!("http://{address}"),
    }
}
