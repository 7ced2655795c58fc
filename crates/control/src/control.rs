//! [`Control`]: what it holds, how it begins, and how its parts find each other.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gapless_api::FunctionLogs;
use gapless_placement::{Load, NodeError, NodeSpec, ShapeId};
use gapless_proto::{GatewayLink, NodeLink};
use gapless_rt::{Clock, Shutdown};
use gapless_scaling::Event;
use gapless_store::{Record, Store, StoreError};
use gapless_store_embedded::ArtifactStore;
use gapless_telemetry::Metrics;
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, NodeId, Revision, RevisionName};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::artifacts::Uploads;
use crate::declare::Stripes;
use crate::functions::{Declared, Functions, Readiness, host};
use crate::nodes::Nodes;
use crate::profiles::Profiles;
use crate::record::{FUNCTIONS_PREFIX, Stored};
use crate::revision::RevisionState;
use crate::routes::{Routes, Step, route};
use crate::shape::shape_of;
use crate::watch::Watch;

/// Fewer stored functions than this are not worth a thread.
const RECORDS_PER_THREAD: usize = 500;
/// Revisions that are prepared at a time: compiling is bound by the processor.
const PREPARES_AT_ONCE: usize = 4;

/// What people are told about the platform.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where the API listens.
    pub api: SocketAddr,
    /// The data folder.
    pub data_dir: PathBuf,
    /// Version of gapless.
    pub version: &'static str,
    /// Latest placement decisions that can be explained as they were made. Each keeps
    /// what changed of the cluster since.
    pub decisions_kept: usize,
}

/// What control works with.
#[derive(Clone)]
pub struct ControlParts {
    /// Declared state.
    pub store: Arc<dyn Store>,
    /// Uploaded code.
    pub artifacts: Arc<ArtifactStore>,
    /// What functions wrote.
    pub logs: Arc<dyn FunctionLogs>,
    /// Who serves requests. Control does not keep it alive.
    pub gateway: Weak<dyn GatewayLink>,
    /// The process's clock.
    pub clock: Clock,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Told when the process ends.
    pub shutdown: Shutdown,
}

/// Declared state, placement and scaling of one platform.
pub struct Control {
    me: Weak<Control>,
    config: ControlConfig,
    parts: ControlParts,
    functions: Mutex<Functions>,
    /// Locked while `functions` is, never the other way round.
    routes: Mutex<Routes>,
    /// Revisions that were called or have a minimum. Added to only while
    /// `functions` is locked, so that a deleted function's is not made again.
    revisions: RwLock<HashMap<RevisionName, Arc<RevisionState>>>,
    nodes: Nodes,
    profiles: Profiles,
    next_instance: AtomicU64,
    pub(crate) stripes: Stripes,
    pub(crate) uploads: Uploads,
    pub(crate) watch: Watch,
    pub(crate) preparing: Semaphore,
    has_begun: AtomicBool,
}

impl Control {
    /// Reads what is declared and tells the gateway its routes. Nothing is
    /// prepared or started: a function's first call does that. Blocks while the
    /// disk works.
    pub fn new(config: ControlConfig, parts: ControlParts) -> Result<Arc<Self>, StoreError> {
        let functions = restore(&*parts.store, &parts.artifacts)?;
        let used: HashSet<String> = functions.artifacts().cloned().collect();
        match parts.artifacts.retain(&used) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed artifacts that nothing uses"),
            Err(error) => tracing::warn!(%error, "cannot remove artifacts that nothing uses"),
        }
        parts.metrics.control.functions.set(i64::try_from(functions.len()).unwrap_or(i64::MAX));
        let profiles = Profiles::restore(&*parts.store)?;
        let nodes = Nodes::new(config.decisions_kept);
        let control = Arc::new_cyclic(|me| Control {
            me: Weak::clone(me),
            config,
            parts,
            functions: Mutex::new(functions),
            routes: Mutex::default(),
            revisions: RwLock::default(),
            nodes,
            profiles,
            next_instance: AtomicU64::new(1),
            stripes: Stripes::default(),
            uploads: Uploads::default(),
            watch: Watch::new(),
            preparing: Semaphore::new(PREPARES_AT_ONCE),
            has_begun: AtomicBool::new(false),
        });
        {
            let functions = control.functions.lock();
            let mut routes = control.routes.lock();
            for (_, declared) in functions.iter() {
                routes.push(Step::Set(route(declared)));
            }
        }
        control.attend_routes();
        Ok(control)
    }

    /// A node takes instances from now on.
    pub fn add_node(&self, link: Arc<dyn NodeLink>, spec: NodeSpec) -> Result<(), NodeError> {
        self.nodes.add(link, spec)
    }

    /// What is measured of a node's use.
    pub fn set_load(&self, node: &NodeId, load: Load) {
        self.nodes.set_load(node, load);
    }

    /// Call it once the gateway serves and the nodes are added: `/readyz` says ok
    /// from now on, and functions with a minimum get their instances.
    pub fn begin(&self) {
        {
            let functions = self.functions.lock();
            let mut routes = self.routes.lock();
            for (_, declared) in functions.iter() {
                let serving = declared.serving.iter();
                for revision in serving.filter(|revision| revision.spec.scale.min > 0) {
                    routes.push(Step::Runnable(self.make_revision(&functions, revision)));
                }
            }
        }
        self.has_begun.store(true, Ordering::Release);
        self.attend_routes();
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.has_begun.load(Ordering::Acquire) && !self.parts.shutdown.has_begun()
    }

    pub(crate) fn config(&self) -> &ControlConfig {
        &self.config
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(crate) fn artifacts(&self) -> &Arc<ArtifactStore> {
        &self.parts.artifacts
    }

    pub(crate) fn logs(&self) -> &Arc<dyn FunctionLogs> {
        &self.parts.logs
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.parts.shutdown
    }

    pub(crate) fn functions(&self) -> &Mutex<Functions> {
        &self.functions
    }

    pub(crate) fn routes(&self) -> &Mutex<Routes> {
        &self.routes
    }

    pub(crate) fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn weak(&self) -> Weak<Control> {
        Weak::clone(&self.me)
    }

    pub(crate) fn with_gateway(&self, call: impl FnOnce(&dyn GatewayLink)) {
        if let Some(gateway) = self.parts.gateway.upgrade() {
            call(&*gateway);
        }
    }

    pub(crate) fn next_instance(&self) -> InstanceId {
        InstanceId(self.next_instance.fetch_add(1, Ordering::Relaxed))
    }

    /// A revision that was called or has a minimum.
    pub(crate) fn revision(&self, name: &RevisionName) -> Option<Arc<RevisionState>> {
        self.revisions.read().get(name).cloned()
    }

    /// The same, made if it belongs to a declared function.
    pub(crate) fn revision_on_demand(&self, name: &RevisionName) -> Option<Arc<RevisionState>> {
        if let Some(state) = self.revision(name) {
            return Some(state);
        }
        let (state, is_runnable) = {
            let functions = self.functions.lock();
            let (declared, revision) = functions.revision(name)?;
            (self.make_revision(&functions, revision), declared.is_runnable(revision))
        };
        if is_runnable {
            self.on(&state, Event::Runnable);
        }
        Some(state)
    }

    /// The state of a declared revision. Takes the functions to show that they are locked.
    pub(crate) fn make_revision(
        &self,
        _locked: &Functions,
        revision: &Arc<Revision>,
    ) -> Arc<RevisionState> {
        let mut revisions = self.revisions.write();
        let state = revisions.entry(revision.name.clone()).or_insert_with(|| {
            let shape = self.add_shape(revision);
            RevisionState::new(Arc::clone(revision), shape)
        });
        Arc::clone(state)
    }

    fn add_shape(&self, revision: &Revision) -> ShapeId {
        let profile = self.profiles.of(&revision.function, &revision.spec);
        self.nodes.add_shape(shape_of(&revision.function, &revision.spec), profile)
    }

    /// Every revision that was called or has a minimum.
    pub(crate) fn revisions(&self) -> Vec<Arc<RevisionState>> {
        self.revisions.read().values().cloned().collect()
    }

    /// Nothing is left of a closed revision.
    pub(crate) fn forget_revision(&self, state: &Arc<RevisionState>) {
        let name = &state.revision.name;
        {
            let mut revisions = self.revisions.write();
            if revisions.get(name).is_some_and(|known| Arc::ptr_eq(known, state)) {
                revisions.remove(name);
                self.nodes.forget_shape(state.shape);
            }
        }
        self.forget_on_nodes(name);
    }

    pub(crate) fn forget_on_nodes(&self, name: &RevisionName) {
        for link in self.nodes.links() {
            link.forget(name);
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control of {} functions", self.functions.lock().len())
    }
}

impl fmt::Debug for ControlParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlParts").field("store", &self.store).finish_non_exhaustive()
    }
}

fn restore(store: &dyn Store, artifacts: &ArtifactStore) -> Result<Functions, StoreError> {
    let mut functions = Functions::default();
    let records = store.list(FUNCTIONS_PREFIX)?;
    for read in read_all(&records, artifacts) {
        let (key, declared) = read?;
        for revision in declared.revisions() {
            functions.hold_artifact(revision.spec.artifact.as_deref());
            if let Some(host) = host(revision)
                && let Err(owner) = functions.claim_host(host, &key)
            {
                tracing::error!(function = %key, host, %owner, "two functions have one host");
            }
        }
        functions.insert(key.clone(), declared);
        functions.settle_hosts(&key);
    }
    Ok(functions)
}

/// Reads and checks records, in their order, on every core: it is what `up` waits for
/// when thousands of functions are declared.
fn read_all(
    records: &[Record],
    artifacts: &ArtifactStore,
) -> Vec<Result<(FunctionKey, Declared), StoreError>> {
    let now = Timestamp::now();
    let read = |record: &Record| {
        let stored = Stored::read(record)?;
        let key = stored.function.metadata.key().map_err(|why| StoreError::Failed {
            what: format!("cannot read the stored {}", record.key),
            why: why.to_string(),
        })?;
        let declared = declared(&key, stored, record.revision, artifacts, now);
        Ok((key, declared))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = records.len().div_ceil(cores).max(RECORDS_PER_THREAD);
    std::thread::scope(|scope| {
        let mut shares = records.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(|| share.iter().map(read).collect::<Vec<_>>()))
            .collect();
        let mut all: Vec<_> = own.iter().map(read).collect();
        for other in others {
            // A thread that panicked has said why; going on would lose functions.
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}

/// A function as it stood. What was not refused is taken to be runnable: the
/// first start prepares it, and says so if it cannot.
fn declared(
    key: &FunctionKey,
    stored: Stored,
    store_revision: u64,
    artifacts: &ArtifactStore,
    now: Timestamp,
) -> Declared {
    let is_usable = |spec: &FunctionSpec| {
        let digest = spec.artifact.as_ref();
        digest.is_none_or(|digest| artifacts.contains(digest))
    };
    // Checks may have become stricter since it was written.
    let errors = stored.function.check();
    let mut refused = errors.first().map(ToString::to_string).or(stored.failed);
    if refused.is_none() && !is_usable(&stored.function.spec) {
        refused = Some("its code is missing in the data folder: deploy it again".to_owned());
    }
    let revision = |generation, spec| {
        let name = RevisionName::new(key, generation);
        Arc::new(Revision { name, function: key.clone(), spec })
    };
    let metadata = stored.function.metadata;
    let latest = revision(metadata.generation, stored.function.spec);
    let (serving, readiness) = match refused {
        None => (Some(Arc::clone(&latest)), Readiness::Ready),
        Some(why) => {
            let previous = stored.previous.filter(|previous| is_usable(&previous.spec));
            let serving = previous.map(|previous| revision(previous.generation, previous.spec));
            (serving, Readiness::Failed(why.into()))
        }
    };
    Declared { metadata, store_revision, latest, serving, readiness, since: now }
}
