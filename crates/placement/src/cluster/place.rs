//! [`Cluster::place`]: a batch of requests to placements.
//!
//! Requests of one shape (and group) are a *lot*: filters and scores are evaluated
//! once per node for all of them. [`choose`](super::choose) says
//! how many nodes are looked at, [`unit`](super::unit) what happens to those that find
//! no room or are not permitted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use gapless_types::{InstanceId, Time};

use super::{Cluster, ShapeId};
use crate::engine::Layout;
use crate::shortage::Unplaced;
use crate::state::NodeIndex;

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
        let priority = |lot: &Wanted| self.shape(lot.shape).map_or(0, |shape| shape.spec.priority);
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
}
