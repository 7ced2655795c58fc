//! Prefers the zone or rack where the functions that this one calls are (NetworkOverhead;
//! Volcano, network-topology): a call within a rack is the cheapest. For each called
//! function: the share of its instances that are there. Pulls against spreading.

use crate::context::Context;
use crate::policy::{DomainScore, Policy};
use crate::profile::{ParamError, Params};
use crate::state::{Domain, Level};

/// Prefers the zone or rack where what it calls is.
#[derive(Debug)]
pub struct NetworkCost {
    level: Level,
}

impl Policy for NetworkCost {
    const NAME: &'static str = "network-cost";
    const SUMMARY: &'static str = "prefers the zone or rack where what it calls is";

    /// `level`: `rack` or `zone`.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        let level = params.word("level", "zone", &["rack", "zone"])?;
        Ok(NetworkCost { level: if level == "rack" { Level::Rack } else { Level::Zone } })
    }
}

impl DomainScore for NetworkCost {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.shape.spec.calls.is_empty()
    }

    fn level(&self) -> Level {
        self.level
    }

    fn is_relative(&self) -> bool {
        true
    }

    fn score(&self, cx: &Context<'_>, domain: Domain) -> f32 {
        let near = cx.calls().map(|called| {
            let total = called.total().max(1) as f32;
            called.within(domain) as f32 / total
        });
        near.sum::<f32>() / cx.calls().len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn what_it_calls_draws() {
        let mut lab = Lab::new();
        lab.node("a", |n| n.zone = "a".into());
        lab.node("b", |n| n.zone = "b".into());
        let called = lab.shape("x/db", |_| {});
        lab.run(called, "a", 3);
        lab.run(called, "b", 1);
        let shape = lab.shape("x/f", |s| s.calls = vec!["x/db".into()]);
        let policy: NetworkCost = lab.policy(&[]);
        assert_eq!(lab.domain_scores(&policy, shape), [0.75, 0.25]);
        let alone = lab.shape("x/g", |_| {});
        assert!(!lab.with(alone, None, |cx| policy.applies(cx)));
    }
}
