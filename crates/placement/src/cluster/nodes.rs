//! What nodes say of themselves, brought into the state: they come, change, stop
//! answering and go. A statement is checked whole before any of it is taken.

use std::sync::Arc;

use gapless_types::{InstanceId, NodeId};
use smallvec::SmallVec;

use super::Cluster;
use crate::context::hash_name;
use crate::node::{HELD_MAX, Held, Load, NodeError, NodeSpec};
use crate::state::{CLASSES, Device, NodeIndex, NumaNode};

/// What of a recent failure is left each time failures are decayed.
const FAILURE_DECAY: f32 = 0.5;
/// A failure this old weighs nothing.
const FAILURE_MIN: f32 = 0.05;

impl Cluster {
    /// A node joins, or says anew what it is. It is healthy and takes instances.
    pub fn add_node(&mut self, spec: NodeSpec) -> Result<NodeIndex, NodeError> {
        spec.check()?;
        let wrong = |field: &'static str, message: &str| NodeError {
            node: spec.id.clone(),
            field,
            message: message.to_owned(),
        };
        let mut sandboxes = 0;
        for kind in &spec.sandboxes {
            let bit = self.vocabulary.sandbox(kind);
            sandboxes |= bit.ok_or_else(|| wrong("sandboxes", "more than 32 kinds are in use"))?;
        }
        let mut devices = Vec::with_capacity(spec.devices.len());
        for kind in &spec.devices {
            let kind = self.vocabulary.device_kind(kind);
            let kind = kind.ok_or_else(|| wrong("devices", "more than 32 kinds are in use"))?;
            devices.push(Device { kind, free_millis: 1000 });
        }
        let taint_set = self.vocabulary.taint_set(&mut self.state, &spec.taints);
        let taint_set = taint_set
            .ok_or_else(|| wrong("taints", "too many different sets of taints are in use"))?;
        let known = self.by_id.get(&spec.id).copied();
        let node = known.unwrap_or_else(|| self.new_node(&spec.id));
        if known.is_some() && self.must_move_out(node, &spec, &devices) {
            return Err(wrong(
                "devices",
                "devices and NUMA nodes cannot change while instances run on the node; drain it",
            ));
        }
        self.state_traits(node, &spec, sandboxes, taint_set);
        if self.state.instances_on(node) == 0 {
            let numa = spec.numa.iter().map(|numa| NumaNode {
                cpu_free: i64::from(numa.cpu.0),
                memory_free: numa.memory.0 as i64,
            });
            let (usage, at) = self.state.usage_mut(node);
            usage.devices[at] = devices.into();
            usage.numa[at] = numa.collect();
        }
        self.satisfy(node, &spec);
        self.specs[node.index()] = Some(Arc::new(spec));
        self.set_healthy(node, true);
        self.set_cordoned(node, false);
        self.changed(node);
        Ok(node)
    }

    /// Whether devices or NUMA nodes would change under instances that hold some.
    fn must_move_out(&self, node: NodeIndex, spec: &NodeSpec, devices: &[Device]) -> bool {
        let before = self.specs[node.index()].as_ref();
        let is_same = before.is_some_and(|before| before.numa == spec.numa)
            && self.state.devices(node).len() == devices.len()
            && self.state.devices(node).iter().zip(devices).all(|(a, b)| a.kind == b.kind);
        self.state.instances_on(node) > 0 && !is_same
    }

    fn new_node(&mut self, id: &NodeId) -> NodeIndex {
        let node = self.free_nodes.pop().unwrap_or_else(|| self.state.grow());
        if node.index() == self.specs.len() {
            self.specs.push(None);
            self.on_node.push(SmallVec::new());
        }
        self.by_id.insert(id.clone(), node);
        Arc::make_mut(&mut self.state.alive).set(node, true);
        self.live += 1;
        let (usage, at) = self.state.usage_mut(node);
        (usage.cpu_free[at], usage.memory_free[at], usage.disk_free[at]) = (0, 0, 0);
        (usage.instances_on[at], usage.starting[at], usage.chosen_at[at]) = (0, 0, 0);
        usage.is_monopolised[at] = false;
        (usage.load[at], usage.failures[at]) = (Load::default(), 0.0);
        usage.classes[at] = [0; CLASSES];
        let (traits, at) = self.state.traits_mut(node);
        (traits.cpu[at], traits.memory[at], traits.disk[at]) = (0, 0, 0);
        self.epoch += 1;
        node
    }

    fn state_traits(&mut self, node: NodeIndex, spec: &NodeSpec, sandboxes: u32, taint_set: u32) {
        let (zone, rack) = self.vocabulary.place(&mut self.state, spec);
        let was = (self.state.zone(node), self.state.rack(node));
        let has_moved = was != (zone, rack);
        if has_moved {
            // Instances are counted by place: take them out there, put them in here.
            self.recount(node, false);
            self.epoch += 1;
        }
        let dedicated = spec.tenant.as_ref().map_or(0, |tenant| 1 + self.vocabulary.tenant(tenant));
        let device_kinds = spec.devices.iter().fold(0_u32, |kinds, kind| {
            kinds | self.vocabulary.device_kind(kind).map_or(0, |number| 1 << number)
        });
        let state = &mut self.state;
        let more = (
            i64::from(spec.cpu.0) - i64::from(state.cpu(node)),
            spec.memory.0 as i64 - state.memory(node) as i64,
            spec.disk.0 as i64 - state.disk(node) as i64,
        );
        let (traits, at) = state.traits_mut(node);
        traits.id[at] = spec.id.clone();
        traits.id_hash[at] = hash_name(&spec.id.0);
        (traits.cpu[at], traits.memory[at], traits.disk[at]) =
            (spec.cpu.0, spec.memory.0, spec.disk.0);
        (traits.zone[at], traits.rack[at]) = (zone, rack);
        (traits.sandboxes[at], traits.taint_set[at]) = (sandboxes, taint_set);
        (traits.trust[at], traits.spot_risk[at]) = (spec.trust, spec.spot_risk);
        traits.power[at] = spec.power.unwrap_or_default();
        traits.device_kinds[at] = device_kinds;
        let before = std::mem::replace(&mut traits.dedicated[at], dedicated);
        let (usage, at) = state.usage_mut(node);
        usage.cpu_free[at] += more.0;
        usage.memory_free[at] += more.1;
        usage.disk_free[at] += more.2;
        if before > 0 {
            self.vocabulary.marks.release(before - 1);
        }
        if has_moved {
            self.recount(node, true);
        }
    }

    /// Which requirements the node satisfies.
    fn satisfy(&mut self, node: NodeIndex, spec: &NodeSpec) {
        for (number, requirement) in self.vocabulary.requirements() {
            let set = self.state.requirements.at(number as usize);
            let holds = requirement.holds(&spec.labels);
            if set.contains(node) != holds {
                Arc::make_mut(set).set(node, holds);
            }
        }
    }

    /// A node is gone, with what was on it: the instances that were.
    pub fn remove_node(&mut self, id: &NodeId) -> Vec<InstanceId> {
        let Some(node) = self.by_id.get(id).copied() else { return Vec::new() };
        let instances = self.on_node[node.index()].to_vec();
        for instance in &instances {
            self.release(*instance);
        }
        self.by_id.remove(id);
        self.specs[node.index()] = None;
        let dedicated = self.state.dedicated(node);
        if dedicated > 0 {
            self.vocabulary.marks.release(dedicated - 1);
        }
        let (traits, at) = self.state.traits_mut(node);
        traits.dedicated[at] = 0;
        for set in [&mut self.state.alive, &mut self.state.healthy, &mut self.state.cordoned] {
            Arc::make_mut(set).set(node, false);
        }
        for number in self.holds.remove(&node).unwrap_or_default() {
            Arc::make_mut(self.state.held.at(number as usize)).set(node, false);
            self.vocabulary.held.release(number);
        }
        for (number, _) in self.vocabulary.requirements() {
            Arc::make_mut(self.state.requirements.at(number as usize)).set(node, false);
        }
        self.live -= 1;
        self.epoch += 1;
        self.free_nodes.push(node);
        instances
    }

    /// Whether a node answers.
    pub fn set_healthy(&mut self, node: NodeIndex, is_healthy: bool) {
        if self.state.healthy.contains(node) != is_healthy {
            Arc::make_mut(&mut self.state.healthy).set(node, is_healthy);
            self.changed(node);
        }
    }

    /// Whether a node takes no new instances.
    pub fn set_cordoned(&mut self, node: NodeIndex, is_cordoned: bool) {
        if self.state.cordoned.contains(node) != is_cordoned {
            Arc::make_mut(&mut self.state.cordoned).set(node, is_cordoned);
            self.changed(node);
        }
    }

    /// A node's measured use.
    pub fn set_load(&mut self, node: NodeIndex, load: Load) {
        let (usage, at) = self.state.usage_mut(node);
        usage.load[at] = load;
        self.changed(node);
    }

    /// A start failed on a node, for a reason that is the node's.
    pub fn note_failure(&mut self, node: NodeIndex) {
        let (usage, at) = self.state.usage_mut(node);
        usage.failures[at] += 1.0;
        self.failing.set(node, true);
        self.changed(node);
    }

    /// Halves what recent failures count for. Call it about once a minute.
    pub fn decay_failures(&mut self) {
        let failing: Vec<NodeIndex> = self.failing.iter().collect();
        for node in failing {
            let (usage, at) = self.state.usage_mut(node);
            let left = usage.failures[at] * FAILURE_DECAY;
            let is_over = left < FAILURE_MIN;
            usage.failures[at] = if is_over { 0.0 } else { left };
            self.failing.set(node, !is_over);
            self.changed(node);
        }
    }

    /// A node has an image, a snapshot, prewarmed sandboxes or data, or no longer.
    pub fn set_held(
        &mut self,
        node: NodeIndex,
        kind: Held,
        name: &str,
        is_held: bool,
    ) -> Result<(), NodeError> {
        let key = kind.key(name);
        let holds = self.holds.entry(node).or_default();
        let known = self.vocabulary.held.find(&key).filter(|number| holds.contains(number));
        match (known, is_held) {
            (None, true) if holds.len() >= HELD_MAX => {
                return Err(NodeError {
                    node: self.state.id(node).clone(),
                    field: "held",
                    message: format!("holds {HELD_MAX} things already"),
                });
            }
            (None, true) => {
                let number = self.vocabulary.held.hold(&key);
                holds.insert(number);
                Arc::make_mut(self.state.held.at(number as usize)).set(node, true);
            }
            (Some(number), false) => {
                holds.remove(&number);
                Arc::make_mut(self.state.held.at(number as usize)).set(node, false);
                self.vocabulary.held.release(number);
            }
            (Some(_), true) | (None, false) => return Ok(()),
        }
        self.changed(node);
        Ok(())
    }

    /// How much slower an instance of one class runs for each neighbour of another.
    pub fn set_slowdown(&mut self, class: &str, neighbour: &str, slowdown: f32) {
        let (class, neighbour) = (self.vocabulary.class(class), self.vocabulary.class(neighbour));
        let slowdown = if slowdown.is_finite() { slowdown.max(0.0) } else { 0.0 };
        Arc::make_mut(&mut self.state.slowdowns)[class][neighbour] = slowdown;
        self.epoch += 1;
    }
}
