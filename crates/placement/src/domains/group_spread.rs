//! Prefers the rack or zone that has fewer members of the instance's group (openYuanrong,
//! SPREAD): replicas of one thing do not fail together. At odds with packing a group.

use crate::context::Context;
use crate::policy::{DomainScore, Policy};
use crate::profile::{ParamError, Params};
use crate::state::{Domain, Level};

/// Prefers the rack or zone with fewer of its group.
#[derive(Debug)]
pub struct GroupSpread {
    level: Level,
}

impl Policy for GroupSpread {
    const NAME: &'static str = "group-spread";
    const SUMMARY: &'static str = "prefers the rack or zone with fewer of its group";
    const OPPOSES: &'static [&'static str] = &["group-pack"];

    /// `level`: `rack` or `zone`.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        let level = params.word("level", "rack", &["rack", "zone"])?;
        Ok(GroupSpread { level: if level == "rack" { Level::Rack } else { Level::Zone } })
    }
}

impl DomainScore for GroupSpread {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.group().is_some()
    }

    fn level(&self) -> Level {
        self.level
    }

    fn is_relative(&self) -> bool {
        false
    }

    fn score(&self, cx: &Context<'_>, domain: Domain) -> f32 {
        let members = cx.group().map_or(0, |group| group.within(domain)) as f32;
        1.0 / (1.0 + members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn members_repel() {
        let mut lab = Lab::new();
        lab.node("a", |n| n.rack = "a".into());
        lab.node("b", |n| n.rack = "b".into());
        let shape = lab.shape("x/f", |_| {});
        lab.run_group(shape, "a", 3, 7);
        let policy: GroupSpread = lab.policy(&[]);
        assert_eq!(lab.domain_scores_in_group(&policy, shape, 7), [0.25, 1.0]);
    }
}
