//! Prefers nodes that would stay farthest below their power cap (Peaks; Iluvatar and
//! vHive, power managers). Draw is taken to grow in a straight line with the processor in
//! use, from idle to full. A node that does not say is as good as one far below its cap.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes that stay well below their power cap.
#[derive(Debug)]
pub struct PowerCap;

impl Policy for PowerCap {
    const NAME: &'static str = "power-cap";
    const SUMMARY: &'static str = "prefers nodes that stay well below their power cap";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(PowerCap)
    }
}

impl Score for PowerCap {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let power = cx.state.power(node);
        if power.cap_watts <= 0.0 {
            return 0.0;
        }
        let more = cx.shape.spec.cpu.0 as f32 / cx.state.cpu(node) as f32;
        let used = (cx.state.cpu_reserved_share(node) + more).min(1.0);
        (power.idle_watts + (power.max_watts - power.idle_watts) * used) / power.cap_watts
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 - raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Power;

    #[test]
    fn nearer_the_cap_is_worse() {
        let power = |cap_watts| Some(Power { idle_watts: 50.0, max_watts: 250.0, cap_watts });
        let mut lab = Lab::new();
        lab.node("unknown", |_| {});
        lab.node("roomy", |n| n.power = power(400.0));
        lab.node("tight", |n| n.power = power(60.0));
        let shape = lab.shape("a/f", |_| {});
        let [unknown, roomy, tight] = lab.scores(&PowerCap, shape)[..] else { panic!() };
        assert!(unknown == 1.0 && roomy > tight && tight > 0.0, "{roomy} {tight}");
        lab.run(shape, "tight", 10);
        assert_eq!(lab.scores(&PowerCap, shape)[2], 0.0, "beyond its cap");
    }
}
