//! Prefers the node whose processor and memory would be used in equal shares (Kubernetes,
//! NodeResourcesBalancedAllocation; Dirigent): neither is left over without the other.
//! Pulls a little against packing.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers equal shares of processor and memory in use.
#[derive(Debug)]
pub struct BalancedAllocation;

impl Policy for BalancedAllocation {
    const NAME: &'static str = "balanced-allocation";
    const SUMMARY: &'static str = "prefers equal shares of processor and memory in use";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(BalancedAllocation)
    }
}

impl Score for BalancedAllocation {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let (state, spec) = (cx.state, &cx.shape.spec);
        let cpu = (state.cpu_free(node) - i64::from(spec.cpu.0)) as f32 / state.cpu(node) as f32;
        let memory = state.memory_free(node) - spec.memory.0 as i64;
        let memory = memory as f32 / state.memory(node) as f32;
        // The standard deviation of two numbers is half their difference.
        1.0 - (cpu - memory).abs() / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use gapless_types::{Bytes, CpuMillis};

    #[test]
    fn what_evens_out_scores_higher() {
        let mut lab = Lab::new();
        lab.node("even", |_| {});
        lab.node("memory-heavy", |_| {});
        let heavy = lab.shape("a/heavy", |s| (s.cpu, s.memory) = (CpuMillis(1), Bytes(2 << 30)));
        lab.run(heavy, "memory-heavy", 3);
        let [even, skewed] = lab.scores(&BalancedAllocation, heavy)[..] else { panic!() };
        assert!(even > skewed, "{even} {skewed}");
        let hungry = lab.shape("a/hungry", |s| (s.cpu, s.memory) = (CpuMillis(3000), Bytes(1)));
        let [even, skewed] = lab.scores(&BalancedAllocation, hungry)[..] else { panic!() };
        assert!(skewed > even, "it would even out: {skewed} {even}");
    }

    #[test]
    fn equal_shares_are_best_and_one_alone_is_a_half() {
        let mut lab = Lab::new();
        lab.node("n", |_| {});
        let shape = |lab: &mut Lab, name, cpu, memory| {
            lab.shape(name, |s| (s.cpu, s.memory) = (CpuMillis(cpu), Bytes(memory)))
        };
        let even = shape(&mut lab, "a/even", 1000, 2 << 30);
        assert_eq!(lab.scores(&BalancedAllocation, even), [1.0]);
        let all_cpu = shape(&mut lab, "a/all-cpu", 4000, 0);
        assert_eq!(lab.scores(&BalancedAllocation, all_cpu), [0.5]);
    }
}
