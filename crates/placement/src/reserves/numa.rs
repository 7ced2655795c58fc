//! NUMA nodes: the one an instance is held to, if it is. The one with the least
//! processor left that still fits, so that large ones keep room.

use crate::context::Shape;
use crate::policy::{Grant, Reserve};
use crate::state::{NodeIndex, State};

/// Takes room of one NUMA node.
#[derive(Debug)]
pub struct Numa;

impl Reserve for Numa {
    fn reserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &mut Grant) {
        if !shape.spec.one_numa_node || state.numa(node).is_empty() {
            return;
        }
        let (cpu, memory) = need(shape);
        let (usage, at) = state.usage_mut(node);
        let numa = usage.numa[at].iter_mut().enumerate();
        let fits = numa.filter(|(_, numa)| numa.cpu_free >= cpu && numa.memory_free >= memory);
        let Some((index, numa)) = fits.min_by_key(|(_, numa)| numa.cpu_free) else { return };
        numa.cpu_free -= cpu;
        numa.memory_free -= memory;
        grant.numa = index as u8 + 1;
    }

    fn unreserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &Grant) {
        let Some(index) = grant.numa.checked_sub(1) else { return };
        let (cpu, memory) = need(shape);
        let (usage, at) = state.usage_mut(node);
        if let Some(numa) = usage.numa[at].get_mut(usize::from(index)) {
            numa.cpu_free += cpu;
            numa.memory_free += memory;
        }
    }
}

fn need(shape: &Shape) -> (i64, i64) {
    (i64::from(shape.spec.cpu.0), shape.spec.memory.0 as i64)
}
