//! Prefers nodes where use is low and steady (Trimaran, LoadVariationRiskBalancing and
//! LowRiskOverCommitment): mean plus deviation of the measured use is the risk that what
//! is reserved in excess is wanted at once. A monopoly leaves it nothing to choose.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes whose measured use is low and steady.
#[derive(Debug)]
pub struct LowRiskOvercommit {
    deviations: f32,
}

impl Policy for LowRiskOvercommit {
    const NAME: &'static str = "low-risk-overcommit";
    const SUMMARY: &'static str = "prefers nodes whose measured use is low and steady";

    /// `deviations`: how many standard deviations above the mean count as risk.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        Ok(LowRiskOvercommit { deviations: params.number("deviations", 1.0, 0.0, 10.0)? })
    }
}

impl Score for LowRiskOvercommit {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let load = cx.state.load(node);
        let reserved = (cx.state.cpu_reserved_share(node) - 1.0).max(0.0);
        1.0 - (load.cpu + self.deviations * load.cpu_deviation + reserved) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Load;

    #[test]
    fn unsteady_use_costs() {
        let mut lab = Lab::new();
        lab.node("steady", |_| {});
        lab.node("unsteady", |_| {});
        lab.load("steady", Load { cpu: 0.5, memory: 0.1, cpu_deviation: 0.0 });
        lab.load("unsteady", Load { cpu: 0.5, memory: 0.1, cpu_deviation: 0.4 });
        let shape = lab.shape("a/f", |_| {});
        let policy: LowRiskOvercommit = lab.policy(&[]);
        let [steady, unsteady] = lab.scores(&policy, shape)[..] else { panic!() };
        assert!(steady > unsteady, "{steady} {unsteady}");
        let blind: LowRiskOvercommit = lab.policy(&[("deviations", 0.0)]);
        assert_eq!(lab.scores(&blind, shape)[0], lab.scores(&blind, shape)[1]);
    }

    #[test]
    fn low_use_is_best_and_reservations_beyond_capacity_cost() {
        let mut lab = Lab::new();
        for name in ["unmeasured", "busy", "shrunk"] {
            lab.node(name, |_| {});
        }
        lab.load("busy", Load { cpu: 0.6, memory: 0.1, cpu_deviation: 0.0 });
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "shrunk", 15);
        lab.node("shrunk", |n| n.cpu = gapless_types::CpuMillis(1000));
        let policy: LowRiskOvercommit = lab.policy(&[]);
        let [unmeasured, busy, shrunk] = lab.scores(&policy, shape)[..] else { panic!() };
        assert_eq!(unmeasured, 1.0);
        assert!((busy - 0.7).abs() < 1e-6, "{busy}");
        assert!((shrunk - 0.75).abs() < 1e-6, "1500m reserved of 1000m: {shrunk}");
    }
}
