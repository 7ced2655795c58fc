//! [`Control`]: what it holds, how it begins, and how its parts find each other.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gapless_api::FunctionLogs;
use gapless_declared::{ObjectKey, Objects, Resource};
use gapless_objects::Descriptor;
use gapless_placement::{Load, NodeError, NodeSpec, ShapeId};
use gapless_proto::{GatewayLink, NodeLink};
use gapless_rt::{Clock, Shutdown};
use gapless_scaling::Event;
use gapless_secret::{KeyFile, Sealer};
use gapless_store::{Store, StoreError};
use gapless_store_embedded::ArtifactStore;
use gapless_telemetry::Metrics;
use gapless_types::{API_VERSION, FunctionKey, InstanceId, NodeId, Revision, RevisionName};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::artifacts::Uploads;
use crate::balance::Balance;
use crate::events::{Happened, Involved};
use crate::followed::FollowedTo;
use crate::functions::{Declared, Functions, Readiness};
use crate::kinds::{self, Feeds};
use crate::nodes::Nodes;
use crate::profiles::Profiles;
use crate::reconcile::Reconcilers;
use crate::restore;
use crate::revision::RevisionState;
use crate::routes::Routes;
use crate::sealing::Sealing;
use crate::shape::shape_of;

/// Revisions that are prepared at a time: compiling is bound by the processor.
const PREPARES_AT_ONCE: usize = 4;
/// Changed functions that a watcher may be behind.
const TOUCHED_BEHIND_MAX: usize = 4_096;

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
    /// Whether the default profile's weights are balanced by what comes of placements.
    pub balances: bool,
}

/// What control works with.
#[derive(Clone)]
pub struct ControlParts {
    /// Declared state.
    pub store: Arc<dyn Store>,
    /// What seals secrets in the store.
    pub sealer: Arc<Sealer>,
    /// Where its keys are; without it they cannot be rotated.
    pub keys: Option<KeyFile>,
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
    objects: Objects,
    feeds: Feeds,
    functions: Mutex<Functions>,
    /// How far `functions` has followed the store.
    pub(crate) functions_followed: Arc<FollowedTo>,
    /// Functions whose instances changed, for who watches.
    pub(crate) touched: broadcast::Sender<ObjectKey>,
    /// Locked while `functions` is, never the other way round.
    routes: Mutex<Routes>,
    /// Revisions that were called or have a minimum. Added to only while
    /// `functions` is locked, so that a deleted function's is not made again.
    revisions: RwLock<HashMap<RevisionName, Arc<RevisionState>>>,
    nodes: Nodes,
    profiles: Profiles,
    pub(crate) sealing: Sealing,
    next_instance: AtomicU64,
    pub(crate) reconcilers: Reconcilers,
    pub(crate) uploads: Uploads,
    pub(crate) preparing: Semaphore,
    /// What was stored by a former run was read.
    has_restored: AtomicBool,
    has_begun: watch::Sender<bool>,
}

impl Control {
    /// Reads what is declared and tells the gateway its routes. Nothing is
    /// prepared or started: a function's first call does that. Blocks while the
    /// disk works.
    pub fn new(config: ControlConfig, parts: ControlParts) -> Result<Arc<Self>, StoreError> {
        let (now, clock) = (Timestamp::now(), parts.clock);
        restore::make_first_objects(&*parts.store, now)?;
        let feeds = Feeds::new(now);
        let balance = Balance::restore(&*parts.store, config.balances)?;
        let profiles = Profiles::new(clock, balance.profile());
        let nodes = Nodes::new(config.decisions_kept, balance);
        let control = Arc::new_cyclic(|me: &Weak<Control>| Control {
            me: Weak::clone(me),
            objects: Objects::new(
                Arc::clone(&parts.store),
                kinds::all(me, &feeds),
                kinds::namespaces(me),
            ),
            feeds,
            functions: Mutex::default(),
            functions_followed: Arc::new(FollowedTo::new(clock)),
            touched: broadcast::channel(TOUCHED_BEHIND_MAX).0,
            routes: Mutex::default(),
            revisions: RwLock::default(),
            nodes,
            profiles,
            sealing: Sealing::new(Arc::clone(&parts.sealer), parts.keys.clone()),
            next_instance: AtomicU64::new(1),
            reconcilers: Reconcilers::default(),
            uploads: Uploads::default(),
            preparing: Semaphore::new(PREPARES_AT_ONCE),
            has_restored: AtomicBool::new(false),
            has_begun: watch::channel(false).0,
            config,
            parts,
        });
        let restored = control.restore()?;
        control.has_restored.store(true, Ordering::Release);
        control.attend_routes();
        control.begin_following(restored);
        control.begin_reconcilers();
        Ok(control)
    }

    /// A node takes instances from now on.
    pub fn add_node(&self, link: Arc<dyn NodeLink>, spec: NodeSpec) -> Result<(), NodeError> {
        self.nodes.add(link, spec, Timestamp::now())
    }

    /// What is measured of a node's use.
    pub fn set_load(&self, node: &NodeId, load: Load) {
        self.nodes.set_load(node, load);
    }

    /// Call it once the gateway serves and the nodes are added: `/readyz` says ok
    /// from now on, and functions with a minimum get their instances.
    pub fn begin(&self) {
        self.attend_balance();
        self.has_begun.send_replace(true);
        {
            let functions = &mut *self.functions.lock();
            let has_minimum = |declared: &Declared| declared.spec.scale.min > 0;
            let with_minimum = functions.iter().filter(|(_, declared)| has_minimum(declared));
            let keys: Vec<FunctionKey> = with_minimum.map(|(key, _)| key.clone()).collect();
            keys.iter().for_each(|key| self.route_function(functions, key));
        }
        self.attend_routes();
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.has_begun() && !self.parts.shutdown.has_begun()
    }

    pub(crate) fn config(&self) -> &ControlConfig {
        &self.config
    }

    /// Whether what was stored by a former run was read.
    pub(crate) fn has_restored(&self) -> bool {
        self.has_restored.load(Ordering::Acquire)
    }

    /// Whether the nodes are there.
    pub(crate) fn has_begun(&self) -> bool {
        *self.has_begun.borrow()
    }

    /// Resolves once the nodes are there.
    pub(crate) async fn begun(&self) {
        let mut seen = self.has_begun.subscribe();
        // It lives as long as this.
        let _ = seen.wait_for(|has_begun| *has_begun).await;
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn kind_feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// A kind at work.
    pub(crate) fn resource(&self, kind: &Descriptor) -> Option<Arc<dyn Resource>> {
        self.objects.kinds().get(kind.group, kind.version, kind.plural).cloned()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// Something of a function changed that people see: it is stored, and so told.
    pub(crate) fn touch(&self, key: &FunctionKey) {
        self.reconcilers.status.mark(key);
    }

    /// A function's instances changed. Costs nothing while nobody watches.
    pub(crate) fn tell_touched(&self, key: &FunctionKey) {
        if self.touched.receiver_count() > 0 {
            self.reconcilers.touched.mark(key);
        }
    }

    /// Something happened to a function that people should know.
    pub(crate) fn happened(
        &self,
        key: &FunctionKey,
        is_warning: bool,
        reason: &'static str,
        message: String,
    ) {
        let uid = {
            let functions = self.functions.lock();
            functions.get(key).map(|declared| declared.metadata.uid).unwrap_or_default()
        };
        let involved = Involved {
            api_version: API_VERSION,
            kind: "Function",
            namespace: key.namespace().to_owned(),
            name: key.name().to_owned(),
            uid: uid.to_string(),
        };
        let happened = Happened { involved, is_warning, reason, message };
        self.feeds.events.record(happened, Timestamp::now());
    }

    pub(crate) fn artifacts(&self) -> &Arc<ArtifactStore> {
        &self.parts.artifacts
    }

    /// What seals secrets in the store.
    pub(crate) fn sealer(&self) -> Arc<Sealer> {
        self.sealing.sealer()
    }

    /// The sealer that the platform began with.
    pub(crate) fn first_sealer(&self) -> &Arc<Sealer> {
        &self.parts.sealer
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
            let (_, known) = functions.revision(name)?;
            let state = self.make_revision(&known.revision);
            (state, known.readiness == Readiness::Ready)
        };
        if is_runnable {
            self.on(&state, Event::Runnable);
        }
        Some(state)
    }

    /// The state of a declared revision. Call it while the functions are locked.
    pub(crate) fn make_revision(&self, revision: &Arc<Revision>) -> Arc<RevisionState> {
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

impl Drop for Control {
    fn drop(&mut self) {
        self.save_balance(true);
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
