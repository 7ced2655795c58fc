//! [`Conflicts`]: which scores pull against which, measured. For a placement to be
//! decided, every score ranks the nodes that are possible; two scores agree as far as
//! their rankings do (Spearman 1904, ties ranked alike). What the policies say of
//! themselves ([`Policy::OPPOSES`](crate::policy::Policy::OPPOSES)) is by design; this is
//! what they do to the candidates that there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::context::{Context, Sets, Shape};
use crate::plain::domain_of;
use crate::policy::bounded;
use crate::profile::Profile;
use crate::state::{NodeIndex, State};

/// Candidates that are ranked: taken evenly if there are more.
const CANDIDATES_MAX: usize = 256;
/// Fewer than this are no ranking.
const CANDIDATES_MIN: usize = 4;

/// Rank correlations of pairs of scores, over candidate sets.
#[derive(Clone, Debug, Default)]
pub struct Conflicts {
    pairs: BTreeMap<(&'static str, &'static str), (f64, u32)>,
    samples: u32,
}

/// How two scores go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// One score.
    pub one: String,
    /// The other.
    pub other: String,
    /// Mean rank correlation: -1 (opposite) to 1 (the same).
    pub correlation: f32,
    /// Candidate sets in which both told nodes apart.
    pub samples: u32,
}

impl Conflicts {
    /// Adds the candidates of a shape on this state. Every score of `profile` is asked,
    /// whatever it weighs.
    pub fn sample(&mut self, state: &State, shape: &Shape, profile: &Profile) {
        let sets = Sets::new(state, shape);
        let cx = Context::new(state, shape, None, &sets);
        let nodes = candidates(&cx);
        if nodes.len() < CANDIDATES_MIN {
            return;
        }
        self.samples += 1;
        let ranked = ranked(&cx, profile, &nodes);
        for (at, (one, ranks)) in ranked.iter().enumerate() {
            for (other, others) in &ranked[at + 1..] {
                let sum = self.pairs.entry((*one, *other)).or_default();
                sum.0 += f64::from(correlation(ranks, others));
                sum.1 += 1;
            }
        }
    }

    /// Candidate sets that were looked at.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Every pair that was seen, the most opposed first.
    pub fn pairs(&self) -> Vec<Pair> {
        let pair = |((one, other), (sum, count)): (&(&str, &str), &(f64, u32))| Pair {
            one: (*one).to_owned(),
            other: (*other).to_owned(),
            correlation: (sum / f64::from(*count)) as f32,
            samples: *count,
        };
        let mut pairs: Vec<Pair> = self.pairs.iter().map(pair).collect();
        pairs.sort_by(|a, b| a.correlation.total_cmp(&b.correlation));
        pairs
    }

    /// The pairs below a correlation of which both weigh something in a profile.
    pub fn within(&self, profile: &Profile, below: f32) -> Vec<Pair> {
        let weighs = |name: &str| profile.policies().any(|(of, w)| of == name && w > 0.0);
        let mut pairs = self.pairs();
        pairs.retain(|p| p.correlation < below && weighs(&p.one) && weighs(&p.other));
        pairs
    }
}

fn candidates(cx: &Context<'_>) -> Vec<NodeIndex> {
    let mut nodes: Vec<NodeIndex> = cx.state.nodes().collect();
    for filter in cx.shape.profile.filters.iter().filter(|filter| filter.policy.applies(cx)) {
        filter.policy.retain(cx, &mut nodes);
    }
    if nodes.len() <= CANDIDATES_MAX {
        return nodes;
    }
    (0..CANDIDATES_MAX).map(|at| nodes[at * nodes.len() / CANDIDATES_MAX]).collect()
}

/// The ranks that each score gives the nodes; scores that give all the same are left out.
fn ranked(
    cx: &Context<'_>,
    profile: &Profile,
    nodes: &[NodeIndex],
) -> Vec<(&'static str, Vec<f32>)> {
    let mut all = Vec::new();
    for score in profile.scores.iter().filter(|score| score.policy.applies(cx)) {
        let scores = nodes.iter().map(|node| score.policy.one(cx, *node)).collect();
        all.extend(ranks(scores).map(|ranks| (score.name, ranks)));
    }
    for score in profile.domains.iter().filter(|score| score.policy.applies(cx)) {
        let level = score.policy.level();
        let of =
            |node: &NodeIndex| bounded(score.policy.score(cx, domain_of(cx.state, *node, level)));
        all.extend(ranks(nodes.iter().map(of).collect()).map(|ranks| (score.name, ranks)));
    }
    all
}

/// Ranks, those of equal values their mean, less the mean of all and scaled to length 1;
/// `None` where all are equal.
fn ranks(values: Vec<f32>) -> Option<Vec<f32>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0_f32; values.len()];
    let mut at = 0;
    while at < order.len() {
        let same = order[at..].iter().take_while(|i| values[**i] == values[order[at]]).count();
        let rank = at as f32 + (same as f32 - 1.0) / 2.0;
        order[at..at + same].iter().for_each(|i| ranks[*i] = rank);
        at += same;
    }
    let mean = (values.len() as f32 - 1.0) / 2.0;
    ranks.iter_mut().for_each(|rank| *rank -= mean);
    let length = ranks.iter().map(|rank| rank * rank).sum::<f32>().sqrt();
    (length > 1e-6).then(|| ranks.iter().map(|rank| rank / length).collect())
}

fn correlation(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn ranks_are_what_spearman_says() {
        let of = |values: &[f32]| ranks(values.to_vec()).unwrap();
        let up = of(&[1.0, 2.0, 3.0, 10.0]);
        assert!((correlation(&up, &of(&[0.1, 0.2, 0.9, 100.0])) - 1.0).abs() < 1e-6);
        assert!((correlation(&up, &of(&[4.0, 3.0, 2.0, 1.0])) + 1.0).abs() < 1e-6);
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        assert!((correlation(&up, &of(&[0.0, 5.0, 5.0, 6.0])) - 0.948_683).abs() < 1e-5);
        assert!(ranks(vec![2.0; 5]).is_none());
    }

    #[test]
    fn what_packs_and_what_spreads_are_found_opposed() {
        let profile = Arc::new(Profile::balanced());
        let (state, shape) = crate::reference(&profile);
        let mut conflicts = Conflicts::default();
        conflicts.sample(&state, &shape, &profile);
        let pairs = conflicts.pairs();
        let of = |one: &str, other: &str| {
            let is_it = |p: &&Pair| {
                (p.one == one && p.other == other) || (p.one == other && p.other == one)
            };
            pairs.iter().find(is_it).unwrap().correlation
        };
        assert!(of("least-allocated", "most-allocated") < -0.99);
        assert!(of("least-allocated", "power-cap") > 0.2);
        assert!(pairs[0].correlation <= pairs[1].correlation);
        let own = conflicts.within(&Profile::default_profile(), -0.1);
        assert!(
            own.iter().all(|pair| pair.one != "most-allocated" && pair.other != "most-allocated")
        );
    }
}
