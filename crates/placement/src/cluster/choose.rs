//! Nodes for one lot: how many are looked at, and what is kept of it.
//!
//! How many nodes are looked at follows from what it
//! costs. A small cluster is looked at whole. In a large one a lot looks at a
//! sample, until what the shape's samples have cost would have paid for an index of
//! every node (the ski-rental rule: at most twice the cost of knowing in advance);
//! from then on its lots look only at what changed, as long as that is less than a
//! sample. A lot that is large against the cluster, or finds too little in its sample,
//! gets the index at once: what is possible is found, always.

use std::sync::Arc;

use super::{Cluster, Config, WayId};
use crate::context::{Context, GroupRef, Sets, mix};
use crate::engine::{
    Index, Layout, Lot, MadeUnder, Pick, Plan, Ranking, Sampling, Scratch, pick, sample,
};
use crate::state::State;

/// Nodes looked at per instance of a lot, at the least: in a smaller sample its own
/// placements would crowd each other.
const SAMPLED_PER_INSTANCE: usize = 4;

/// What is only tried looks at so many times fewer nodes.
const TRIED_DIVISOR: u32 = 4;

/// Nodes that draw a shape are worth more than evenly taken ones: so many times as many
/// are looked at, and so many per instance of the lot, which may take all of them.
const DRAWN_SHARE: usize = 2;
const DRAWN_PER_INSTANCE: usize = 4;
/// Changes that are looked through for the nodes they are of, per node there is.
const CHANGES_LISTED: usize = 2;

impl Cluster {
    /// Picks nodes for a lot, reserved in the state; by sample or by index.
    pub(super) fn pick_lot(&mut self, id: WayId, mark: Option<u32>, count: usize) -> Vec<Pick> {
        let mut picks = Vec::with_capacity(count);
        let shape = self.way(id).filter(|_| self.live > 0).map(|way| Arc::clone(&way.shape));
        let Some(shape) = &shape else { return picks };
        let sets = Sets::new(&self.state, shape);
        let group = mark.map(|mark| GroupRef { mark });
        let plan = Plan::new(&Context::new(&self.state, shape, group, &sets));
        let seed = mix(self.config.seed ^ u64::from(self.state.decisions));
        let lot = Lot { shape, group, sets: &sets, plan: &plan, seed };
        if self.should_sample(id, count) {
            self.pick_sampled(id, &lot, count, &mut picks);
        }
        if picks.len() < count {
            self.pick_indexed(id, &lot, count, &mut picks);
        }
        picks
    }

    /// Whether a lot is better decided on a sample than on an index of every node.
    fn should_sample(&self, id: WayId, count: usize) -> bool {
        // What is only tried now and then never pays for an index of every node.
        if self.is_tried(id) {
            return self.is_small(self.sampling_of_tried(count, 0));
        }
        let Some(sampled) = self.sample_size(count) else { return false };
        let Some(way) = self.way(id) else { return false };
        let is_paid = self.config.indexes_max > 0 && way.spent >= u64::from(self.live);
        // An index that is about as stale as a sample is large costs as much to refresh.
        let is_fresh = way.index.as_ref().is_some_and(|index| {
            index.made_under.epoch == self.epoch
                && self.changes.next() - index.seen <= sampled as u64
        });
        !is_paid && !is_fresh
    }

    /// How many nodes to look at for a lot of this size, where a sample will do: the
    /// cluster is large against it.
    pub(super) fn sample_size(&self, count: usize) -> Option<usize> {
        let how = sampling(&self.config, count, 0, (0, 1));
        self.is_small(how).then_some(how.count + how.drawn)
    }

    /// Whether a sample is small against the cluster.
    fn is_small(&self, how: Sampling) -> bool {
        (how.count + how.drawn) * 2 < self.live as usize
    }

    /// The sample of a way that is tried now and then: smaller, as a whole one takes more
    /// than ten times as long as a decision by the leader's index. It is a handicap, so
    /// what seems better in spite of it is.
    fn sampling_of_tried(&self, count: usize, seed: u64) -> Sampling {
        let config = Config { sample: self.config.sample / TRIED_DIVISOR, ..self.config };
        sampling(&config, count, seed, (0, 1))
    }

    fn pick_sampled(&mut self, id: WayId, lot: &Lot<'_>, count: usize, picks: &mut Vec<Pick>) {
        let how = match self.is_tried(id) {
            true => self.sampling_of_tried(count, lot.seed),
            false => sampling(&self.config, count, lot.seed, (0, 1)),
        };
        let looked_at = pick_from_sample(
            &mut self.state,
            &self.layout,
            lot,
            how,
            count,
            &mut self.scratch,
            picks,
        );
        self.note_changes(&picks[..]);
        if self.config.indexes_max > 0
            && let Some(way) = self.way_mut(id)
        {
            way.spent += looked_at as u64;
        }
    }

    fn pick_indexed(&mut self, id: WayId, lot: &Lot<'_>, count: usize, picks: &mut Vec<Pick>) {
        let mut index = self.index(id, lot);
        let before = picks.len();
        let left = count - before;
        pick(&mut self.state, lot, &mut index.ranking, left, &mut self.scratch, picks);
        self.note_changes(&picks[before..]);
        // Its own placements are in it already.
        index.seen = self.changes.next();
        self.keep_index(id, index);
    }

    fn note_changes(&mut self, picks: &[Pick]) {
        for pick in picks {
            self.changed(pick.node);
        }
    }

    /// The shape's index of every node, brought up to date.
    fn index(&mut self, id: WayId, lot: &Lot<'_>) -> Box<Index> {
        let mean = if lot.plan.reads_mean { self.state.mean_instances } else { 0.0 };
        let made_under = MadeUnder { epoch: self.epoch, plan: lot.plan.fingerprint, mean };
        let kept = self.way_mut(id).and_then(|way| way.index.take());
        let mut index = kept.unwrap_or_else(|| {
            Box::new(Index { ranking: Ranking::default(), seen: 0, made_under: MadeUnder::NEVER })
        });
        let cx = lot.context(&self.state);
        // Many more changes than nodes: most nodes have changed, so listing them is wasted.
        let changes = self.changes.next() - index.seen;
        let is_little = changes < (self.layout.order.len() * CHANGES_LISTED) as u64;
        let stale = (index.made_under == made_under && is_little)
            .then(|| self.changes.since(index.seen))
            .flatten()
            .map(|changes| {
                self.scratch.nodes.clear();
                self.scratch.nodes.extend(changes);
                self.scratch.nodes.sort_unstable();
                self.scratch.nodes.dedup();
                &self.scratch.nodes
            });
        match stale {
            Some(stale) if stale.len() * 2 < self.layout.order.len() => {
                let leaves = stale.iter().filter_map(|node| self.layout.position(*node));
                let leaves: Vec<usize> = leaves.collect();
                index.ranking.refresh(lot.plan, &cx, &leaves);
            }
            _ => index.ranking.rebuild(lot.plan, &cx, &self.layout.order),
        }
        index.seen = self.changes.next();
        index.made_under = made_under;
        index
    }

    /// Keeps an index, and drops the one that was not used for longest if there are
    /// too many.
    fn keep_index(&mut self, id: WayId, index: Box<Index>) {
        if self.config.indexes_max == 0 {
            return;
        }
        let Some(way) = self.way_mut(id) else { return };
        (way.index, way.spent) = (Some(index), 0);
        if let Some(at) = self.indexes.iter().position(|known| *known == id) {
            self.indexes.remove(at);
        }
        self.indexes.push(id);
        if self.indexes.len() > self.config.indexes_max as usize {
            let oldest = self.indexes.remove(0);
            if let Some(way) = self.way_mut(oldest) {
                (way.index, way.spent) = (None, 0);
            }
        }
    }
}

/// How to sample for a lot of `count`.
pub(super) fn sampling(
    config: &Config,
    count: usize,
    seed: u64,
    shard: (usize, usize),
) -> Sampling {
    let even = (config.sample as usize).max(count * SAMPLED_PER_INSTANCE);
    let drawn = (config.sample as usize * DRAWN_SHARE).max(count * DRAWN_PER_INSTANCE);
    Sampling { count: even, drawn, seed, shard }
}

/// Picks from a sample of the nodes; says how many were looked at.
pub(super) fn pick_from_sample(
    state: &mut State,
    layout: &Layout,
    lot: &Lot<'_>,
    how: Sampling,
    count: usize,
    scratch: &mut Scratch,
    picks: &mut Vec<Pick>,
) -> usize {
    let mut ranking = std::mem::take(&mut scratch.ranking);
    {
        let cx = lot.context(state);
        sample(&cx, layout, how, &mut scratch.pulls, &mut scratch.positions);
        scratch.nodes.clear();
        let nodes = scratch.positions.iter().map(|at| layout.order[*at as usize]);
        scratch.nodes.extend(nodes);
        ranking.rebuild(lot.plan, &cx, &scratch.nodes);
    }
    pick(state, lot, &mut ranking, count, scratch, picks);
    scratch.ranking = ranking;
    scratch.positions.len()
}
