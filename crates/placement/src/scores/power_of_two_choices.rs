//! Favours the emptier of two nodes drawn at random (Mitzenmacher 2001; Dirigent's and
//! Knative's baselines): nearly as even as looking at all of them, and placements
//! decided on an old view do not all go to the same node.

use crate::context::{Context, mix};
use crate::policy::{ChoiceScore, Policy};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Two draws, the emptier wins.
#[derive(Debug)]
pub struct PowerOfTwoChoices;

impl Policy for PowerOfTwoChoices {
    const NAME: &'static str = "power-of-two-choices";
    const SUMMARY: &'static str = "favours the emptier of two nodes drawn at random";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(PowerOfTwoChoices)
    }
}

impl ChoiceScore for PowerOfTwoChoices {
    fn favourite(&self, cx: &Context<'_>, draw: u64, nodes: &[NodeIndex]) -> usize {
        let count = nodes.len();
        let (one, other) = (mix(draw) as usize % count, mix(!draw) as usize % count);
        let used = |at: usize| {
            let node = nodes[at];
            cx.state.cpu_reserved_share(node).max(cx.state.memory_reserved_share(node))
        };
        if used(one) <= used(other) { one } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_emptier_of_the_two_is_favoured() {
        let mut lab = Lab::new();
        lab.node("full", |_| {});
        lab.node("empty", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "full", 10);
        let nodes: Vec<NodeIndex> = lab.cluster.state().nodes().collect();
        let empty = (0..100).filter(|draw| {
            lab.with(shape, None, |cx| PowerOfTwoChoices.favourite(cx, *draw, &nodes)) == 1
        });
        // Both draws are the full one in about a quarter of the cases.
        let empty = empty.count();
        assert!((60..=90).contains(&empty), "{empty}");
    }

    #[test]
    fn alike_nodes_share_the_favour_and_a_lone_one_has_it() {
        let mut lab = Lab::new();
        for name in ["n0", "n1", "n2", "n3"] {
            lab.node(name, |_| {});
        }
        let shape = lab.shape("a/f", |_| {});
        let nodes: Vec<NodeIndex> = lab.cluster.state().nodes().collect();
        let favourite = |draw, nodes: &[NodeIndex]| {
            lab.with(shape, None, |cx| PowerOfTwoChoices.favourite(cx, draw, nodes))
        };
        let mut favours = [0_u32; 4];
        (0..4000).for_each(|draw| favours[favourite(draw, &nodes)] += 1);
        assert!(favours.iter().all(|count| (800..=1200).contains(count)), "{favours:?}");
        assert!((0..100).all(|draw| favourite(draw, &nodes[..1]) == 0));
        assert_eq!(favourite(7, &nodes), favourite(7, &nodes));
    }
}
