//! Which nodes to look at when looking at all of them is too much: an even sample,
//! and the few that something draws the shape to.
//!
//! *Even*: `k` of the possible nodes at equal steps through the [`Layout`], from a
//! start that moves on with every lot, so that every zone and rack is in it in
//! proportion. The best of `k` is in the best share `q` of all nodes with
//! probability `1 - (1-q)^k`: with 128, in the best 3% in 98 of 100 cases.
//!
//! *Drawn to*: a few nodes can be far better than all others because they have an
//! image, a snapshot, an idle instance, data, or a preferred label. An even sample
//! would miss them; the sets of who has what name them, and those that are in several
//! such sets are looked at first. Twice as many of these: what most placements differ
//! in is what nodes hold. `docs/placement.md` has both measured, together.

use crate::context::{Context, mix};
use crate::state::{NodeIndex, NodeSet};

use super::layout::Layout;

/// Nodes that are weighed for it.
const PULLED_MAX: usize = 8_192;
/// A set of which the sample has this many nodes or more need not be looked into.
const SELDOM: usize = 16;
/// Nor one that has this part of all nodes, however small the sample: going through it
/// would cost more than the sample.
const SELDOM_PART: usize = 8;
/// Where at least one node in so many is possible, the next possible one is looked for
/// from each step; where fewer are, they are listed first.
const DENSE: usize = 8;
/// Positions looked at for one step of the sample before it is given up.
const PROBES_MAX: usize = 64;

/// How to sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Nodes wanted of the even sample.
    pub(crate) count: usize,
    /// Nodes wanted of those that draw the shape.
    pub(crate) drawn: usize,
    /// Where it begins.
    pub(crate) seed: u64,
    /// Which of how many interleaved shards of the nodes it is taken from.
    pub(crate) shard: (usize, usize),
}

/// Positions in the layout of nodes to look at, ascending, into `out`. They answer,
/// take instances and satisfy what the shape requires of labels; other filters have
/// not been asked.
pub(crate) fn sample(
    cx: &Context<'_>,
    layout: &Layout,
    how: Sampling,
    pulls: &mut Pulls,
    out: &mut Vec<u32>,
) {
    out.clear();
    let state = cx.state;
    let is_open = |node: NodeIndex| {
        state.healthy.contains(node)
            && !state.cordoned.contains(node)
            && cx.require().iter().all(|set| set.contains(node))
    };
    let possible = possible(cx);
    let count = possible.len();
    if count * DENSE >= layout.order.len() {
        even(&layout.order, how, is_open, out);
    } else {
        let mut positions: Vec<u32> = positions(layout, possible.iter()).collect();
        positions.sort_unstable();
        even(&positions, how, |_| true, out);
        for at in out.iter_mut() {
            *at = positions[*at as usize];
        }
    }
    draw(cx, layout, how, is_open, pulls, out);
    out.sort_unstable();
    out.dedup();
}

/// The nodes that answer, take instances and satisfy every requirement.
fn possible(cx: &Context<'_>) -> NodeSet {
    let mut possible = NodeSet::default();
    possible.copy_from(&cx.state.healthy);
    possible.subtract(&cx.state.cordoned);
    for set in cx.require() {
        possible.intersect(set);
    }
    possible
}

fn positions(layout: &Layout, nodes: impl Iterator<Item = NodeIndex>) -> impl Iterator<Item = u32> {
    nodes.filter_map(|node| layout.position(node).map(|at| at as u32))
}

/// Nodes that several sets draw the shape to, by how strongly.
fn draw(
    cx: &Context<'_>,
    layout: &Layout,
    how: Sampling,
    is_open: impl Fn(NodeIndex) -> bool,
    pulls: &mut Pulls,
    out: &mut Vec<u32>,
) {
    let all = layout.order.len();
    let seldom = (all * SELDOM / how.count.max(1)).min(all / SELDOM_PART);
    let snapshots = cx.snapshots().iter().zip(0..).map(|(set, up)| (&**set, 0.5_f32.powi(up)));
    let single = cx.image().into_iter().chain(cx.pool()).map(|set| (set, 1.0));
    let weighted = cx.data().iter().chain(cx.prefer()).map(|(set, share)| (&**set, *share));
    for (set, pull) in snapshots.chain(single).chain(weighted) {
        // What many nodes have, the sample has too.
        if set.len() <= seldom {
            set.iter().for_each(|node| pulls.add(node, pull));
        }
    }
    cx.idle().nodes().take(PULLED_MAX).for_each(|node| pulls.add(node, 1.0));
    let drawn = pulls.take_strongest(how.drawn);
    out.extend(positions(layout, drawn.filter(|node| is_open(*node))));
}

/// How strongly nodes draw, by node; empty between lots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulls {
    by_node: Vec<f32>,
    pulled: Vec<NodeIndex>,
}

impl Pulls {
    fn add(&mut self, node: NodeIndex, pull: f32) {
        if self.by_node.len() <= node.index() {
            self.by_node.resize(node.index() + 1, 0.0);
        }
        let sum = &mut self.by_node[node.index()];
        if *sum == 0.0 {
            if self.pulled.len() >= PULLED_MAX {
                return;
            }
            self.pulled.push(node);
        }
        *sum += pull;
    }

    /// The strongest, in no particular order; nothing is left after.
    fn take_strongest(&mut self, count: usize) -> impl Iterator<Item = NodeIndex> {
        let by_node = &mut self.by_node;
        if self.pulled.len() > count {
            // Ties by number, so that the outcome is the same everywhere.
            self.pulled.select_nth_unstable_by(count, |a, b| {
                by_node[b.index()].total_cmp(&by_node[a.index()]).then(a.cmp(b))
            });
        }
        for node in &self.pulled {
            by_node[node.index()] = 0.0;
        }
        self.pulled.truncate(count);
        self.pulled.drain(..)
    }
}

/// Indexes of `items`, at equal steps; where an item is not open, the next that is.
fn even<T: Copy>(items: &[T], how: Sampling, is_open: impl Fn(T) -> bool, out: &mut Vec<u32>) {
    let (shard, shards) = how.shard;
    let len = items.len() / shards + usize::from(shard < items.len() % shards);
    let count = how.count.min(len);
    if count == 0 {
        return;
    }
    let start = mix(how.seed) as usize % len;
    for step in 0..count {
        let first = start + step * len / count;
        // Up to the next step's first, so that no node is taken twice.
        let last = (start + (step + 1) * len / count).min(first + PROBES_MAX);
        let probed = (first..last).map(|at| at % len * shards + shard);
        out.extend(probed.filter(|at| is_open(items[*at])).take(1).map(|at| at as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(len: usize, count: usize, shard: (usize, usize)) -> Vec<u32> {
        let items: Vec<usize> = (0..len).collect();
        let mut out = Vec::new();
        even(&items, Sampling { count, drawn: 0, seed: 7, shard }, |item| item % 3 != 0, &mut out);
        out.sort_unstable();
        out
    }

    #[test]
    fn a_sample_is_even_open_and_without_repeats() {
        let sample = sampled(10_000, 100, (0, 1));
        assert_eq!(sample.len(), 100);
        assert!(sample.iter().all(|at| at % 3 != 0));
        assert!(sample.windows(2).all(|pair| pair[1] > pair[0] && pair[1] - pair[0] < 200));
        let all = sampled(9, 100, (0, 1));
        assert_eq!(all, [1, 2, 4, 5, 7, 8]);
    }

    #[test]
    fn shards_are_apart_and_together_everything() {
        let mut all = sampled(11, 11, (0, 2));
        all.extend(sampled(11, 11, (1, 2)));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 4, 5, 7, 8, 10]);
    }
}
