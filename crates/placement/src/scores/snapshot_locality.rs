//! Prefers nodes with a snapshot or zygote the instance can start from (vHive; Dirigent's
//! created snapshots; OpenLambda's zygote trees). The nearest ancestor on the node
//! counts: its own 1, its parent's a half, and so on: each step up leaves more to load.
//! Keeps a function where it was, which spreading does not.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with its snapshot, or the nearest ancestor's.
#[derive(Debug)]
pub struct SnapshotLocality;

impl Policy for SnapshotLocality {
    const NAME: &'static str = "snapshot-locality";
    const SUMMARY: &'static str = "prefers nodes with its snapshot, or the nearest ancestor's";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(SnapshotLocality)
    }
}

impl Score for SnapshotLocality {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.snapshots().is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let nearest = cx.snapshots().iter().position(|nodes| nodes.contains(node));
        nearest.map_or(0.0, |steps| 0.5_f32.powi(steps as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Held;

    #[test]
    fn the_nearest_ancestor_wins() {
        let mut lab = Lab::new();
        for name in ["none", "own", "parent", "both"] {
            lab.node(name, |_| {});
        }
        for (node, snapshot) in
            [("own", "f"), ("parent", "python"), ("both", "python"), ("both", "f")]
        {
            lab.hold(node, Held::Snapshot, snapshot);
        }
        let shape = lab.shape("a/f", |s| s.snapshots = vec!["f".into(), "python".into()]);
        assert_eq!(lab.scores(&SnapshotLocality, shape), [0.0, 1.0, 0.5, 1.0]);
    }

    #[test]
    fn each_step_up_halves_and_without_snapshots_it_is_silent() {
        let mut lab = Lab::new();
        lab.node("grandparent", |_| {});
        lab.hold("grandparent", Held::Snapshot, "base");
        lab.hold("grandparent", Held::Image, "f");
        let names = ["f", "python", "base"];
        let shape = lab.shape("a/f", |s| s.snapshots = names.map(Into::into).to_vec());
        assert_eq!(lab.scores(&SnapshotLocality, shape), [0.25]);
        let plain = lab.shape("a/g", |_| {});
        assert!(!lab.applies(&SnapshotLocality, plain));
    }
}
