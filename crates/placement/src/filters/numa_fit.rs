//! Keeps an instance that must not cross NUMA nodes off a node of which no single NUMA
//! node has room (openYuanrong, NUMAAffinityFilter; Koordinator, NodeNUMAResource;
//! Volcano, numa-aware). A node that states none counts as one.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Cpu and memory must fit into one NUMA node.
#[derive(Debug)]
pub struct NumaFit;

impl Policy for NumaFit {
    const NAME: &'static str = "numa-fit";
    const SUMMARY: &'static str = "cpu and memory must fit into one NUMA node";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(NumaFit)
    }
}

impl Filter for NumaFit {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.shape.spec.one_numa_node
    }

    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        let spec = &cx.shape.spec;
        let (cpu, memory) = (i64::from(spec.cpu.0), spec.memory.0 as i64);
        let numa = cx.state.numa(node);
        if numa.is_empty() {
            return cx.state.cpu_free(node) >= cpu && cx.state.memory_free(node) >= memory;
        }
        numa.iter().any(|numa| numa.cpu_free >= cpu && numa.memory_free >= memory)
    }

    fn lacking(&self, _: &Context<'_>) -> String {
        "of which no NUMA node has room".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::NumaSpec;
    use gapless_types::{Bytes, CpuMillis};

    #[test]
    fn one_numa_node_must_have_both() {
        let half = NumaSpec { cpu: CpuMillis(2000), memory: Bytes(4 << 30) };
        let mut lab = Lab::new();
        lab.node("one", |_| {});
        lab.node("two", |n| n.numa = vec![half; 2]);
        let wide = lab.shape("a/wide", |s| {
            s.one_numa_node = true;
            s.cpu = CpuMillis(3000);
        });
        assert_eq!(lab.passes(&NumaFit, wide), [true, false]);
        let fits = lab.shape("a/fits", |s| {
            s.one_numa_node = true;
            s.cpu = CpuMillis(1500);
        });
        lab.run(fits, "two", 1);
        assert_eq!(lab.passes(&NumaFit, fits), [true, true]);
        lab.run(fits, "two", 1);
        assert_eq!(lab.passes(&NumaFit, fits), [true, false]);
    }
}
