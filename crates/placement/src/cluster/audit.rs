//! [`Cluster::audit`]: recomputes from the instances and the nodes' own statements
//! everything that is kept up to date as they change, and compares. What a day of
//! starts and stops must leave: nothing that is not accounted for.

use std::collections::{BTreeMap, HashMap};

use gapless_types::InstanceId;

use super::{Cluster, Stage};
use crate::context::{Context, Sets};
use crate::engine::Plan;
use crate::node::NodeTrust;
use crate::plain;
use crate::state::NodeIndex;

#[derive(Default)]
struct Sum {
    cpu: i64,
    memory: i64,
    disk: i64,
    instances: u32,
    starting: u32,
    monopolies: u32,
    device_millis: HashMap<u8, u32>,
}

impl Cluster {
    /// What of the state does not follow from its instances, or breaks a rule.
    pub(crate) fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut sums: BTreeMap<NodeIndex, Sum> = BTreeMap::new();
        for (instance, placed) in &self.instances {
            let Some(shape) = self.shape(placed.shape) else {
                wrong.push(format!("{instance} has no shape"));
                continue;
            };
            let sum = sums.entry(placed.node).or_default();
            sum.cpu += i64::from(shape.spec.cpu.0);
            sum.memory += shape.spec.memory.0 as i64;
            sum.disk += shape.spec.disk.0 as i64;
            sum.instances += 1;
            sum.starting += u32::from(placed.stage == Stage::Reserved);
            sum.monopolies += u32::from(shape.spec.monopoly);
            if let (Some(need), Some(kind)) = (&shape.spec.devices, shape.device_kind) {
                let millis = u32::from(need.count) * u32::from(need.share_millis);
                *sum.device_millis.entry(kind).or_default() += millis;
            }
            self.audit_instance(*instance, &mut wrong);
        }
        for node in self.state.nodes() {
            self.audit_node(node, &sums.remove(&node).unwrap_or_default(), &mut wrong);
        }
        wrong.extend(sums.keys().map(|node| format!("instances on node {node:?}, which is gone")));
        if self.state.instances != self.instances.len() as u64 {
            wrong.push(format!("{} instances counted", self.state.instances));
        }
        self.audit_counts(&mut wrong);
        self.audit_indexes(&mut wrong);
        wrong
    }

    fn audit_node(&self, node: NodeIndex, sum: &Sum, wrong: &mut Vec<String>) {
        let state = &self.state;
        let id = state.id(node);
        let free = (state.cpu_free(node), state.memory_free(node), state.disk_free(node));
        let expected = (
            i64::from(state.cpu(node)) - sum.cpu,
            state.memory(node) as i64 - sum.memory,
            state.disk(node) as i64 - sum.disk,
        );
        if free != expected {
            wrong.push(format!("{id}: free is {free:?}, should be {expected:?}"));
        }
        if free.0 < 0 || free.1 < 0 || free.2 < 0 {
            wrong.push(format!("{id}: overcommitted: {free:?}"));
        }
        let counts = (state.instances_on(node), state.starting(node));
        if counts != (sum.instances, sum.starting) {
            wrong.push(format!("{id}: counts {counts:?}, has {} {}", sum.instances, sum.starting));
        }
        if sum.monopolies > 0 && sum.instances > 1 {
            wrong.push(format!("{id}: an instance that wants it alone has company"));
        }
        let mut taken: HashMap<u8, u32> = HashMap::new();
        for device in state.devices(node) {
            *taken.entry(device.kind).or_default() +=
                u32::from(1000 - device.free_millis.min(1000));
            if device.free_millis > 1000 {
                wrong.push(format!("{id}: a device has more than all of it free"));
            }
        }
        taken.retain(|_, millis| *millis > 0);
        if taken != sum.device_millis {
            wrong.push(format!("{id}: devices {taken:?}, should be {:?}", sum.device_millis));
        }
        if state.numa(node).iter().any(|numa| numa.cpu_free < 0 || numa.memory_free < 0) {
            wrong.push(format!("{id}: a NUMA node is overcommitted"));
        }
    }

    /// What an instance may never share a node with, or be on.
    fn audit_instance(&self, instance: InstanceId, wrong: &mut Vec<String>) {
        let placed = &self.instances[&instance];
        let (state, node) = (&self.state, placed.node);
        let Some(shape) = self.shape(placed.shape) else { return };
        let sets = Sets::new(state, shape);
        let cx = Context::new(state, shape, None, &sets);
        if state.sandboxes(node) & shape.sandbox == 0 {
            wrong.push(format!("{instance}: its node lacks its kind of sandbox"));
        }
        if !cx.require().iter().all(|set| set.contains(node)) {
            wrong.push(format!("{instance}: its node lacks a required label"));
        }
        if !cx.tolerates(node) {
            wrong.push(format!("{instance}: does not tolerate its node"));
        }
        let dedicated = state.dedicated(node);
        let is_open = dedicated == 0 && !shape.spec.dedicated;
        if !is_open && dedicated != shape.dedicated {
            wrong.push(format!("{instance}: is on another tenant's node"));
        }
        let refused =
            if shape.spec.is_untrusted { NodeTrust::Managed } else { NodeTrust::Untrusted };
        if state.trust(node) == refused {
            wrong.push(format!("{instance}: is on a node of the other partition"));
        }
        for avoided in &shape.avoid {
            let own = u32::from(shape.marks.contains(avoided));
            let there = state.marks.get(*avoided as usize).map_or(0, |counts| counts.on(node));
            if there > own {
                wrong.push(format!("{instance}: shares its node with what it avoids"));
            }
        }
    }

    fn audit_counts(&self, wrong: &mut Vec<String>) {
        let mut by_mark: HashMap<u32, u32> = HashMap::new();
        for placed in self.instances.values() {
            let Some(shape) = self.shape(placed.shape) else { continue };
            let group = (placed.grant.group > 0).then(|| placed.grant.group - 1);
            for mark in shape.marks.iter().copied().chain(group) {
                *by_mark.entry(mark).or_default() += 1;
            }
        }
        for (mark, counts) in self.state.marks.iter().enumerate() {
            let expected = by_mark.get(&(mark as u32)).copied().unwrap_or(0);
            if counts.total() != expected {
                wrong.push(format!("mark {mark} counts {}, has {expected}", counts.total()));
            }
        }
    }

    /// Kept scores against scores computed from nothing.
    fn audit_indexes(&self, wrong: &mut Vec<String>) {
        for id in &self.indexes {
            let Some(way) = self.way(*id) else { continue };
            let Some(index) = &way.index else { continue };
            let shape = &way.shape;
            let sets = Sets::new(&self.state, shape);
            let cx = Context::new(&self.state, shape, None, &sets);
            let plan = Plan::new(&cx);
            let is_current = index.made_under.epoch == self.epoch
                && index.made_under.plan == plan.fingerprint
                && (!plan.reads_mean || index.made_under.mean == self.state.mean_instances);
            if !is_current {
                continue;
            }
            let Some(changes) = self.changes.since(index.seen) else { continue };
            let stale: std::collections::HashSet<NodeIndex> = changes.collect();
            for (leaf, node) in index.ranking.nodes.iter().enumerate() {
                let (_, key) = plan.evaluate(&cx, *node);
                if !stale.contains(node) && key != index.ranking.key_of(leaf) {
                    wrong.push(format!("shape {}: kept score of {node:?} has drifted", id.shape.0));
                }
            }
            // And the plan's sums against the plain sum of every policy.
            if let Some(node) = index.ranking.nodes.first()
                && plain::evaluate(&cx, *node).is_some() != plan.passes(&cx, *node)
            {
                wrong.push(format!("shape {}: plan and policies disagree", id.shape.0));
            }
        }
    }
}
