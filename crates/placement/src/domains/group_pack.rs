//! Prefers the rack or zone that has more members of the instance's group (openYuanrong,
//! PACK; gangs of one job): members that talk to each other are near. At odds with
//! spreading a group, or a function.

use crate::context::Context;
use crate::policy::{DomainScore, Policy};
use crate::profile::{ParamError, Params};
use crate::state::{Domain, Level};

/// Prefers the rack or zone with more of its group.
#[derive(Debug)]
pub struct GroupPack {
    level: Level,
}

impl Policy for GroupPack {
    const NAME: &'static str = "group-pack";
    const SUMMARY: &'static str = "prefers the rack or zone with more of its group";
    const OPPOSES: &'static [&'static str] = &["group-spread", "topology-spread"];

    /// `level`: `rack` or `zone`.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        let level = params.word("level", "rack", &["rack", "zone"])?;
        Ok(GroupPack { level: if level == "rack" { Level::Rack } else { Level::Zone } })
    }
}

impl DomainScore for GroupPack {
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
        members / (members + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn members_draw() {
        let mut lab = Lab::new();
        lab.node("a", |n| n.rack = "a".into());
        lab.node("b", |n| n.rack = "b".into());
        let shape = lab.shape("x/f", |_| {});
        lab.run_group(shape, "a", 1, 7);
        let policy: GroupPack = lab.policy(&[]);
        assert_eq!(lab.domain_scores_in_group(&policy, shape, 7), [0.5, 0.0]);
        assert!(!lab.with(shape, None, |cx| policy.applies(cx)), "in no group");
    }
}
