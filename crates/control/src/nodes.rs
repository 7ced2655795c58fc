//! Placement, the way to each node, and who waits for room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gapless_placement::{Capacity, Cluster, NodeView, Placement, Shape, Shortage};
use gapless_proto::NodeLink;
use gapless_types::{Code, FunctionSpec, NodeId};
use parking_lot::{Mutex, RwLock};

use crate::revision::RevisionState;

/// Revisions that are told at a time when room was freed; the others try again
/// by their own back-off.
const STARVED_TRIED_MAX: usize = 16;
/// Nodes a revision is prepared on at deploy; any other prepares at its first start.
const PREPARED_NODES_MAX: usize = 4;

/// The nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    cluster: Mutex<Cluster>,
    links: RwLock<HashMap<NodeId, Arc<dyn NodeLink>>>,
    /// Revisions that found no room, longest first. At most once each: see `RevisionState`.
    starved: Mutex<VecDeque<Arc<RevisionState>>>,
}

/// What an instance of this function needs of a node.
pub(crate) fn shape(spec: &FunctionSpec) -> Shape {
    let sandbox = match spec.code() {
        Code::Wasm => "wasm",
        Code::Command(_) => "linux",
        Code::Fake(_) => "fake",
    };
    Shape { cpu: spec.resources.cpu, memory: spec.resources.memory, sandbox }
}

impl Nodes {
    pub(crate) fn add(&self, link: Arc<dyn NodeLink>, capacity: Capacity) {
        let id = link.id().clone();
        self.links.write().insert(id.clone(), link);
        self.cluster.lock().add_node(id, capacity);
    }

    pub(crate) fn link(&self, id: &NodeId) -> Option<Arc<dyn NodeLink>> {
        self.links.read().get(id).cloned()
    }

    pub(crate) fn links(&self) -> Vec<Arc<dyn NodeLink>> {
        self.links.read().values().cloned().collect()
    }

    /// The nodes that a revision is prepared on when it is deployed.
    pub(crate) fn to_prepare(&self, sandbox: &'static str) -> Vec<Arc<dyn NodeLink>> {
        let ids: Vec<NodeId> = {
            let cluster = self.cluster.lock();
            let suitable = cluster
                .nodes()
                .iter()
                .filter(|node| node.is_ready && node.capacity.sandboxes.contains(&sandbox));
            suitable.take(PREPARED_NODES_MAX).map(|node| node.id.clone()).collect()
        };
        ids.iter().filter_map(|id| self.link(id)).collect()
    }

    pub(crate) fn place(&self, shape: Shape) -> Result<NodeId, Shortage> {
        match self.cluster.lock().place(shape) {
            Placement::Placed(node) => Ok(node),
            Placement::Unplaced(shortage) => Err(shortage),
        }
    }

    pub(crate) fn release(&self, node: &NodeId, shape: Shape) {
        self.cluster.lock().release(node, shape);
    }

    pub(crate) fn views(&self) -> Vec<NodeView> {
        self.cluster.lock().nodes().to_vec()
    }

    pub(crate) fn starve(&self, state: Arc<RevisionState>) {
        self.starved.lock().push_back(state);
    }

    /// Those who have waited longest for room.
    pub(crate) fn take_starved(&self) -> Vec<Arc<RevisionState>> {
        let mut starved = self.starved.lock();
        let count = starved.len().min(STARVED_TRIED_MAX);
        starved.drain(..count).collect()
    }
}
