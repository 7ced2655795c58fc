//! Prefers nodes whose labels satisfy what an instance would like (Kubernetes, preferred
//! node affinity; OpenWhisk and openYuanrong, relaxed tags), by the weights it gives.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with the labels it would like.
#[derive(Debug)]
pub struct PreferredLabels;

impl Policy for PreferredLabels {
    const NAME: &'static str = "preferred-labels";
    const SUMMARY: &'static str = "prefers nodes with the labels it would like";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(PreferredLabels)
    }
}

impl Score for PreferredLabels {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.prefer().is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.prefer()
            .iter()
            .map(|(nodes, share)| if nodes.contains(node) { *share } else { 0.0 })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::shape::Requirement;

    #[test]
    fn preferences_count_by_weight() {
        let mut lab = Lab::new();
        lab.node("none", |_| {});
        lab.node("ssd", |n| drop(n.labels.insert("disk".into(), "ssd".into())));
        lab.node("arm", |n| drop(n.labels.insert("arch".into(), "arm".into())));
        let shape = lab.shape("a/f", |s| {
            let prefer = |key, value, weight| (Requirement::is(key, value), weight);
            s.prefer = vec![prefer("disk", "ssd", 3.0), prefer("arch", "arm", 1.0)];
        });
        assert_eq!(lab.scores(&PreferredLabels, shape), [0.0, 0.75, 0.25]);
        let plain = lab.shape("a/g", |_| {});
        assert!(!lab.applies(&PreferredLabels, plain));
    }
}
