//! Prefers nodes without `PreferNoSchedule` taints that are not tolerated (Kubernetes,
//! TaintToleration's score).

use crate::context::Context;
use crate::node::TaintEffect;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes without soft taints it does not tolerate.
#[derive(Debug)]
pub struct TaintPreference;

impl Policy for TaintPreference {
    const NAME: &'static str = "taint-preference";
    const SUMMARY: &'static str = "prefers nodes without soft taints it does not tolerate";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(TaintPreference)
    }
}

impl Score for TaintPreference {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let tolerate = &cx.shape.spec.tolerate;
        let soft =
            cx.state.taints(node).iter().filter(|t| t.effect == TaintEffect::PreferNoSchedule);
        soft.filter(|taint| !tolerate.iter().any(|t| t.covers(taint))).count() as f32
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 / (1.0 + raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Taint;
    use crate::shape::Toleration;

    #[test]
    fn each_soft_taint_costs() {
        let taint = |key: &str| Taint {
            key: key.into(),
            value: String::new(),
            effect: TaintEffect::PreferNoSchedule,
        };
        let mut lab = Lab::new();
        lab.node("clean", |_| {});
        lab.node("one", |n| n.taints = vec![taint("old")]);
        lab.node("two", |n| n.taints = vec![taint("old"), taint("slow")]);
        let shape = lab.shape("a/f", |_| {});
        let [clean, one, two] = lab.scores(&TaintPreference, shape)[..] else { panic!() };
        assert!(clean == 1.0 && one < clean && two < one);
        let old = Toleration { key: Some("old".into()), value: None, effect: None };
        let tolerant = lab.shape("a/g", |s| s.tolerate = vec![old]);
        assert_eq!(lab.scores(&TaintPreference, tolerant)[1], 1.0);
    }

    #[test]
    fn hard_taints_are_left_to_the_filter() {
        let mut lab = Lab::new();
        lab.node("hard", |n| {
            let effect = TaintEffect::NoSchedule;
            n.taints = vec![Taint { key: "gpu".into(), value: String::new(), effect }];
        });
        let shape = lab.shape("a/f", |_| {});
        assert_eq!(lab.scores(&TaintPreference, shape), [1.0]);
    }
}
