//! Prefers the zone (or rack) with fewer instances of the function (Kubernetes,
//! PodTopologySpread with ScheduleAnyway): when a zone fails, most of the function
//! is elsewhere. At odds with keeping a function together.

use crate::context::Context;
use crate::policy::{DomainScore, Policy};
use crate::profile::{ParamError, Params};
use crate::state::{Domain, Level};

/// How far a domain's count is below or above the mean, in units of `skew`.
#[derive(Debug)]
pub struct TopologySpread {
    level: Level,
    skew: f32,
}

impl Policy for TopologySpread {
    const NAME: &'static str = "topology-spread";
    const SUMMARY: &'static str = "prefers the zone or rack with fewer instances of the function";
    const OPPOSES: &'static [&'static str] = &["group-pack", "most-allocated"];

    /// `level`: `zone` or `rack`. `skew`: instances above the mean at which a domain
    /// scores worst.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        let level = params.word("level", "zone", &["zone", "rack"])?;
        let level = if level == "zone" { Level::Zone } else { Level::Rack };
        Ok(TopologySpread { level, skew: params.number("skew", 8.0, 1.0, 1e6)? })
    }
}

impl DomainScore for TopologySpread {
    fn level(&self) -> Level {
        self.level
    }

    fn is_relative(&self) -> bool {
        true
    }

    fn score(&self, cx: &Context<'_>, domain: Domain) -> f32 {
        let domains = match self.level {
            Level::Zone => cx.state.zones(),
            Level::Rack => cx.state.racks(),
        };
        let function = cx.function();
        let mean = function.total() as f32 / domains.max(1) as f32;
        let above = function.within(domain) as f32 - mean;
        (0.5 - above / (2.0 * self.skew)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_zone_with_fewer_scores_higher() {
        let mut lab = Lab::new();
        lab.node("a1", |n| n.zone = "a".into());
        lab.node("b1", |n| n.zone = "b".into());
        let shape = lab.shape("x/f", |_| {});
        lab.run(shape, "a1", 3);
        let spread = lab.policy::<TopologySpread>(&[]);
        let [a, b] = lab.domain_scores(&spread, shape)[..] else { panic!() };
        assert!(a < 0.5 && b > 0.5, "{a} {b}");
    }
}
