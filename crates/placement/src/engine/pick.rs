//! [`pick`]: nodes for a lot of alike instances, one after the other. The best node
//! is taken from the ranking, what the instance occupies is reserved in the state,
//! and then only what that placement changed is computed anew: this node's key, and
//! the terms of its domain.

use crate::context::{Context, GroupRef, Sets, Shape, mix};
use crate::policy::{Grant, bounded};
use crate::registry::RESERVES;
use crate::state::{NodeIndex, State};

use super::plan::Plan;
use super::ranking::{NOT_POSSIBLE, Ranking, score, term};
use super::sample::Pulls;

/// Possible nodes that a choice is drawn from.
const DRAWN: usize = 4;
/// Nodes looked at to find them.
const DRAWS_MAX: u64 = 16;

/// A lot: alike instances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lot<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) group: Option<GroupRef>,
    pub(crate) sets: &'a Sets,
    pub(crate) plan: &'a Plan,
    pub(crate) seed: u64,
}

/// One chosen node, reserved in the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pick {
    pub(crate) node: NodeIndex,
    pub(crate) grant: Grant,
    pub(crate) score: f32,
}

/// Room to work in, kept between lots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) ranking: Ranking,
    pub(crate) positions: Vec<u32>,
    pub(crate) nodes: Vec<NodeIndex>,
    pub(crate) pulls: Pulls,
    terms: Vec<u64>,
    drawn: Vec<(usize, NodeIndex)>,
    drawn_nodes: Vec<NodeIndex>,
}

impl<'a> Lot<'a> {
    pub(crate) fn context(&self, state: &'a State) -> Context<'a> {
        Context::new(state, self.shape, self.group, self.sets)
    }
}

/// Picks up to `count` nodes, reserving each in `state`.
pub(crate) fn pick(
    state: &mut State,
    lot: &Lot<'_>,
    ranking: &mut Ranking,
    count: usize,
    scratch: &mut Scratch,
    picks: &mut Vec<Pick>,
) {
    let mut next = {
        let cx = lot.context(state);
        compute_terms(&cx, lot.plan, ranking, &mut scratch.terms);
        choose(&cx, lot, ranking, scratch)
    };
    for left in (0..count).rev() {
        let Some((leaf, bucket, chosen_key)) = next else { return };
        let node = ranking.nodes[leaf];
        let mut grant =
            Grant { group: lot.group.map_or(0, |group| group.mark + 1), ..Grant::default() };
        occupy(state, lot.shape, node, &mut grant);
        picks.push(Pick { node, grant, score: score(chosen_key).min(1.0) });
        let cx = lot.context(state);
        ranking.set(leaf, bucket, lot.plan.reevaluate(&cx, node, ranking.fixed_of(leaf)));
        if left == 0 {
            // The ranking is kept, with its last placement in it.
            return;
        }
        if lot.plan.has_relative_domains {
            compute_terms(&cx, lot.plan, ranking, &mut scratch.terms);
        } else if !lot.plan.domains.is_empty() {
            scratch.terms[bucket] = bucket_term(&cx, lot.plan, ranking, bucket);
        }
        next = choose(&cx, lot, ranking, scratch);
    }
}

/// The best node now: `(leaf, bucket, key and term)`.
fn choose(
    cx: &Context<'_>,
    lot: &Lot<'_>,
    ranking: &Ranking,
    scratch: &mut Scratch,
) -> Option<(usize, usize, u64)> {
    let Scratch { terms, drawn, drawn_nodes, .. } = scratch;
    let best = ranking.best(terms)?;
    if lot.plan.choices.is_empty() {
        return Some(best);
    }
    let draw = mix(lot.seed ^ u64::from(cx.state.decisions) << 20);
    Some(favour(cx, lot.plan, ranking, terms, draw, best, (drawn, drawn_nodes)))
}

/// Reserves what an instance occupies and notes the decision.
pub(crate) fn occupy(state: &mut State, shape: &Shape, node: NodeIndex, grant: &mut Grant) {
    for reserve in RESERVES {
        reserve.reserve(state, shape, node, grant);
    }
    state.decisions += 1;
    let decision = state.decisions;
    let (usage, at) = state.usage_mut(node);
    usage.chosen_at[at] = decision;
}

fn compute_terms(cx: &Context<'_>, plan: &Plan, ranking: &Ranking, terms: &mut Vec<u64>) {
    terms.clear();
    terms.extend((0..ranking.buckets.len()).map(|at| bucket_term(cx, plan, ranking, at)));
}

fn bucket_term(cx: &Context<'_>, plan: &Plan, ranking: &Ranking, bucket: usize) -> u64 {
    let Some(domain) = ranking.buckets[bucket].domain else { return 0 };
    let sum = plan.domains.iter().map(|(index, weight)| {
        let policy = &cx.shape.profile.domains[*index as usize].policy;
        let domain = match policy.level() {
            crate::state::Level::Zone => crate::state::Domain { rack: None, ..domain },
            crate::state::Level::Rack => domain,
        };
        weight * bounded(policy.score(cx, domain))
    });
    term(sum.sum())
}

/// The best once this decision's favourites have their bonus.
fn favour(
    cx: &Context<'_>,
    plan: &Plan,
    ranking: &Ranking,
    terms: &[u64],
    draw: u64,
    best: (usize, usize, u64),
    (drawn, nodes): (&mut Vec<(usize, NodeIndex)>, &mut Vec<NodeIndex>),
) -> (usize, usize, u64) {
    drawn.clear();
    nodes.clear();
    for probe in 0..DRAWS_MAX {
        // A random index without a division (Lemire 2019).
        let random = mix(draw.wrapping_add(probe)) >> 32;
        let leaf = (random as usize * ranking.nodes.len()) >> 32;
        if ranking.key_of(leaf) != NOT_POSSIBLE {
            drawn.push((leaf, ranking.nodes[leaf]));
            nodes.push(ranking.nodes[leaf]);
        }
        if drawn.len() == DRAWN {
            break;
        }
    }
    if drawn.is_empty() {
        return best;
    }
    let favoured = plan.choices.iter().map(|(index, weight)| {
        let policy = &cx.shape.profile.choices[*index as usize].policy;
        (policy.favourite(cx, draw, nodes) % drawn.len(), *weight)
    });
    let favoured: smallvec::SmallVec<[(usize, f32); 2]> = favoured.collect();
    let bonus = |leaf: usize| -> u64 {
        favoured.iter().filter(|(at, _)| drawn[*at].0 == leaf).map(|(_, w)| term(*w)).sum()
    };
    let with_bonus = |leaf: usize| {
        let bucket = ranking.bucket_of(leaf);
        (leaf, bucket, ranking.key_of(leaf) + terms[bucket] + bonus(leaf))
    };
    let candidates = favoured.iter().map(|(at, _)| with_bonus(drawn[*at].0));
    candidates.chain([with_bonus(best.0)]).max_by_key(|(_, _, key)| *key).unwrap_or(best)
}
