//! [`Shape`], a shape with its names resolved to numbers, and [`Context`], what a
//! policy is given: the cluster's state and the shape in question, with every
//! lookup that is the same for all nodes already made. A policy answers for one
//! node from these alone: no clock, no memory of its own, no randomness but
//! [`Context::draw`]. That is what lets its answers be kept, and be repeated when
//! a decision is explained.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::node::{Taint, TaintEffect};
use crate::profile::Profile;
use crate::shape::ShapeSpec;
use crate::state::{Counts, NodeIndex, NodeSet, Paged, State};

/// A shape as policies read it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What was asked for.
    pub spec: ShapeSpec,
    /// The policies that decide.
    pub profile: Arc<Profile>,
    /// Its class of workload, below [`CLASSES`](crate::state::CLASSES).
    pub class: usize,
    /// A number for the function's name.
    pub(crate) function_hash: u64,
    /// The bit of its kind of sandbox in [`State::sandboxes`]; 0 when no node has it.
    pub sandbox: u32,
    /// The number of the kind of device it wants, if a node has that kind.
    pub device_kind: Option<u8>,
    /// [`State::dedicated`] of nodes that are its tenant's own.
    pub dedicated: u32,
    /// Marks of its function, its tenant and its labels, in this order.
    pub(crate) marks: SmallVec<[u32; 4]>,
    pub(crate) avoid: SmallVec<[u32; 2]>,
    pub(crate) require: SmallVec<[u32; 2]>,
    pub(crate) prefer: SmallVec<[(u32, f32); 2]>,
    pub(crate) image: Option<u32>,
    pub(crate) snapshots: SmallVec<[u32; 2]>,
    pub(crate) pool: Option<u32>,
    pub(crate) data: SmallVec<[(u32, f32); 2]>,
    pub(crate) calls: SmallVec<[u32; 2]>,
}

/// Instances that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupRef {
    /// The mark that its members carry.
    pub(crate) mark: u32,
}

/// The sets of nodes that a shape's needs name, and whether it tolerates each set of
/// taints: what no placement changes, so it is looked up once per lot.
#[derive(Clone, Debug)]
pub(crate) struct Sets {
    image: Option<Arc<NodeSet>>,
    pool: Option<Arc<NodeSet>>,
    snapshots: SmallVec<[Arc<NodeSet>; 2]>,
    data: SmallVec<[(Arc<NodeSet>, f32); 2]>,
    require: SmallVec<[Arc<NodeSet>; 2]>,
    prefer: SmallVec<[(Arc<NodeSet>, f32); 2]>,
    tolerated: Vec<bool>,
}

impl Sets {
    pub(crate) fn new(state: &State, shape: &Shape) -> Self {
        let held = |id: u32| state.held.get(id as usize).cloned().unwrap_or_default();
        let satisfied = |id: u32| state.requirements.get(id as usize).cloned().unwrap_or_default();
        let covers = |taint: &Taint| shape.spec.tolerate.iter().any(|t| t.covers(taint));
        let is_fine = |taint: &Taint| taint.effect != TaintEffect::NoSchedule || covers(taint);
        let tolerated = state.taint_sets.iter().map(|taints| taints.iter().all(is_fine));
        Sets {
            image: shape.image.map(held),
            pool: shape.pool.map(held),
            snapshots: shape.snapshots.iter().map(|id| held(*id)).collect(),
            data: shape.data.iter().map(|(id, share)| (held(*id), *share)).collect(),
            require: shape.require.iter().map(|id| satisfied(*id)).collect(),
            prefer: shape.prefer.iter().map(|(id, weight)| (satisfied(*id), *weight)).collect(),
            tolerated: tolerated.collect(),
        }
    }
}

/// What a policy sees. Made anew after every placement, so it is only pointers.
#[derive(Debug)]
pub struct Context<'a> {
    /// The cluster.
    pub state: &'a State,
    /// What is to be placed.
    pub shape: &'a Shape,
    sets: &'a Sets,
    function: &'a Counts,
    tenant: &'a Counts,
    idle: &'a Counts,
    group: Option<&'a Counts>,
}

static NOWHERE: std::sync::LazyLock<Counts> = std::sync::LazyLock::new(Counts::default);

fn counts(list: &Paged<Arc<Counts>>, mark: u32) -> &Counts {
    list.get(mark as usize).map_or_else(|| &*NOWHERE, |counts| &**counts)
}

impl<'a> Context<'a> {
    /// The context of placing `shape`, as a member of `group` if it is one.
    pub(crate) fn new(
        state: &'a State,
        shape: &'a Shape,
        group: Option<GroupRef>,
        sets: &'a Sets,
    ) -> Self {
        Context {
            state,
            shape,
            sets,
            function: counts(&state.marks, shape.marks[0]),
            tenant: counts(&state.marks, shape.marks[1]),
            idle: counts(&state.idle, shape.marks[0]),
            group: group.map(|group| counts(&state.marks, group.mark)),
        }
    }

    /// Where the function's instances are.
    #[inline]
    pub fn function(&self) -> &Counts {
        self.function
    }

    /// Where the tenant's instances are.
    #[inline]
    pub fn tenant(&self) -> &Counts {
        self.tenant
    }

    /// Where the function's idle instances are.
    #[inline]
    pub fn idle(&self) -> &Counts {
        self.idle
    }

    /// Where the group's members are, for a member of a group.
    #[inline]
    pub fn group(&self) -> Option<&Counts> {
        self.group
    }

    /// The nodes that have the image, for a shape that names one.
    #[inline]
    pub fn image(&self) -> Option<&'a NodeSet> {
        self.sets.image.as_deref()
    }

    /// The nodes with a prewarmed sandbox of the environment, for a shape that names one.
    #[inline]
    pub fn pool(&self) -> Option<&'a NodeSet> {
        self.sets.pool.as_deref()
    }

    /// The nodes that have the snapshot, then those that have its parent, and so on.
    #[inline]
    pub fn snapshots(&self) -> &'a [Arc<NodeSet>] {
        &self.sets.snapshots
    }

    /// For each piece of data: the nodes that have it, and its share of all bytes read.
    #[inline]
    pub fn data(&self) -> &'a [(Arc<NodeSet>, f32)] {
        &self.sets.data
    }

    /// For each requirement: the nodes that satisfy it.
    #[inline]
    pub fn require(&self) -> &'a [Arc<NodeSet>] {
        &self.sets.require
    }

    /// For each preference: the nodes that satisfy it, and its share of all weights.
    #[inline]
    pub fn prefer(&self) -> &'a [(Arc<NodeSet>, f32)] {
        &self.sets.prefer
    }

    /// Where the instances of each called function are.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &'a Counts> {
        let state = self.state;
        self.shape.calls.iter().map(move |mark| counts(&state.marks, *mark))
    }

    /// Where instances are that this one avoids.
    pub fn avoid(&self) -> impl ExactSizeIterator<Item = &'a Counts> {
        let state = self.state;
        self.shape.avoid.iter().map(move |mark| counts(&state.marks, *mark))
    }

    /// Where instances are that avoid this one.
    pub fn avoided_by(&self) -> impl Iterator<Item = &'a Counts> {
        let state = self.state;
        let avoided = self.shape.marks.iter().map(move |mark| counts(&state.avoided, *mark));
        avoided.filter(|counts| counts.total() > 0)
    }

    /// Whether the shape tolerates a node's taints.
    #[inline]
    pub fn tolerates(&self, node: NodeIndex) -> bool {
        self.sets.tolerated[self.state.taint_set(node) as usize]
    }

    /// A number that is the same whenever it is asked for this function and node, by
    /// their names: also after a restart, or when the node has left and come back;
    /// and spread evenly between 0 and 1 (rendezvous hashing draws on it).
    #[inline]
    pub fn affinity(&self, node: NodeIndex) -> f32 {
        unit(mix(self.shape.function_hash ^ self.state.id_hash(node)))
    }
}

/// A number for a name, the same in every process and version.
pub(crate) fn hash_name(name: &str) -> u64 {
    let words = name
        .as_bytes()
        .chunks(8)
        .map(|bytes| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte)));
    words.fold(name.len() as u64, |hash, word| mix(hash ^ word))
}

/// A well-mixed number (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
#[inline]
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same as a number from 0 up to 1.
#[inline]
pub(crate) fn unit(mixed: u64) -> f32 {
    (mixed >> 40) as f32 / (1u64 << 24) as f32
}
