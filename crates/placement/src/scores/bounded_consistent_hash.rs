//! Gives each function its own order of nodes, the same every time, and keeps to it while
//! the node is not overloaded (OpenWhisk's home invoker; Iluvatar's CH-RLU; rendezvous
//! hashing, Thaler and Ravishankar 1998; bounded loads, Mirrokni et al. 2018): a
//! function returns to where its code and caches are. `bound` is how many times the mean
//! number of instances a node may have. At odds with spreading a function.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Keeps a function to its own nodes while they are not overloaded.
#[derive(Debug)]
pub struct BoundedConsistentHash {
    bound: f32,
}

impl Policy for BoundedConsistentHash {
    const NAME: &'static str = "bounded-consistent-hash";
    const SUMMARY: &'static str = "keeps a function to its own nodes while they are not overloaded";
    const OPPOSES: &'static [&'static str] = &["spread-per-function"];

    /// `bound`: times the mean number of instances per node.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        Ok(BoundedConsistentHash { bound: params.number("bound", 1.25, 1.0, 100.0)? })
    }
}

impl Score for BoundedConsistentHash {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn reads_mean(&self) -> bool {
        true
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let bound = self.bound * cx.state.mean_instances().max(1.0);
        if cx.state.instances_on(node) as f32 > bound { 0.0 } else { cx.affinity(node) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn each_function_has_its_own_order() {
        let mut lab = Lab::new();
        for index in 0..20 {
            lab.node(&format!("n{index}"), |_| {});
        }
        let (f, g) = (lab.shape("a/f", |_| {}), lab.shape("a/g", |_| {}));
        let policy: BoundedConsistentHash = lab.policy(&[]);
        assert_eq!(lab.scores(&policy, f), lab.scores(&policy, f));
        assert_ne!(lab.scores(&policy, f), lab.scores(&policy, g));
    }

    #[test]
    fn the_order_is_by_name_whoever_came_first() {
        let scores = |nodes: [&'static str; 3], functions: [&'static str; 2]| {
            let mut lab = Lab::new();
            nodes.iter().for_each(|name| lab.node(name, |_| {}));
            let shapes = functions.map(|name| lab.shape(name, |_| {}));
            let of = shapes[functions.iter().position(|name| *name == "a/f").unwrap()];
            let policy: BoundedConsistentHash = lab.policy(&[]);
            let scores = lab.scores(&policy, of);
            let mut named: Vec<(&'static str, f32)> = nodes.into_iter().zip(scores).collect();
            named.sort_by_key(|(name, _)| *name);
            named
        };
        let one = scores(["n1", "n2", "n3"], ["a/f", "a/g"]);
        assert_eq!(one, scores(["n3", "n1", "n2"], ["a/g", "a/f"]));
    }

    #[test]
    fn an_overloaded_node_is_left() {
        let mut lab = Lab::new();
        lab.node("n1", |_| {});
        let shape = lab.shape("a/f", |_| {});
        let policy: BoundedConsistentHash = lab.policy(&[("bound", 2.0)]);
        lab.run(shape, "n1", 2);
        assert!(lab.scores(&policy, shape)[0] > 0.0);
        lab.run(shape, "n1", 1);
        assert_eq!(lab.scores(&policy, shape)[0], 0.0);
    }

    #[test]
    fn a_new_node_leaves_the_order_of_the_others() {
        let mut lab = Lab::new();
        for index in 0..8 {
            lab.node(&format!("n{index}"), |_| {});
        }
        let shape = lab.shape("a/f", |_| {});
        let policy: BoundedConsistentHash = lab.policy(&[]);
        let before = lab.scores(&policy, shape);
        lab.node("new", |_| {});
        assert_eq!(lab.scores(&policy, shape)[..8], before[..]);
    }

    #[test]
    fn one_instance_in_an_empty_cluster_is_no_overload() {
        let mut lab = Lab::new();
        for index in 0..20 {
            lab.node(&format!("n{index}"), |_| {});
        }
        let shape = lab.shape("a/f", |_| {});
        let policy: BoundedConsistentHash = lab.policy(&[]);
        let before = lab.scores(&policy, shape);
        lab.run(shape, "n3", 1);
        assert_eq!(lab.scores(&policy, shape), before, "the mean is 0.05");
        lab.run(shape, "n3", 1);
        assert_eq!(lab.scores(&policy, shape)[3], 0.0);
    }
}
