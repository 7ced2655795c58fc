//! [`Cluster::place`]: a batch of requests to placements.
//!
//! Requests of one shape (and group) are a *lot*: filters and scores are evaluated
//! once per node for all of them. How many nodes are looked at follows from what it
//! costs. A small cluster is looked at whole. In a large one a lot looks at a
//! sample, until what the shape's samples have cost would have paid for an index of
//! every node (the ski-rental rule: at most twice the cost of knowing in advance);
//! from then on its lots look only at what changed, as long as that is less than a
//! sample. A lot that is large against the cluster, or finds too little in its sample,
//! gets the index at once: what is possible is found, always.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use gapless_types::{InstanceId, Time};

use super::{Cluster, Placed, ShapeId, Stage};
use crate::context::{Context, GroupRef, Sets, Shape, mix};
use crate::engine::{Index, Layout, Lot, MadeUnder, Pick, Plan, Ranking, Sampling, pick, sample};
use crate::policy::{self, Verdict};
use crate::shortage::{LeftOut, Shortage, Unplaced};
use crate::state::NodeIndex;

/// Nodes looked at per instance of a lot, at the least: in a smaller sample its own
/// placements would crowd each other.
pub(super) const SAMPLED_PER_INSTANCE: usize = 4;

/// Nodes that draw a shape are worth more than evenly taken ones: so many times as many
/// are looked at, and so many per instance of the lot, which may take all of them.
const DRAWN_SHARE: usize = 2;
const DRAWN_PER_INSTANCE: usize = 4;

/// One instance to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which.
    pub instance: InstanceId,
    /// What it needs.
    pub shape: ShapeId,
    /// Those with the same number in one batch belong together.
    pub group: Option<u64>,
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Room was reserved.
    Placed {
        /// Where.
        node: NodeIndex,
        /// How good the node was, 0 to 1.
        score: f32,
    },
    /// Nothing was reserved.
    Unplaced(Arc<Unplaced>),
}

impl Outcome {
    /// Where it was placed.
    pub fn node(&self) -> Option<NodeIndex> {
        match self {
            Outcome::Placed { node, .. } => Some(*node),
            Outcome::Unplaced(_) => None,
        }
    }

    /// Why it was not placed.
    pub fn reason(&self) -> Option<&Unplaced> {
        match self {
            Outcome::Placed { .. } => None,
            Outcome::Unplaced(why) => Some(why),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// One per request, in the order of the requests.
    pub outcomes: Vec<Outcome>,
    /// Instances that lost their room to one of the batch: `(by, displaced)`. They
    /// must be stopped before those can start.
    pub displaced: Vec<(InstanceId, InstanceId)>,
}

/// The requests of one shape and group, as indexes into the batch.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) shape: ShapeId,
    pub(crate) group: Option<u64>,
    pub(crate) requests: Vec<u32>,
}

impl Cluster {
    /// Places a batch. Higher priorities first, then as they came; each is decided
    /// with what was placed before it in view.
    pub fn place(&mut self, requests: &[Request], now: Time) -> Batch {
        let mut batch = Batch::default();
        self.settle();
        let lots = self.lots(requests, &mut batch);
        self.instances.reserve(requests.len());
        for unit in lots.chunk_by(|a, b| a.group.is_some() && a.group == b.group) {
            self.place_unit(requests, unit, now, &mut batch);
        }
        self.tidy_expiry();
        batch
    }

    /// Brings up to date what is derived from the nodes as a whole.
    pub(super) fn settle(&mut self) {
        if self.layout.epoch != self.epoch {
            self.layout = Arc::new(Layout::new(&self.state, self.epoch));
        }
        let mean = self.state.instances as f32 / self.live.max(1) as f32;
        let stored = self.state.mean_instances;
        if (mean - stored).abs() > (0.1 * stored).max(0.1) {
            self.state.mean_instances = mean;
        }
        if self.state.decisions > u32::MAX / 2 {
            self.forget_choices();
        }
    }

    /// Starts the count of decisions anew before it runs over.
    fn forget_choices(&mut self) {
        self.state.decisions = 0;
        for node in 0..self.state.slots() {
            let (usage, at) = self.state.usage_mut(NodeIndex(node));
            usage.chosen_at[at] = 0;
        }
        self.epoch += 1;
        self.layout = Arc::new(Layout::new(&self.state, self.epoch));
    }

    /// Groups requests into lots: by priority, then by who came first. Lots of one
    /// group follow each other. Requests that cannot be are answered at once.
    pub(super) fn lots(&self, requests: &[Request], batch: &mut Batch) -> Vec<Wanted> {
        let unplaced = |why| Outcome::Unplaced(Arc::new(why));
        // Each is overwritten, by what comes of it.
        let undecided = Outcome::Placed { node: NodeIndex(u32::MAX), score: 0.0 };
        batch.outcomes.clear();
        batch.outcomes.resize(requests.len(), undecided);
        // Ascending numbers, the usual case, have no duplicates.
        let may_repeat = !requests.is_sorted_by(|a, b| a.instance < b.instance);
        let mut seen: HashSet<InstanceId, FixedState> = HashSet::default();
        let mut by_key: BTreeMap<(Option<u64>, ShapeId), usize> = BTreeMap::new();
        let mut lots: Vec<Wanted> = Vec::new();
        let mut last: Option<(Option<u64>, ShapeId, usize)> = None;
        for (index, request) in requests.iter().enumerate() {
            if self.entry(request.shape).is_none() {
                batch.outcomes[index] = unplaced(Unplaced::UnknownShape);
                continue;
            }
            let is_repeated = may_repeat && !seen.insert(request.instance);
            if is_repeated || self.instances.contains_key(&request.instance) {
                batch.outcomes[index] = unplaced(Unplaced::Duplicate);
                continue;
            }
            let (group, shape) = (request.group, request.shape);
            let lot = match last {
                Some((last_group, last_shape, lot))
                    if (last_group, last_shape) == (group, shape) =>
                {
                    lot
                }
                _ => *by_key.entry((group, shape)).or_insert_with(|| {
                    lots.push(Wanted { shape, group, requests: Vec::new() });
                    lots.len() - 1
                }),
            };
            last = Some((group, shape, lot));
            lots[lot].requests.push(index as u32);
        }
        self.in_order(lots)
    }

    /// By priority, then by first arrival; a group stands where its most urgent lot would.
    fn in_order(&self, lots: Vec<Wanted>) -> Vec<Wanted> {
        let priority = |lot: &Wanted| self.entry(lot.shape).map_or(0, |e| e.shape.spec.priority);
        let mut groups: BTreeMap<u64, (i32, u32)> = BTreeMap::new();
        for lot in &lots {
            if let Some(group) = lot.group {
                let place = groups.entry(group).or_insert((i32::MIN, u32::MAX));
                *place = (place.0.max(priority(lot)), place.1.min(lot.requests[0]));
            }
        }
        let mut lots = lots;
        lots.sort_by_key(|lot| {
            let own = (priority(lot), lot.requests[0]);
            let (priority, first) = lot.group.map_or(own, |group| groups[&group]);
            (std::cmp::Reverse(priority), first, lot.requests[0])
        });
        lots
    }

    /// Places one lot, or the lots of one group, and asks the permits.
    fn place_unit(&mut self, requests: &[Request], unit: &[Wanted], now: Time, batch: &mut Batch) {
        let mark = unit[0].group.map(|group| self.vocabulary.group(group));
        let wanted: usize = unit.iter().map(|lot| lot.requests.len()).sum();
        let mut placed: Vec<(u32, usize)> = Vec::with_capacity(wanted);
        for (at, lot) in unit.iter().enumerate() {
            let Some(shape) = self.shape(lot.shape).map(Arc::clone) else { continue };
            let picks = self.pick_lot(lot.shape, &shape, mark, lot.requests.len());
            for (request, pick) in lot.requests.iter().zip(&picks) {
                let instance = requests[*request as usize].instance;
                self.record(instance, lot.shape, *pick, now);
                let outcome = Outcome::Placed { node: pick.node, score: pick.score };
                batch.outcomes[*request as usize] = outcome;
                placed.push((*request, at));
            }
            let left = &lot.requests[picks.len()..];
            let left =
                self.displace(requests, lot, &shape, mark, left, now, batch, &mut placed, at);
            self.tell_shortage(&shape, mark, &left, batch);
        }
        self.ask_permits(requests, unit, wanted, placed, batch);
        if let Some(mark) = mark {
            self.vocabulary.marks.release(mark);
        }
    }

    /// Displaces others for those for whom there was no room, as far as that is
    /// allowed; returns those for whom it did not help.
    #[expect(clippy::too_many_arguments, reason = "one step of place_unit, with its state")]
    fn displace(
        &mut self,
        requests: &[Request],
        lot: &Wanted,
        shape: &Arc<Shape>,
        mark: Option<u32>,
        left: &[u32],
        now: Time,
        batch: &mut Batch,
        placed: &mut Vec<(u32, usize)>,
        at: usize,
    ) -> Vec<u32> {
        if !self.config.preempts {
            return left.to_vec();
        }
        let mut left = left.iter();
        for request in left.by_ref() {
            let instance = requests[*request as usize].instance;
            let Some((node, victims)) = self.find_victims(shape, mark) else {
                let rest = std::iter::once(request).chain(left);
                return rest.copied().collect();
            };
            for victim in &victims {
                self.release(*victim);
            }
            batch.displaced.extend(victims.iter().map(|victim| (instance, *victim)));
            self.occupy(instance, (lot.shape, shape), node, mark, self.until(now));
            batch.outcomes[*request as usize] = Outcome::Placed { node, score: 0.0 };
            placed.push((*request, at));
        }
        Vec::new()
    }

    fn tell_shortage(&self, shape: &Shape, mark: Option<u32>, left: &[u32], batch: &mut Batch) {
        if left.is_empty() {
            return;
        }
        let why = Arc::new(Unplaced::Shortage(self.shortage(shape, mark)));
        for request in left {
            batch.outcomes[*request as usize] = Outcome::Unplaced(Arc::clone(&why));
        }
    }

    /// Takes back, newest first, what a permit does not let stand. Who was displaced
    /// for it stays displaced: it was the cheapest to lose, and its place is free.
    fn ask_permits(
        &mut self,
        requests: &[Request],
        unit: &[Wanted],
        wanted: usize,
        mut placed: Vec<(u32, usize)>,
        batch: &mut Batch,
    ) {
        for (at, lot) in unit.iter().enumerate() {
            let Some(shape) = self.shape(lot.shape).map(Arc::clone) else { continue };
            let tenant = self.state.marks.get(shape.marks[1] as usize);
            let question = policy::Lot {
                state: &self.state,
                shape: &shape,
                tenant_instances: tenant.map_or(0, |counts| counts.total()),
                is_group: lot.group.is_some(),
                wanted: wanted as u32,
                placed: placed.len() as u32,
            };
            let verdicts = shape.profile.permits.iter().map(|p| p.policy.permit(&question));
            let least = verdicts.filter_map(|verdict| match verdict {
                Verdict::Allow => None,
                Verdict::Keep(count, why) => Some((count, why)),
            });
            let Some((keep, why)) = least.min_by_key(|(count, _)| *count) else { continue };
            let why = Arc::new(Unplaced::NotPermitted(why));
            // A group is taken back as a whole, a lot by its own instances.
            let mut kept = placed.len();
            for index in (0..placed.len()).rev() {
                let (request, of) = placed[index];
                if kept <= keep as usize || (lot.group.is_none() && of != at) {
                    break;
                }
                self.release(requests[request as usize].instance);
                batch.outcomes[request as usize] = Outcome::Unplaced(Arc::clone(&why));
                placed.remove(index);
                kept -= 1;
            }
        }
    }

    /// Picks nodes for a lot, reserved in the state; by sample or by index.
    fn pick_lot(
        &mut self,
        id: ShapeId,
        shape: &Arc<Shape>,
        mark: Option<u32>,
        count: usize,
    ) -> Vec<Pick> {
        let mut picks = Vec::with_capacity(count);
        if self.live == 0 {
            return picks;
        }
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
    fn should_sample(&self, id: ShapeId, count: usize) -> bool {
        let Some(sampled) = self.sample_size(count) else { return false };
        let Some(entry) = self.entry(id) else { return false };
        let is_paid = self.config.indexes_max > 0 && entry.spent >= u64::from(self.live);
        // An index that is about as stale as a sample is large costs as much to refresh.
        let is_fresh = entry.index.as_ref().is_some_and(|index| {
            index.made_under.epoch == self.epoch
                && self.changes.next() - index.seen <= sampled as u64
        });
        !is_paid && !is_fresh
    }

    /// How many nodes to look at for a lot of this size, where a sample will do: the
    /// cluster is large against it.
    pub(super) fn sample_size(&self, count: usize) -> Option<usize> {
        let how = sampling(&self.config, count, 0, (0, 1));
        let sampled = how.count + how.drawn;
        (sampled * 2 < self.live as usize).then_some(sampled)
    }

    fn pick_sampled(&mut self, id: ShapeId, lot: &Lot<'_>, count: usize, picks: &mut Vec<Pick>) {
        let how = sampling(&self.config, count, lot.seed, (0, 1));
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
            && let Some(entry) = self.shapes[id.0 as usize].as_mut()
        {
            entry.spent += looked_at as u64;
        }
    }

    fn pick_indexed(&mut self, id: ShapeId, lot: &Lot<'_>, count: usize, picks: &mut Vec<Pick>) {
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
    fn index(&mut self, id: ShapeId, lot: &Lot<'_>) -> Box<Index> {
        let mean = if lot.plan.reads_mean { self.state.mean_instances } else { 0.0 };
        let made_under = MadeUnder { epoch: self.epoch, plan: lot.plan.fingerprint, mean };
        let kept = self.shapes[id.0 as usize].as_mut().and_then(|entry| entry.index.take());
        let mut index = kept.unwrap_or_else(|| {
            Box::new(Index { ranking: Ranking::default(), seen: 0, made_under: MadeUnder::NEVER })
        });
        let cx = lot.context(&self.state);
        let stale = (index.made_under == made_under)
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
    fn keep_index(&mut self, id: ShapeId, index: Box<Index>) {
        if self.config.indexes_max == 0 {
            return;
        }
        let Some(entry) = self.shapes[id.0 as usize].as_mut() else { return };
        (entry.index, entry.spent) = (Some(index), 0);
        if let Some(at) = self.indexes.iter().position(|known| *known == id) {
            self.indexes.remove(at);
        }
        self.indexes.push(id);
        if self.indexes.len() > self.config.indexes_max as usize {
            let oldest = self.indexes.remove(0);
            if let Some(entry) = self.shapes[oldest.0 as usize].as_mut() {
                entry.index = None;
                entry.spent = 0;
            }
        }
    }

    /// Notes an instance whose room is already reserved in the state.
    pub(super) fn record(&mut self, instance: InstanceId, id: ShapeId, pick: Pick, now: Time) {
        let reserved_until = self.until(now);
        let placed = Placed {
            node: pick.node,
            shape: id,
            stage: Stage::Reserved,
            reserved_until,
            grant: pick.grant,
        };
        self.note_instance(instance, placed);
    }

    pub(super) fn until(&self, now: Time) -> Time {
        let mut until = now;
        until += self.config.reservation;
        until
    }

    /// Why no node is possible for a shape.
    pub(crate) fn shortage(&self, shape: &Shape, mark: Option<u32>) -> Shortage {
        let sets = Sets::new(&self.state, shape);
        let group = mark.map(|mark| GroupRef { mark });
        let cx = Context::new(&self.state, shape, group, &sets);
        let mut nodes: Vec<NodeIndex> = self.state.nodes().collect();
        let mut left_out = Vec::new();
        for filter in shape.profile.filters.iter().filter(|f| f.policy.applies(&cx)) {
            let before = nodes.len();
            filter.policy.retain(&cx, &mut nodes);
            let removed = (before - nodes.len()) as u32;
            if removed > 0 {
                let lacking = filter.policy.lacking(&cx);
                left_out.push(LeftOut { filter: filter.name, nodes: removed, lacking });
            }
        }
        Shortage { nodes: self.live, left_out: left_out.into() }
    }
}

/// How to sample for a lot of `count`.
pub(super) fn sampling(
    config: &super::Config,
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
    state: &mut crate::state::State,
    layout: &Layout,
    lot: &Lot<'_>,
    how: Sampling,
    count: usize,
    scratch: &mut crate::engine::Scratch,
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
