//! [`Cluster`]: the one owner of the cluster's state. Nodes join and go, shapes are
//! registered, batches are placed, instances confirm and end; all through here, one
//! call at a time. Others read by [`Cluster::view`], an immutable copy that costs a
//! few pointers.

mod audit;
mod changes;
mod choose;
mod expiry;
mod instances;
mod nodes;
mod place;
mod preempt;
mod propose;
mod shapes;
mod unit;
mod vocabulary;
mod ways;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_types::{InstanceId, NodeId};
use smallvec::SmallVec;

use changes::ChangeLog;
use expiry::Expiry;
pub use instances::{Placed, Stage};
pub use place::{Batch, Outcome, Request};
pub use propose::{Prepared, Proposal};
use vocabulary::Vocabulary;
use ways::{Way, WayId};

use crate::balance::{Class, Table};
use crate::engine::{Layout, Scratch};
use crate::node::NodeSpec;
use crate::state::{NodeIndex, NodeSet, State};

type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// How a cluster places.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Draws and samples follow from it: the same calls give the same placements.
    pub seed: u64,
    /// How long a placement's room is kept without [`Cluster::confirm`].
    pub reservation: Duration,
    /// Nodes that are taken evenly for a lot of a shape that is too seldom to keep an
    /// index of every node for it; twice as many are taken that draw the shape.
    pub sample: u32,
    /// Shapes that an index of every node is kept for.
    pub indexes_max: u32,
    /// Whether idle instances, and those of lower priority, may be displaced.
    pub preempts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 1,
            reservation: Duration::from_secs(60),
            sample: 128,
            indexes_max: 64,
            preempts: false,
        }
    }
}

/// A registered shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u32);

/// A shape and what is kept for it.
#[derive(Clone, Debug)]
pub(crate) struct ShapeEntry {
    /// It, by its own profile.
    own: Way,
    /// It, by the weights of arms it was placed by.
    arms: SmallVec<[Way; 1]>,
    /// Its registration and its instances.
    uses: u32,
    /// What kind of workload it is.
    class: Class,
    /// The number of the table that `arms` are of.
    table: u64,
}

/// Nodes, shapes and instances, and the decisions about them.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) config: Config,
    pub(crate) state: State,
    vocabulary: Vocabulary,
    by_id: Map<NodeId, NodeIndex>,
    specs: Vec<Option<Arc<NodeSpec>>>,
    holds: Map<NodeIndex, HashSet<u32, FixedState>>,
    free_nodes: Vec<NodeIndex>,
    live: u32,
    failing: NodeSet,
    on_node: Vec<SmallVec<[InstanceId; 4]>>,
    shapes: Vec<Option<ShapeEntry>>,
    free_shapes: Vec<ShapeId>,
    /// Ways of shapes that have an index, least recently used first.
    indexes: Vec<WayId>,
    instances: Map<InstanceId, Placed>,
    expiring: Expiry,
    changes: ChangeLog,
    /// Grows with whatever makes every index stale.
    epoch: u64,
    layout: Arc<Layout>,
    scratch: Scratch,
    table: Option<Arc<Table>>,
    /// Grows with each table.
    table_number: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster::new(Config::default())
    }
}

impl Cluster {
    /// A cluster without nodes.
    pub fn new(config: Config) -> Self {
        let mut cluster = Cluster {
            config,
            state: State::default(),
            vocabulary: Vocabulary::default(),
            by_id: Map::default(),
            specs: Vec::new(),
            holds: Map::default(),
            free_nodes: Vec::new(),
            live: 0,
            failing: NodeSet::default(),
            on_node: Vec::new(),
            shapes: Vec::new(),
            free_shapes: Vec::new(),
            indexes: Vec::new(),
            instances: Map::default(),
            expiring: Expiry::default(),
            changes: ChangeLog::default(),
            epoch: 1,
            layout: Arc::default(),
            scratch: Scratch::default(),
            table: None,
            table_number: 0,
        };
        // Number 0 is the empty set of taints: what a new node has.
        cluster.vocabulary.taint_set(&mut cluster.state, &[]);
        cluster
    }

    /// Places in another way from now on.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// The state as it is now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state as it is now, for a reader to keep while the cluster goes on.
    pub fn view(&self) -> Arc<State> {
        Arc::new(self.state.clone())
    }

    /// A node by name.
    pub fn node(&self, id: &NodeId) -> Option<NodeIndex> {
        self.by_id.get(id).copied()
    }

    /// What a node said of itself.
    pub fn node_spec(&self, node: NodeIndex) -> Option<&Arc<NodeSpec>> {
        self.specs.get(node.index())?.as_ref()
    }

    /// How many images, snapshots, pools and data a node holds.
    pub fn held_count(&self, node: NodeIndex) -> usize {
        self.holds.get(&node).map_or(0, HashSet::len)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.live as usize
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether any node has this kind of sandbox.
    pub fn has_sandbox(&self, kind: &str) -> bool {
        self.state.nodes().any(|node| {
            let kinds = self.vocabulary.kinds_of(self.state.sandboxes(node));
            kinds.iter().any(|known| **known == *kind)
        })
    }

    /// Names that are held: what must not grow for ever.
    pub fn names(&self) -> usize {
        self.vocabulary.len()
    }

    /// Memory it takes, in bytes: of the nodes, the instances, and what is kept of
    /// scores. Counted from capacities, so it is what was asked of the allocator.
    pub fn heap_bytes(&self) -> usize {
        let per_instance = size_of::<(InstanceId, Placed)>() + 1;
        let instances = self.instances.capacity() * per_instance;
        let expiring = self.expiring.heap_bytes();
        let on_node: usize = self.on_node.iter().map(|on| on.capacity() * 8 + 16).sum();
        let ways = self.shapes.iter().flatten().flat_map(ShapeEntry::ways);
        let indexes = ways.filter_map(|way| way.index.as_ref());
        let indexes: usize = indexes.map(|index| index.ranking.bytes()).sum();
        instances + expiring + on_node + indexes + self.state.heap_bytes()
    }

    /// Something about a node changed that filters or scores read.
    fn changed(&mut self, node: NodeIndex) {
        self.changes.push(node, self.live as usize);
    }
}

#[cfg(test)]
mod tests;
