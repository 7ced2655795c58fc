//! Prefers nodes with fewer starts under way, per core: starts on one node slow each other
//! down (AFaaS, OSDI 2025, measures how much), so a burst is served sooner when its
//! starts are apart.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with fewer starts under way.
#[derive(Debug)]
pub struct StartStormAvoidance;

impl Policy for StartStormAvoidance {
    const NAME: &'static str = "start-storm-avoidance";
    const SUMMARY: &'static str = "prefers nodes with fewer starts under way";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(StartStormAvoidance)
    }
}

impl Score for StartStormAvoidance {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let cores = (cx.state.cpu(node) as f32 / 1000.0).max(0.001);
        cx.state.starting(node) as f32 / cores
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
    fn starts_under_way_cost_running_instances_do_not() {
        let mut lab = Lab::new();
        lab.node("running", |_| {});
        lab.node("starting", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "running", 8);
        lab.start(shape, "starting", 8);
        let [running, starting] = lab.scores(&StartStormAvoidance, shape)[..] else { panic!() };
        assert_eq!(running, 1.0);
        assert!((starting - 1.0 / 3.0).abs() < 1e-6, "8 starts on 4 cores: {starting}");
    }

    #[test]
    fn starts_are_counted_per_core() {
        let mut lab = Lab::new();
        lab.node("idle", |_| {});
        lab.node("small", |_| {});
        lab.node("large", |n| n.cpu = gapless_types::CpuMillis(16_000));
        let shape = lab.shape("a/f", |_| {});
        lab.start(shape, "small", 4);
        lab.start(shape, "large", 4);
        assert_eq!(lab.scores(&StartStormAvoidance, shape), [1.0, 0.5, 0.8]);
    }
}
