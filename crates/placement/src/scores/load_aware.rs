//! Prefers nodes whose measured use is low (Koordinator, LoadAwareScheduling; Volcano,
//! usage; Iluvatar, LeastLoaded): functions reserve far more, or less, than they use.
//! What is starting is not in a measurement yet, so each start is counted as if it were
//! one more of the shape in question: nodes do not keep what starts reserve, and within
//! a batch starts are alike. Memory is as measured.
//! With a score of reservations beside it, give one of them more weight.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes whose measured use is low.
#[derive(Debug)]
pub struct LoadAware;

impl Policy for LoadAware {
    const NAME: &'static str = "load-aware";
    const SUMMARY: &'static str = "prefers nodes whose measured use is low";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(LoadAware)
    }
}

impl Score for LoadAware {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let state = cx.state;
        let load = state.load(node);
        let coming =
            state.starting(node) as f32 * cx.shape.spec.cpu.0 as f32 / state.cpu(node) as f32;
        1.0 - (load.cpu + coming).max(load.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Load;

    #[test]
    fn measured_use_counts_not_reservations() {
        let mut lab = Lab::new();
        lab.node("reserved", |_| {});
        lab.node("hot", |_| {});
        lab.node("starting", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "reserved", 20);
        lab.load("hot", Load { cpu: 0.9, memory: 0.2, cpu_deviation: 0.0 });
        lab.start(shape, "starting", 10);
        let [reserved, hot, starting] = lab.scores(&LoadAware, shape)[..] else { panic!() };
        assert_eq!(reserved, 1.0);
        assert!(hot < starting && starting < reserved, "{hot} {starting}");
    }

    #[test]
    fn scarce_memory_counts_too_and_starts_weigh_less_on_large_nodes() {
        let mut lab = Lab::new();
        lab.node("memory", |_| {});
        lab.node("small", |_| {});
        lab.node("large", |n| n.cpu = gapless_types::CpuMillis(40_000));
        lab.load("memory", Load { cpu: 0.1, memory: 0.8, cpu_deviation: 0.0 });
        let shape = lab.shape("a/f", |_| {});
        lab.start(shape, "small", 10);
        lab.start(shape, "large", 10);
        let [memory, small, large] = lab.scores(&LoadAware, shape)[..] else { panic!() };
        assert!((memory - 0.2).abs() < 1e-6, "{memory}");
        assert!((small - 0.75).abs() < 1e-6 && (large - 0.975).abs() < 1e-6, "{small} {large}");
    }
}
