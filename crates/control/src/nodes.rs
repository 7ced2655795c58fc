//! Placement, the way to each node, and who waits for room.
//!
//! The cluster has one owner, this lock; a decision holds it for microseconds. A
//! decision can be kept with the view it was made on, so that it can be explained
//! later: the view shares what did not change since, and so costs little.

mod view;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gapless_placement::balance::{Class, Features};
use gapless_placement::node::Taint;
use gapless_placement::state::NodeSet;
use gapless_placement::{
    Cluster, Config, Explanation, Held, Load, NodeError, NodeIndex, NodeSpec, Outcome, Profile,
    Request, Shape, ShapeId, ShapeSpec, State, Unplaced, explain,
};
use gapless_proto::NodeLink;
use gapless_telemetry::Metrics;
use gapless_types::{InstanceId, NodeId, Time};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::balance::{Balance, End, Seen};
use crate::revision::RevisionState;

pub(crate) use view::NodeView;

/// Revisions that are told at a time when room was freed; the others try again
/// by their own back-off.
const STARVED_TRIED_MAX: usize = 16;
/// Nodes a revision is prepared on at deploy; any other prepares at its first start.
const PREPARED_NODES_MAX: usize = 4;
/// How often what failed lately counts half as much.
const FAILURES_DECAY_EVERY: Duration = Duration::from_secs(60);

/// The nodes.
pub(crate) struct Nodes {
    cluster: Mutex<Cluster>,
    links: RwLock<HashMap<NodeId, Arc<dyn NodeLink>>>,
    /// What nodes say of themselves, and what is declared of them. Locked before `cluster`.
    statements: Mutex<Statements>,
    /// Revisions that found no room, longest first. At most once each: see `RevisionState`.
    starved: Mutex<VecDeque<Arc<RevisionState>>>,
    decisions: Mutex<Decisions>,
    decayed: Mutex<Time>,
    balance: Balance,
}

#[derive(Default)]
struct Statements {
    own: HashMap<NodeId, NodeSpec>,
    /// When a node first said something.
    first_seen: HashMap<NodeId, Timestamp>,
    declared: HashMap<NodeId, DeclaredNode>,
}

/// What is declared of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DeclaredNode {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) is_cordoned: bool,
}

impl DeclaredNode {
    /// What a node is: what it says of itself, and what is declared on top of that.
    fn on(&self, own: &NodeSpec) -> NodeSpec {
        let mut spec = own.clone();
        spec.labels.extend(self.labels.clone());
        for taint in &self.taints {
            if !spec.taints.contains(taint) {
                spec.taints.push(taint.clone());
            }
        }
        spec
    }
}

/// The latest decisions, with what they were made on.
struct Decisions {
    kept_max: usize,
    order: VecDeque<InstanceId>,
    by_instance: HashMap<InstanceId, Decision>,
}

#[derive(Clone)]
struct Decision {
    view: Arc<State>,
    shape: Arc<Shape>,
    node: NodeIndex,
}

impl Nodes {
    /// No nodes yet. Keeps the last `decisions_kept` decisions to be explained.
    pub(crate) fn new(decisions_kept: usize, balance: Balance) -> Self {
        let mut cluster = Cluster::new(Config::default());
        balance.begin(&mut cluster);
        let decisions = Decisions {
            kept_max: decisions_kept,
            order: VecDeque::new(),
            by_instance: HashMap::new(),
        };
        Nodes {
            cluster: Mutex::new(cluster),
            links: RwLock::default(),
            statements: Mutex::default(),
            starved: Mutex::default(),
            decisions: Mutex::new(decisions),
            decayed: Mutex::new(Time::ZERO),
            balance,
        }
    }

    pub(crate) fn add(
        &self,
        link: Arc<dyn NodeLink>,
        spec: NodeSpec,
        now: Timestamp,
    ) -> Result<(), NodeError> {
        let id = spec.id.clone();
        {
            let mut statements = self.statements.lock();
            let declared = statements.declared.get(&id).cloned().unwrap_or_default();
            self.state(&declared, &spec)?;
            statements.own.insert(id.clone(), spec);
            statements.first_seen.entry(id.clone()).or_insert(now);
        }
        self.links.write().insert(id, link);
        Ok(())
    }

    /// Declares something of a node, also of one that is not there yet.
    pub(crate) fn declare(&self, id: &NodeId, declared: DeclaredNode) -> Result<(), NodeError> {
        let mut statements = self.statements.lock();
        if let Some(own) = statements.own.get(id) {
            self.state(&declared, own)?;
        }
        statements.declared.insert(id.clone(), declared);
        Ok(())
    }

    /// What is declared of a node.
    pub(crate) fn declared(&self, id: &NodeId) -> DeclaredNode {
        self.statements.lock().declared.get(id).cloned().unwrap_or_default()
    }

    /// When it was first seen.
    pub(crate) fn first_seen(&self, id: &NodeId) -> Option<Timestamp> {
        self.statements.lock().first_seen.get(id).copied()
    }

    fn state(&self, declared: &DeclaredNode, own: &NodeSpec) -> Result<(), NodeError> {
        let mut cluster = self.cluster.lock();
        let node = cluster.add_node(declared.on(own))?;
        cluster.set_cordoned(node, declared.is_cordoned);
        Ok(())
    }

    pub(crate) fn link(&self, id: &NodeId) -> Option<Arc<dyn NodeLink>> {
        self.links.read().get(id).cloned()
    }

    pub(crate) fn links(&self) -> Vec<Arc<dyn NodeLink>> {
        self.links.read().values().cloned().collect()
    }

    /// The nodes that a revision is prepared on when it is deployed: those that have
    /// its kind of sandbox and the labels it requires.
    pub(crate) fn to_prepare(&self, spec: &ShapeSpec) -> Vec<Arc<dyn NodeLink>> {
        let ids: Vec<NodeId> = {
            let cluster = self.cluster.lock();
            let state = cluster.state();
            let is_open = |node: &NodeIndex| !state.cordoned().contains(*node);
            let is_suitable = |node: &NodeSpec| {
                node.sandboxes.contains(&spec.sandbox)
                    && spec.require.iter().all(|required| required.holds(&node.labels))
            };
            let healthy: &NodeSet = state.healthy();
            let specs = healthy.iter().filter(is_open).filter_map(|node| cluster.node_spec(node));
            let suitable = specs.filter(|node| is_suitable(node));
            suitable.take(PREPARED_NODES_MAX).map(|node| node.id.clone()).collect()
        };
        ids.iter().filter_map(|id| self.link(id)).collect()
    }

    /// Makes a revision's shape known. The declaration was checked; a shape that still
    /// is wrong is logged, and then nothing can be placed for it.
    pub(crate) fn add_shape(&self, spec: ShapeSpec, profile: Arc<Profile>) -> ShapeId {
        let function = Arc::clone(&spec.function);
        self.cluster.lock().add_shape(spec, profile).unwrap_or_else(|error| {
            tracing::error!(%function, %error, "cannot be placed");
            ShapeId(u32::MAX)
        })
    }

    pub(crate) fn set_profile(&self, shape: ShapeId, profile: Arc<Profile>) {
        self.cluster.lock().set_profile(shape, profile);
    }

    pub(crate) fn forget_shape(&self, shape: ShapeId) {
        self.cluster.lock().forget_shape(shape);
        self.balance.forget(shape);
    }

    /// Reserves room for each of these instances of one shape, or says why not.
    pub(crate) fn place(
        &self,
        shape: ShapeId,
        instances: &[InstanceId],
        now: Time,
    ) -> Vec<Result<NodeId, Arc<Unplaced>>> {
        let requests: Vec<Request> =
            instances.iter().map(|id| Request { instance: *id, shape, group: None }).collect();
        let mut cluster = self.cluster.lock();
        self.decay_failures(&mut cluster, now);
        let view = (self.decisions.lock().kept_max > 0).then(|| cluster.view());
        let batch = cluster.place(&requests, now);
        let seen = self.balance.see(&cluster, instances);
        let kept =
            view.zip(cluster.shape_as_played(shape, seen.first().map(Seen::played)).cloned());
        let ids = batch.outcomes.iter().map(|outcome| match outcome {
            Outcome::Placed { node, .. } => Ok(cluster.state().id(*node).clone()),
            Outcome::Unplaced(why) => Err(Arc::clone(why)),
        });
        let ids = ids.collect();
        let features = cluster.shape(shape).map(|shape| Features::new(&shape.spec));
        drop(cluster);
        self.balance.placed(shape, || features, instances.len() as u32, seen, now);
        if let Some((view, shape)) = kept {
            let placed = instances.iter().zip(&batch.outcomes);
            let placed = placed.filter_map(|(id, outcome)| Some((*id, outcome.node()?)));
            self.decisions.lock().keep(&view, &shape, placed);
        }
        ids
    }

    fn decay_failures(&self, cluster: &mut Cluster, now: Time) {
        let mut decayed = self.decayed.lock();
        if now.since(*decayed) >= FAILURES_DECAY_EVERY {
            *decayed = now;
            cluster.decay_failures();
        }
    }

    /// An instance's start succeeded.
    pub(crate) fn confirm(&self, instance: InstanceId, start: Duration, now: Time) {
        self.cluster.lock().confirm(instance);
        self.balance.ready(instance, start, now);
    }

    /// A start failed for a reason that is the node's.
    pub(crate) fn note_failure(&self, node: &NodeId) {
        let mut cluster = self.cluster.lock();
        if let Some(node) = cluster.node(node) {
            cluster.note_failure(node);
        }
    }

    /// An instance is no more.
    pub(crate) fn release(&self, instance: InstanceId, end: End, now: Time) {
        let mut cluster = self.cluster.lock();
        let seen = self.balance.see(&cluster, &[instance]);
        cluster.release(instance);
        drop(cluster);
        self.balance.gone(instance, seen.first(), end, now);
    }

    /// The balancer.
    pub(crate) fn balance(&self) -> &Balance {
        &self.balance
    }

    /// Gives the cluster what the balancer learned.
    pub(crate) fn tick_balance(&self, metrics: &Metrics) {
        self.balance.tick(|with| with(&mut self.cluster.lock()), metrics);
    }

    /// Gives the cluster what the balancer plays now.
    pub(crate) fn replay_balance(&self, metrics: &Metrics) {
        self.balance.replay(|with| with(&mut self.cluster.lock()), metrics);
    }

    /// What kind of workload a shape is.
    pub(crate) fn class(&self, shape: ShapeId) -> Option<Class> {
        self.cluster.lock().class(shape)
    }

    /// A node has an image or compiled code, or no longer.
    pub(crate) fn set_held(&self, node: &NodeId, kind: Held, name: &str, is_held: bool) {
        let mut cluster = self.cluster.lock();
        let Some(index) = cluster.node(node) else { return };
        if let Err(error) = cluster.set_held(index, kind, name, is_held) {
            tracing::warn!(%error, "is not remembered");
        }
    }

    /// An image is nowhere any more.
    pub(crate) fn forget_image(&self, name: &str) {
        let mut cluster = self.cluster.lock();
        let nodes: Vec<NodeIndex> = cluster.state().nodes().collect();
        for node in nodes {
            // Forgetting what it does not hold changes nothing.
            let _ = cluster.set_held(node, Held::Image, name, false);
        }
    }

    /// A node's measured use.
    pub(crate) fn set_load(&self, node: &NodeId, load: Load) {
        let mut cluster = self.cluster.lock();
        if let Some(node) = cluster.node(node) {
            cluster.set_load(node, load);
        }
    }

    /// Why an instance is where it is: as decided if the decision was kept, else as it
    /// would be decided now. Also says which of the two.
    pub(crate) fn explain_instance(&self, instance: InstanceId) -> Option<(Explanation, bool)> {
        let kept = self.decisions.lock().by_instance.get(&instance).cloned();
        if let Some(Decision { view, shape, node }) = kept {
            return Some((explain(&view, &shape, Some(node)), true));
        }
        let (view, shape, node) = {
            let cluster = self.cluster.lock();
            let placed = *cluster.instance(instance)?;
            (
                cluster.view(),
                cluster.shape_as_played(placed.shape, placed.played)?.clone(),
                placed.node,
            )
        };
        Some((explain(&view, &shape, Some(node)), false))
    }

    /// The state and a shape, to measure something on.
    pub(crate) fn view_for(&self, shape: ShapeId) -> Option<(Arc<State>, Arc<Shape>)> {
        let cluster = self.cluster.lock();
        Some((cluster.view(), cluster.shape(shape)?.clone()))
    }

    /// Where an instance of a shape that is not registered would go.
    pub(crate) fn explain_new(
        &self,
        spec: ShapeSpec,
        profile: Arc<Profile>,
    ) -> Option<Explanation> {
        let (view, shape) = {
            let mut cluster = self.cluster.lock();
            let id = cluster.add_shape(spec, profile).ok()?;
            let shape = cluster.shape_as_led(id);
            let view = cluster.view();
            cluster.forget_shape(id);
            (view, shape?)
        };
        Some(explain(&view, &shape, None))
    }

    pub(crate) fn starve(&self, state: Arc<RevisionState>) {
        self.starved.lock().push_back(state);
    }

    /// The most important of those who wait for room; among equals, those who have
    /// waited longest.
    pub(crate) fn take_starved(&self) -> Vec<Arc<RevisionState>> {
        let mut starved = self.starved.lock();
        starved.make_contiguous().sort_by_key(|state| std::cmp::Reverse(state.priority()));
        let count = starved.len().min(STARVED_TRIED_MAX);
        starved.drain(..count).collect()
    }
}

impl Decisions {
    fn keep(
        &mut self,
        view: &Arc<State>,
        shape: &Arc<Shape>,
        placed: impl Iterator<Item = (InstanceId, NodeIndex)>,
    ) {
        for (instance, node) in placed {
            let (view, shape) = (Arc::clone(view), Arc::clone(shape));
            self.by_instance.insert(instance, Decision { view, shape, node });
            self.order.push_back(instance);
            if self.order.len() > self.kept_max
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_instance.remove(&oldest);
            }
        }
    }
}
