//! Instance to node: a pure model of the cluster's capacity.
//!
//! [`Cluster::place`] reserves room for one instance on one node,
//! [`Cluster::release`] frees it. This is the first, plain policy: among the
//! ready nodes that run the kind of code and have room, the one with the largest
//! share of memory free; among equals, the one chosen longest ago, so that equal
//! nodes share load.
//!
//! What always holds: no node's reservations exceed its capacity; "no room" is an
//! answer that says what was lacking on how many nodes, not an error. One scan of
//! the nodes per placement: that is the policy's simplicity, and its price.

use gapless_types::{Bytes, CpuMillis, NodeId};

/// What a node offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Processor share.
    pub cpu: CpuMillis,
    /// Memory.
    pub memory: Bytes,
    /// Kinds of sandboxes it has, such as `wasm`.
    pub sandboxes: Vec<&'static str>,
}

/// What an instance needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Processor share.
    pub cpu: CpuMillis,
    /// Memory.
    pub memory: Bytes,
    /// The kind of sandbox.
    pub sandbox: &'static str,
}

/// A node as the cluster sees it.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// What it offers.
    pub capacity: Capacity,
    /// Processor share that is reserved, in millicores.
    pub cpu_reserved: u64,
    /// Memory that is reserved, in bytes.
    pub memory_reserved: u64,
    /// Instances placed on it.
    pub instances: u32,
    /// Whether it takes instances.
    pub is_ready: bool,
    /// The last placement that chose it.
    chosen_at: u64,
}

/// The outcome of a placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Room was reserved there.
    Placed(NodeId),
    /// There was no room; nothing changed.
    Unplaced(Shortage),
}

/// On how many nodes each thing was lacking. A node counts once, for the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Nodes there are.
    pub nodes: u32,
    /// Nodes that take no instances.
    pub not_ready: u32,
    /// Nodes without the kind of sandbox.
    pub no_sandbox: u32,
    /// Nodes without enough memory free.
    pub no_memory: u32,
    /// Nodes without enough processor share free.
    pub no_cpu: u32,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "of {} nodes", self.nodes)?;
        let parts = [
            (self.not_ready, "not ready"),
            (self.no_sandbox, "without this kind of sandbox"),
            (self.no_memory, "without enough free memory"),
            (self.no_cpu, "without enough free processor share"),
        ];
        let lacking = parts.iter().filter(|(count, _)| *count > 0);
        for (index, (count, what)) in lacking.enumerate() {
            write!(f, "{}{count} {what}", if index == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// The nodes and what is reserved on them.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: Vec<NodeView>,
    placements: u64,
}

impl Cluster {
    /// A cluster without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node, or states an existing one's capacity anew. It is ready.
    pub fn add_node(&mut self, id: NodeId, capacity: Capacity) {
        if let Some(node) = self.find(&id) {
            node.capacity = capacity;
            node.is_ready = true;
            return;
        }
        self.nodes.push(NodeView {
            id,
            capacity,
            cpu_reserved: 0,
            memory_reserved: 0,
            instances: 0,
            is_ready: true,
            chosen_at: 0,
        });
    }

    /// Removes a node and what is reserved on it.
    pub fn remove_node(&mut self, id: &NodeId) {
        self.nodes.retain(|node| node.id != *id);
    }

    /// Says whether a node takes instances.
    pub fn set_ready(&mut self, id: &NodeId, is_ready: bool) {
        if let Some(node) = self.find(id) {
            node.is_ready = is_ready;
        }
    }

    /// Every node.
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// Whether any node has this kind of sandbox.
    pub fn has_sandbox(&self, sandbox: &str) -> bool {
        self.nodes.iter().any(|node| node.capacity.sandboxes.contains(&sandbox))
    }

    /// Reserves room for one instance.
    pub fn place(&mut self, shape: Shape) -> Placement {
        let mut shortage = Shortage::default();
        let mut best: Option<(usize, f64)> = None;
        for (index, node) in self.nodes.iter().enumerate() {
            shortage.nodes += 1;
            if !node.has_room(&shape, &mut shortage) {
                continue;
            }
            let score = node.memory_free_share();
            let is_better = best.is_none_or(|(other, best_score)| {
                let chosen_earlier = node.chosen_at < self.nodes[other].chosen_at;
                score > best_score || (score == best_score && chosen_earlier)
            });
            if is_better {
                best = Some((index, score));
            }
        }
        let Some((index, _)) = best else {
            return Placement::Unplaced(shortage);
        };
        self.placements += 1;
        let node = &mut self.nodes[index];
        node.chosen_at = self.placements;
        node.instances += 1;
        node.cpu_reserved += u64::from(shape.cpu.0);
        node.memory_reserved += shape.memory.0;
        Placement::Placed(node.id.clone())
    }

    /// Frees what [`Cluster::place`] reserved. Call it once for each.
    pub fn release(&mut self, id: &NodeId, shape: Shape) {
        if let Some(node) = self.find(id) {
            node.instances = node.instances.saturating_sub(1);
            node.cpu_reserved = node.cpu_reserved.saturating_sub(u64::from(shape.cpu.0));
            node.memory_reserved = node.memory_reserved.saturating_sub(shape.memory.0);
        }
    }

    fn find(&mut self, id: &NodeId) -> Option<&mut NodeView> {
        self.nodes.iter_mut().find(|node| node.id == *id)
    }
}

impl NodeView {
    /// Whether an instance fits; counts what is lacking where it does not.
    fn has_room(&self, shape: &Shape, shortage: &mut Shortage) -> bool {
        let lacking = if !self.is_ready {
            &mut shortage.not_ready
        } else if !self.capacity.sandboxes.contains(&shape.sandbox) {
            &mut shortage.no_sandbox
        } else if self.memory_reserved + shape.memory.0 > self.capacity.memory.0 {
            &mut shortage.no_memory
        } else if self.cpu_reserved + u64::from(shape.cpu.0) > u64::from(self.capacity.cpu.0) {
            &mut shortage.no_cpu
        } else {
            return true;
        };
        *lacking += 1;
        false
    }

    fn memory_free_share(&self) -> f64 {
        let capacity = self.capacity.memory.0.max(1);
        capacity.saturating_sub(self.memory_reserved) as f64 / capacity as f64
    }
}

#[cfg(test)]
mod tests;
