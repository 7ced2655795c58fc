//! Prefers the node that is fullest and still has room (Kubernetes, NodeResourcesFit with
//! MostAllocated; Volcano, binpack): empty nodes can be switched off or given back, and
//! large instances find room. At odds with spreading load.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers the node that is fullest and still has room.
#[derive(Debug)]
pub struct MostAllocated;

impl Policy for MostAllocated {
    const NAME: &'static str = "most-allocated";
    const SUMMARY: &'static str = "prefers the node that is fullest and still has room";
    const OPPOSES: &'static [&'static str] = &["least-allocated", "topology-spread"];

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(MostAllocated)
    }
}

impl Score for MostAllocated {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let (state, spec) = (cx.state, &cx.shape.spec);
        let cpu = state.cpu_free(node) - i64::from(spec.cpu.0);
        let memory = state.memory_free(node) - spec.memory.0 as i64;
        let cpu = 1.0 - cpu as f32 / state.cpu(node) as f32;
        let memory = 1.0 - memory as f32 / state.memory(node) as f32;
        (cpu + memory) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_fuller_node_scores_higher() {
        let mut lab = Lab::new();
        lab.node("full", |_| {});
        lab.node("empty", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "full", 5);
        let [full, empty] = lab.scores(&MostAllocated, shape)[..] else { panic!() };
        assert!(full > empty && empty > 0.0, "{full} {empty}");
    }

    #[test]
    fn a_node_that_it_fills_is_best() {
        let mut lab = Lab::new();
        lab.node("filled", |n| {
            n.cpu = gapless_types::CpuMillis(100);
            n.memory = gapless_types::Bytes(64 << 20);
        });
        lab.node("empty", |_| {});
        let shape = lab.shape("a/f", |_| {});
        let own_share = (0.1 / 4.0 + 1.0 / 128.0) / 2.0;
        let [filled, empty] = lab.scores(&MostAllocated, shape)[..] else { panic!() };
        assert_eq!(filled, 1.0);
        assert!((empty - own_share).abs() < 1e-6, "{empty}");
    }
}
