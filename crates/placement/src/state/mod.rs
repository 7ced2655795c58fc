//! [`State`]: everything a decision looks at, laid out for the machine.
//!
//! A node is a small number, [`NodeIndex`]. What a node is ([`Traits`]) and what is
//! on it ([`Usage`]) are arrays by attribute, in chunks of [`CHUNK`] nodes. What
//! spans nodes is kept the other way round, by attribute: a label requirement, an
//! image or a snapshot is a [`NodeSet`]; a function, a tenant or an instance's
//! label is a [`Counts`] of where its instances are.
//!
//! What always holds: a copy of a `State` is an immutable view. Chunks, sets and
//! counts are shared until one side writes, so taking a view costs a few pointers
//! per thousand nodes and the cluster goes on. Only [`Cluster`](crate::Cluster)
//! writes to the one that counts; workers write to copies of their own.
//!
//! Why not one struct per node: a filter or score reads one or two attributes of
//! every node; in arrays that is a few cache lines per hundred nodes.

mod chunk;
mod counts;
mod node_set;
mod paged;

use std::sync::Arc;

pub use chunk::{CHUNK, CLASSES, Device, NumaNode, Traits, Usage};
pub use counts::Counts;
pub use node_set::NodeSet;
pub(crate) use paged::Paged;

use gapless_types::NodeId;

use crate::node::{Load, NodeTrust, Power, Taint};

/// A node within a cluster's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// As an index of arrays.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place that nodes share, by level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What fails together.
    Zone,
    /// What is near, within a zone.
    Rack,
}

/// A zone or a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its zone.
    pub zone: u32,
    /// Its rack, when it is one.
    pub rack: Option<u32>,
}

/// How much slower an instance of one class runs for each neighbour of another:
/// a table filled from measurements, looked up per decision (Jiagu does the same).
pub type Slowdowns = [[f32; CLASSES]; CLASSES];

/// The cluster, as decisions see it.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) traits: Vec<Arc<Traits>>,
    pub(crate) usage: Vec<Arc<Usage>>,
    pub(crate) slots: u32,
    /// Nodes that exist.
    pub(crate) alive: Arc<NodeSet>,
    /// Nodes that answer.
    pub(crate) healthy: Arc<NodeSet>,
    /// Nodes that take no new instances: cordoned, draining.
    pub(crate) cordoned: Arc<NodeSet>,
    /// By mark: where instances with it are.
    pub(crate) marks: Paged<Arc<Counts>>,
    /// By mark: where instances are that avoid it.
    pub(crate) avoided: Paged<Arc<Counts>>,
    /// By function: where its idle instances are.
    pub(crate) idle: Paged<Arc<Counts>>,
    /// By held thing: which nodes have it.
    pub(crate) held: Paged<Arc<NodeSet>>,
    /// By requirement: which nodes satisfy it.
    pub(crate) requirements: Paged<Arc<NodeSet>>,
    /// Distinct sets of taints; a node names one.
    pub(crate) taint_sets: Arc<Vec<Arc<[Taint]>>>,
    /// Zones there are.
    pub(crate) zones: u32,
    /// By rack: its zone.
    pub(crate) racks: Arc<Vec<u32>>,
    pub(crate) slowdowns: Arc<Slowdowns>,
    pub(crate) instances: u64,
    /// Mean number of instances per live node, in steps of a tenth: see `Cluster::settle_mean`.
    pub(crate) mean_instances: f32,
    /// Decisions so far: the age of a node's last choice is told by it.
    pub(crate) decisions: u32,
}

/// Writes an accessor for a column.
macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $chunks:ident;)*) => {
        impl State {
            $($(#[$doc])* #[inline]
            pub fn $name(&self, node: NodeIndex) -> $type {
                self.$chunks[node.index() / CHUNK].$name[node.index() % CHUNK]
            })*
        }
    };
}

columns! {
    /// A number for its name.
    id_hash: u64 = traits;
    /// Processor share it has, in thousandths of a core.
    cpu: u32 = traits;
    /// Memory it has, in bytes.
    memory: u64 = traits;
    /// Disk it has, in bytes.
    disk: u64 = traits;
    /// Its zone.
    zone: u32 = traits;
    /// Its rack.
    rack: u32 = traits;
    /// Its kinds of sandboxes, a bit each.
    sandboxes: u32 = traits;
    /// Its set of taints.
    taint_set: u32 = traits;
    /// Whose code it runs.
    trust: NodeTrust = traits;
    /// The mark of the only tenant that may use it, plus one; 0 is anybody.
    dedicated: u32 = traits;
    /// Its power draw.
    power: Power = traits;
    /// Chance that it is taken away within an hour.
    spot_risk: f32 = traits;
    /// Its kinds of devices, a bit each.
    device_kinds: u32 = traits;
    /// Processor share that is not reserved. Below zero when it shrank under its instances.
    cpu_free: i64 = usage;
    /// Memory that is not reserved.
    memory_free: i64 = usage;
    /// Disk that is not reserved.
    disk_free: i64 = usage;
    /// Instances on it.
    instances_on: u32 = usage;
    /// Of which starting.
    starting: u32 = usage;
    /// Whether an instance has it to itself.
    is_monopolised: bool = usage;
    /// The decision that chose it last.
    chosen_at: u32 = usage;
    /// Measured use.
    load: Load = usage;
    /// Recent failed starts, decayed.
    failures: f32 = usage;
    /// Instances by class.
    classes: [u16; CLASSES] = usage;
}

impl State {
    /// How many node numbers are in use or were; every [`NodeIndex`] is below.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The nodes that exist, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.alive.iter()
    }

    /// The nodes that exist, as a set.
    pub fn alive(&self) -> &NodeSet {
        &self.alive
    }

    /// The nodes that answer.
    pub fn healthy(&self) -> &NodeSet {
        &self.healthy
    }

    /// The nodes that take no new instances.
    pub fn cordoned(&self) -> &NodeSet {
        &self.cordoned
    }

    /// A node's name.
    pub fn id(&self, node: NodeIndex) -> &NodeId {
        &self.traits[node.index() / CHUNK].id[node.index() % CHUNK]
    }

    /// A node's devices, with what is free of each.
    pub fn devices(&self, node: NodeIndex) -> &[Device] {
        &self.usage[node.index() / CHUNK].devices[node.index() % CHUNK]
    }

    /// A node's NUMA nodes, with what is free of each.
    pub fn numa(&self, node: NodeIndex) -> &[NumaNode] {
        &self.usage[node.index() / CHUNK].numa[node.index() % CHUNK]
    }

    /// The taints of a node.
    pub fn taints(&self, node: NodeIndex) -> &[Taint] {
        &self.taint_sets[self.taint_set(node) as usize]
    }

    /// Instances in the cluster.
    pub fn instances(&self) -> u64 {
        self.instances
    }

    /// Mean number of instances per live node, in steps of a tenth, so that what
    /// was computed with it stays good for a while.
    pub fn mean_instances(&self) -> f32 {
        self.mean_instances
    }

    /// Zones there are.
    pub fn zones(&self) -> u32 {
        self.zones
    }

    /// Racks there are.
    pub fn racks(&self) -> u32 {
        self.racks.len() as u32
    }

    /// How much slower `class` runs for each neighbour of each class.
    pub fn slowdowns(&self, class: usize) -> &[f32; CLASSES] {
        &self.slowdowns[class % CLASSES]
    }

    /// Share of its processor that is reserved, 0 to 1 and above when it shrank.
    #[inline]
    pub fn cpu_reserved_share(&self, node: NodeIndex) -> f32 {
        1.0 - self.cpu_free(node) as f32 / self.cpu(node) as f32
    }

    /// Share of its memory that is reserved.
    #[inline]
    pub fn memory_reserved_share(&self, node: NodeIndex) -> f32 {
        1.0 - self.memory_free(node) as f32 / self.memory(node) as f32
    }

    /// Memory it takes, in bytes, shared or not.
    pub(crate) fn heap_bytes(&self) -> usize {
        let chunks = self.traits.len() * (size_of::<Traits>() + size_of::<Usage>() + CHUNK * 64);
        let counts = self.marks.iter().chain(self.avoided.iter()).chain(self.idle.iter());
        let counts: usize = counts.map(|counts| counts.heap_bytes()).sum();
        let sets = self.held.iter().chain(self.requirements.iter());
        let sets: usize = sets.map(|set| set.heap_bytes()).sum();
        chunks + counts + sets
    }

    pub(crate) fn usage_mut(&mut self, node: NodeIndex) -> (&mut Usage, usize) {
        let chunk = &mut self.usage[node.index() / CHUNK];
        (Arc::make_mut(chunk), node.index() % CHUNK)
    }

    pub(crate) fn traits_mut(&mut self, node: NodeIndex) -> (&mut Traits, usize) {
        let chunk = &mut self.traits[node.index() / CHUNK];
        (Arc::make_mut(chunk), node.index() % CHUNK)
    }

    /// Makes room for one more node number.
    pub(crate) fn grow(&mut self) -> NodeIndex {
        let node = NodeIndex(self.slots);
        self.slots += 1;
        if node.index() / CHUNK == self.traits.len() {
            self.traits.push(Arc::default());
            self.usage.push(Arc::default());
        }
        node
    }
}
