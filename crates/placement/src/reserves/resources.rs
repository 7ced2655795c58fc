//! Processor share, memory and disk, and how many instances a node has: what
//! [`ResourceFit`](crate::filters::ResourceFit) and
//! [`DiskFit`](crate::filters::DiskFit) guard.

use crate::context::Shape;
use crate::policy::{Grant, Reserve};
use crate::state::{NodeIndex, State};

/// Takes plain amounts.
#[derive(Debug)]
pub struct Resources;

impl Reserve for Resources {
    fn reserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, _: &mut Grant) {
        let (usage, at) = state.usage_mut(node);
        usage.cpu_free[at] -= i64::from(shape.spec.cpu.0);
        usage.memory_free[at] -= shape.spec.memory.0 as i64;
        usage.disk_free[at] -= shape.spec.disk.0 as i64;
        usage.instances_on[at] += 1;
    }

    fn unreserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, _: &Grant) {
        let (usage, at) = state.usage_mut(node);
        usage.cpu_free[at] += i64::from(shape.spec.cpu.0);
        usage.memory_free[at] += shape.spec.memory.0 as i64;
        usage.disk_free[at] += shape.spec.disk.0 as i64;
        usage.instances_on[at] -= 1;
    }
}
