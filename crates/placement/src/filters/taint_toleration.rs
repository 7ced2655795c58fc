//! Keeps instances off nodes with a `NoSchedule` taint that they do not tolerate
//! (Kubernetes, TaintToleration). `PreferNoSchedule` is
//! [`TaintPreference`](crate::scores::TaintPreference)'s.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node's NoSchedule taints must be tolerated.
#[derive(Debug)]
pub struct TaintToleration;

impl Policy for TaintToleration {
    const NAME: &'static str = "taint-toleration";
    const SUMMARY: &'static str = "a node's NoSchedule taints must be tolerated";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(TaintToleration)
    }
}

impl Filter for TaintToleration {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.tolerates(node)
    }

    fn lacking(&self, _: &Context<'_>) -> String {
        "with a taint it does not tolerate".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::{Taint, TaintEffect};
    use crate::shape::Toleration;

    #[test]
    fn every_strict_taint_must_be_tolerated() {
        let taint = |key: &str, effect| Taint { key: key.into(), value: String::new(), effect };
        let mut lab = Lab::new();
        lab.node("plain", |_| {});
        lab.node("gpu", |n| n.taints = vec![taint("gpu", TaintEffect::NoSchedule)]);
        lab.node("soft", |n| n.taints = vec![taint("old", TaintEffect::PreferNoSchedule)]);
        lab.node("two", |n| {
            n.taints = ["gpu", "spot"].map(|key| taint(key, TaintEffect::NoSchedule)).to_vec();
        });
        let plain = lab.shape("a/f", |_| {});
        assert_eq!(lab.passes(&TaintToleration, plain), [true, false, true, false]);
        let gpu = Toleration { key: Some("gpu".into()), value: None, effect: None };
        let tolerant = lab.shape("a/g", |s| s.tolerate = vec![gpu]);
        assert_eq!(lab.passes(&TaintToleration, tolerant), [true, true, true, false]);
    }
}
