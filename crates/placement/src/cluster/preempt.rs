//! Room made by displacing others: idle instances first, then instances of lower
//! priority. The node is chosen on which the least is lost: fewest that are at work,
//! then the lowest of priorities, then the fewest at all (the order of the
//! Kubernetes scheduler's preemption).

use gapless_types::InstanceId;

use super::{Cluster, Stage};
use crate::context::{Context, GroupRef, Sets, Shape};
use crate::engine::Plan;
use crate::registry::RESERVES;
use crate::state::{NodeIndex, State};

/// Nodes that are tried one instance after the other; of the others only a sum is
/// looked at.
const TRIED_MAX: usize = 64;
/// Instances displaced for one at the most.
const VICTIMS_MAX: usize = 64;

/// What would be lost on a node.
type Loss = (usize, i64, usize);

impl Cluster {
    /// A node and the instances on it without which the shape fits there.
    pub(super) fn find_victims(
        &self,
        shape: &Shape,
        mark: Option<u32>,
    ) -> Option<(NodeIndex, Vec<InstanceId>)> {
        let need = (i64::from(shape.spec.cpu.0), shape.spec.memory.0 as i64);
        let mut hopeful: Vec<(Loss, NodeIndex)> = Vec::new();
        for node in self.state.healthy.iter().filter(|node| !self.state.cordoned.contains(*node)) {
            let mut free = (self.state.cpu_free(node), self.state.memory_free(node));
            let mut loss: Loss = (0, i64::MIN, 0);
            for (instance, stage, priority) in self.displaceable(shape, node) {
                if free.0 >= need.0 && free.1 >= need.1 && loss.2 > 0 {
                    break;
                }
                let spec = &self.shape_of(instance).spec;
                free = (free.0 + i64::from(spec.cpu.0), free.1 + spec.memory.0 as i64);
                add_loss(&mut loss, stage, priority);
            }
            if loss.2 > 0 && free.0 >= need.0 && free.1 >= need.1 {
                hopeful.push((loss, node));
            }
        }
        hopeful.sort_unstable();
        hopeful.truncate(TRIED_MAX);
        let tried = hopeful.into_iter().filter_map(|(_, node)| {
            let (loss, victims) = self.victims_on(shape, mark, node)?;
            Some((loss, node, victims))
        });
        tried.min_by_key(|(loss, node, _)| (*loss, *node)).map(|(_, node, victims)| (node, victims))
    }

    /// The fewest instances on a node, cheapest first, without which every filter passes.
    fn victims_on(
        &self,
        shape: &Shape,
        mark: Option<u32>,
        node: NodeIndex,
    ) -> Option<(Loss, Vec<InstanceId>)> {
        let sets = Sets::new(&self.state, shape);
        let group = mark.map(|mark| GroupRef { mark });
        // A copy shares everything but what is taken out of this node.
        let mut state = self.state.clone();
        let mut victims = Vec::new();
        let mut loss: Loss = (0, i64::MIN, 0);
        for (instance, stage, priority) in self.displaceable(shape, node).take(VICTIMS_MAX) {
            self.take_out(&mut state, instance);
            victims.push(instance);
            add_loss(&mut loss, stage, priority);
            let cx = Context::new(&state, shape, group, &sets);
            if Plan::new(&cx).passes(&cx, node) {
                return Some((loss, victims));
            }
        }
        None
    }

    /// The instances on a node that this shape may displace, cheapest first.
    fn displaceable(
        &self,
        shape: &Shape,
        node: NodeIndex,
    ) -> impl Iterator<Item = (InstanceId, Stage, i32)> {
        let priority = shape.spec.priority;
        let on_node = self.on_node[node.index()].iter();
        let mut may: Vec<(InstanceId, Stage, i32)> = on_node
            .filter_map(|instance| {
                let stage = self.instances[instance].stage;
                let theirs = self.shape_of(*instance).spec.priority;
                let may = match stage {
                    Stage::Idle => theirs <= priority,
                    Stage::Reserved | Stage::Running => theirs < priority,
                };
                may.then_some((*instance, stage, theirs))
            })
            .collect();
        // Among equals the youngest: the least was invested in it.
        may.sort_unstable_by_key(|(instance, stage, priority)| {
            (*stage != Stage::Idle, *priority, std::cmp::Reverse(*instance))
        });
        may.into_iter()
    }

    fn take_out(&self, state: &mut State, instance: InstanceId) {
        let placed = &self.instances[&instance];
        for reserve in RESERVES.iter().rev() {
            reserve.unreserve(state, self.shape_of(instance), placed.node, &placed.grant);
        }
    }

    fn shape_of(&self, instance: InstanceId) -> &Shape {
        let placed = &self.instances[&instance];
        self.shape(placed.shape).expect("an instance holds its shape")
    }
}

fn add_loss(loss: &mut Loss, stage: Stage, priority: i32) {
    loss.0 += usize::from(stage != Stage::Idle);
    if stage != Stage::Idle {
        loss.1 = loss.1.max(i64::from(priority));
    }
    loss.2 += 1;
}
