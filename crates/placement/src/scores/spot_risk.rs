//! Prefers nodes that are unlikely to be taken away (spot and preemptible machines): the
//! chance is the node's own statement, from its provider's notices and history.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes that are unlikely to be taken away.
#[derive(Debug)]
pub struct SpotRisk;

impl Policy for SpotRisk {
    const NAME: &'static str = "spot-risk";
    const SUMMARY: &'static str = "prefers nodes that are unlikely to be taken away";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(SpotRisk)
    }
}

impl Score for SpotRisk {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.state.spot_risk(node)
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 - raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn likely_loss_costs() {
        let mut lab = Lab::new();
        lab.node("owned", |_| {});
        lab.node("spot", |n| n.spot_risk = 0.25);
        let shape = lab.shape("a/f", |_| {});
        assert_eq!(lab.scores(&SpotRisk, shape), [1.0, 0.75]);
    }

    #[test]
    fn certain_loss_is_worst() {
        let mut lab = Lab::new();
        lab.node("doomed", |n| n.spot_risk = 1.0);
        let shape = lab.shape("a/f", |_| {});
        assert_eq!(lab.scores(&SpotRisk, shape), [0.0]);
    }
}
