//! Prefers nodes where starts have not failed lately. A node that is ill often still
//! answers, and an emptied node draws every placement: without memory it would swallow
//! them (the black-hole node, known from every cluster). The cluster halves what is
//! remembered about once a minute.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes where starts have not failed lately.
#[derive(Debug)]
pub struct FailureHistory;

impl Policy for FailureHistory {
    const NAME: &'static str = "failure-history";
    const SUMMARY: &'static str = "prefers nodes where starts have not failed lately";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(FailureHistory)
    }
}

impl Score for FailureHistory {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.state.failures(node)
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 / (1.0 + raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn failures_cost_and_fade() {
        let mut lab = Lab::new();
        lab.node("well", |_| {});
        lab.node("ill", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.fail("ill");
        assert_eq!(lab.scores(&FailureHistory, shape), [1.0, 0.5]);
        lab.cluster.decay_failures();
        let faded = lab.scores(&FailureHistory, shape)[1];
        assert!(faded > 0.5 && faded < 1.0, "{faded}");
        for _ in 0..10 {
            lab.cluster.decay_failures();
        }
        assert_eq!(lab.scores(&FailureHistory, shape), [1.0, 1.0]);
    }
}
