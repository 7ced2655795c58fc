//! The columns of [`CHUNK`] nodes: [`Traits`] change when a node says something
//! new of itself, [`Usage`] with every placement. Apart, so that a view that is
//! held while instances come and go copies only the second.

use gapless_types::NodeId;

use crate::node::{Load, NodeTrust, Power};

/// Nodes per chunk. A chunk is what is copied when a view is held: small enough
/// to copy in a microsecond, large enough that a view of 10,000 nodes is 320 pointers.
pub const CHUNK: usize = 64;
/// Classes of workload that interference is told apart by. Class 0 is unknown.
pub const CLASSES: usize = 8;

/// What nodes are.
#[derive(Clone, Debug)]
pub struct Traits {
    pub(crate) id: Vec<NodeId>,
    pub(crate) id_hash: [u64; CHUNK],
    pub(crate) cpu: [u32; CHUNK],
    pub(crate) memory: [u64; CHUNK],
    pub(crate) disk: [u64; CHUNK],
    pub(crate) zone: [u32; CHUNK],
    pub(crate) rack: [u32; CHUNK],
    pub(crate) sandboxes: [u32; CHUNK],
    pub(crate) taint_set: [u32; CHUNK],
    pub(crate) trust: [NodeTrust; CHUNK],
    pub(crate) dedicated: [u32; CHUNK],
    pub(crate) power: [Power; CHUNK],
    pub(crate) spot_risk: [f32; CHUNK],
    pub(crate) device_kinds: [u32; CHUNK],
}

/// What is on nodes.
#[derive(Clone, Debug)]
pub struct Usage {
    pub(crate) cpu_free: [i64; CHUNK],
    pub(crate) memory_free: [i64; CHUNK],
    pub(crate) disk_free: [i64; CHUNK],
    pub(crate) instances_on: [u32; CHUNK],
    pub(crate) starting: [u32; CHUNK],
    pub(crate) is_monopolised: [bool; CHUNK],
    pub(crate) chosen_at: [u32; CHUNK],
    pub(crate) load: [Load; CHUNK],
    pub(crate) failures: [f32; CHUNK],
    pub(crate) classes: [[u16; CLASSES]; CHUNK],
    pub(crate) devices: Vec<Box<[Device]>>,
    pub(crate) numa: Vec<Box<[NumaNode]>>,
}

/// An accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its kind, as a bit number of [`State::device_kinds`](super::State::device_kinds).
    pub kind: u8,
    /// What is free of it, in thousandths.
    pub free_millis: u16,
}

/// A NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaNode {
    /// Processor share free for those who need one NUMA node.
    pub cpu_free: i64,
    /// Memory free for them.
    pub memory_free: i64,
}

impl Default for Traits {
    fn default() -> Self {
        Traits {
            id: vec![NodeId::new(""); CHUNK],
            id_hash: [0; CHUNK],
            cpu: [1; CHUNK],
            memory: [1; CHUNK],
            disk: [0; CHUNK],
            zone: [0; CHUNK],
            rack: [0; CHUNK],
            sandboxes: [0; CHUNK],
            taint_set: [0; CHUNK],
            trust: [NodeTrust::Any; CHUNK],
            dedicated: [0; CHUNK],
            power: [Power::default(); CHUNK],
            spot_risk: [0.0; CHUNK],
            device_kinds: [0; CHUNK],
        }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Usage {
            cpu_free: [0; CHUNK],
            memory_free: [0; CHUNK],
            disk_free: [0; CHUNK],
            instances_on: [0; CHUNK],
            starting: [0; CHUNK],
            is_monopolised: [false; CHUNK],
            chosen_at: [0; CHUNK],
            load: [Load::default(); CHUNK],
            failures: [0.0; CHUNK],
            classes: [[0; CLASSES]; CHUNK],
            devices: vec![Box::default(); CHUNK],
            numa: vec![Box::default(); CHUNK],
        }
    }
}
