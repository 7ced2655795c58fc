//! Prefers nodes with an idle instance of the function, or what is left of one to take
//! over (OpenWhisk and Iluvatar, warm containers first; Fission, pool manager). It must
//! come before what spreads: give it `before`, or weight.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with an idle instance of the function.
#[derive(Debug)]
pub struct WarmFirst;

impl Policy for WarmFirst {
    const NAME: &'static str = "warm-first";
    const SUMMARY: &'static str = "prefers nodes with an idle instance of the function";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(WarmFirst)
    }
}

impl Score for WarmFirst {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.idle().on(node) as f32
    }

    fn normalise(&self, raw: f32) -> f32 {
        raw.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn idle_instances_draw() {
        let mut lab = Lab::new();
        lab.node("busy", |_| {});
        lab.node("idle", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "busy", 1);
        lab.idle(shape, "idle", 2);
        assert_eq!(lab.scores(&WarmFirst, shape), [0.0, 1.0]);
        let other = lab.shape("a/g", |_| {});
        assert_eq!(lab.scores(&WarmFirst, other), [0.0, 0.0]);
    }
}
