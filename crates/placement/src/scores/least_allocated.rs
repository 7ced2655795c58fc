//! Prefers the node with the most left (Kubernetes, NodeResourcesFit with
//! LeastAllocated; openYuanrong's DefaultScorer): load spreads, and every node
//! keeps room for a neighbour's growth. At odds with packing.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// The mean of the shares of processor and memory that stay free.
#[derive(Debug)]
pub struct LeastAllocated;

impl Policy for LeastAllocated {
    const NAME: &'static str = "least-allocated";
    const SUMMARY: &'static str = "prefers the node with the most processor and memory free";
    const OPPOSES: &'static [&'static str] = &["most-allocated"];

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(LeastAllocated)
    }
}

impl Score for LeastAllocated {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let (state, spec) = (cx.state, &cx.shape.spec);
        let cpu = (state.cpu_free(node) - i64::from(spec.cpu.0)) as f32 / state.cpu(node) as f32;
        let memory = state.memory_free(node) - spec.memory.0 as i64;
        let memory = memory as f32 / state.memory(node) as f32;
        (cpu + memory) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_emptier_node_scores_higher() {
        let mut lab = Lab::new();
        lab.node("full", |_| {});
        lab.node("empty", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "full", 5);
        let [full, empty] = lab.scores(&LeastAllocated, shape)[..] else { panic!() };
        assert!(full < empty && empty < 1.0, "{full} {empty}");
    }
}
