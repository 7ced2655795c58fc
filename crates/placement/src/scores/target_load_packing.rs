//! Packs up to a target use of the processor and spreads beyond it (Trimaran,
//! TargetLoadPacking): nodes are filled, but not so far that a burst on one hurts. Looks
//! at what is measured, or reserved where that is more. It is a compromise between
//! packing and spreading: alone with either it only bends it.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Packs up to a target use of the processor, spreads beyond it.
#[derive(Debug)]
pub struct TargetLoadPacking {
    target: f32,
}

impl Policy for TargetLoadPacking {
    const NAME: &'static str = "target-load-packing";
    const SUMMARY: &'static str = "packs up to a target use of the processor, spreads beyond it";
    const OPPOSES: &'static [&'static str] = &["least-allocated", "most-allocated"];

    /// `target`: the share of the processor up to which nodes are filled.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        Ok(TargetLoadPacking { target: params.number("target", 0.4, 0.05, 0.95)? })
    }
}

impl Score for TargetLoadPacking {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let (state, spec) = (cx.state, &cx.shape.spec);
        let more = spec.cpu.0 as f32 / state.cpu(node) as f32;
        state.cpu_reserved_share(node).max(state.load(node).cpu) + more
    }

    fn normalise(&self, raw: f32) -> f32 {
        let (used, target) = (raw, self.target);
        if used <= target {
            return target + (1.0 - target) * used / target;
        }
        target * (1.0 - used) / (1.0 - target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use gapless_types::CpuMillis;

    #[test]
    fn best_at_the_target_and_falling_beyond() {
        let mut lab = Lab::new();
        for name in ["empty", "low", "high"] {
            lab.node(name, |n| n.cpu = CpuMillis(1000));
        }
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "low", 3);
        lab.run(shape, "high", 8);
        let policy: TargetLoadPacking = lab.policy(&[("target", 0.4)]);
        let [empty, low, high] = lab.scores(&policy, shape)[..] else { panic!() };
        assert!((low - 1.0).abs() < 1e-5, "at the target: {low}");
        assert!(empty > high && low > empty, "{empty} {low} {high}");
    }

    #[test]
    fn what_is_measured_counts_where_it_is_more() {
        let mut lab = Lab::new();
        for name in ["unmeasured", "hot", "over"] {
            lab.node(name, |n| n.cpu = CpuMillis(1000));
        }
        lab.load("hot", crate::node::Load { cpu: 0.6, memory: 0.0, cpu_deviation: 0.0 });
        lab.load("over", crate::node::Load { cpu: 1.0, memory: 0.0, cpu_deviation: 0.0 });
        let shape = lab.shape("a/f", |_| {});
        let policy: TargetLoadPacking = lab.policy(&[]);
        let [unmeasured, hot, over] = lab.scores(&policy, shape)[..] else { panic!() };
        assert!((unmeasured - 0.55).abs() < 1e-5, "{unmeasured}");
        assert!((hot - 0.2).abs() < 1e-5, "{hot}");
        assert_eq!(over, 0.0);
    }
}
