//! Who is where: instances by function, tenant, label, group and class, how many
//! are starting, and whether one has its node to itself. Spreading, affinity and
//! interference read it.

use std::sync::Arc;

use crate::context::Shape;
use crate::policy::{Grant, Reserve};
use crate::state::{NodeIndex, State};

/// Counts instances by what they are.
#[derive(Debug)]
pub struct Census;

impl Reserve for Census {
    fn reserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &mut Grant) {
        let (zone, rack) = (state.zone(node), state.rack(node));
        for mark in marks(shape, grant) {
            Arc::make_mut(state.marks.at(mark as usize)).add(node, zone, rack);
        }
        for mark in &shape.avoid {
            Arc::make_mut(state.avoided.at(*mark as usize)).add(node, zone, rack);
        }
        state.instances += 1;
        let (usage, at) = state.usage_mut(node);
        usage.starting[at] += 1;
        usage.classes[at][shape.class] += 1;
        usage.is_monopolised[at] |= shape.spec.monopoly;
    }

    /// What is starting is not taken back here: an instance stops to be starting when
    /// it is confirmed, or when its owner finds that it never will be.
    fn unreserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &Grant) {
        let (zone, rack) = (state.zone(node), state.rack(node));
        for mark in marks(shape, grant) {
            Arc::make_mut(state.marks.at(mark as usize)).remove(node, zone, rack);
        }
        for mark in &shape.avoid {
            Arc::make_mut(state.avoided.at(*mark as usize)).remove(node, zone, rack);
        }
        state.instances -= 1;
        let (usage, at) = state.usage_mut(node);
        usage.classes[at][shape.class] -= 1;
        if shape.spec.monopoly {
            usage.is_monopolised[at] = false;
        }
    }
}

fn marks(shape: &Shape, grant: &Grant) -> impl Iterator<Item = u32> {
    let group = (grant.group > 0).then(|| grant.group - 1);
    shape.marks.iter().copied().chain(group)
}
