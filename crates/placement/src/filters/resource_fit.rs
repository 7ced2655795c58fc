//! Keeps an instance off a node without enough processor share or memory left
//! (Kubernetes, NodeResourcesFit). What it reads is what
//! [`reserves::Resources`](crate::reserves::Resources) took.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Processor and memory must fit into what is not reserved.
#[derive(Debug)]
pub struct ResourceFit;

impl Policy for ResourceFit {
    const NAME: &'static str = "resource-fit";
    const SUMMARY: &'static str = "processor share and memory must fit into what is free";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(ResourceFit)
    }
}

impl Filter for ResourceFit {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        let spec = &cx.shape.spec;
        cx.state.cpu_free(node) >= i64::from(spec.cpu.0)
            && cx.state.memory_free(node) >= spec.memory.0 as i64
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        let spec = &cx.shape.spec;
        format!("without {} of processor and {} of memory free", spec.cpu, spec.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn a_full_node_is_left_out() {
        let mut lab = Lab::new();
        lab.node("full", |n| n.cpu = gapless_types::CpuMillis(100));
        lab.node("roomy", |_| {});
        let shape = lab.shape("a/f", |s| s.cpu = gapless_types::CpuMillis(100));
        assert_eq!(lab.passes(&ResourceFit, shape), [true, true]);
        lab.run(shape, "full", 1);
        assert_eq!(lab.passes(&ResourceFit, shape), [false, true]);
    }
}
