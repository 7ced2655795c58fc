//! Nodes as people see them.

use std::sync::Arc;

use gapless_placement::{Cluster, Load, NodeIndex, NodeSpec};
use gapless_types::NodeId;

use super::Nodes;

/// A node as people see it.
pub(crate) struct NodeView {
    pub(crate) spec: Arc<NodeSpec>,
    pub(crate) is_healthy: bool,
    pub(crate) is_cordoned: bool,
    pub(crate) cpu_reserved: u64,
    pub(crate) memory_reserved: u64,
    pub(crate) instances: u32,
    pub(crate) starting: u32,
    pub(crate) load: Load,
    /// Images, snapshots, pools and data it holds.
    pub(crate) held: usize,
}

impl Nodes {
    /// The nodes.
    pub(crate) fn views(&self) -> Vec<NodeView> {
        let cluster = self.cluster.lock();
        cluster.state().nodes().filter_map(|node| view(&cluster, node)).collect()
    }

    /// One node.
    pub(crate) fn view(&self, id: &NodeId) -> Option<NodeView> {
        let cluster = self.cluster.lock();
        view(&cluster, cluster.node(id)?)
    }
}

fn view(cluster: &Cluster, node: NodeIndex) -> Option<NodeView> {
    let state = cluster.state();
    let spec = Arc::clone(cluster.node_spec(node)?);
    let reserved = |all: u64, free: i64| u64::try_from(all as i64 - free).unwrap_or(0);
    Some(NodeView {
        is_healthy: state.healthy().contains(node),
        is_cordoned: state.cordoned().contains(node),
        cpu_reserved: reserved(u64::from(state.cpu(node)), state.cpu_free(node)),
        memory_reserved: reserved(state.memory(node), state.memory_free(node)),
        instances: state.instances_on(node),
        starting: state.starting(node),
        load: state.load(node),
        held: cluster.held_count(node),
        spec,
    })
}
