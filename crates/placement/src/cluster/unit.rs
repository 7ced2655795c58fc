//! What is decided as a whole: one lot, or the lots of one group. Its requests are
//! placed; for those that find no room others are displaced, where that is allowed;
//! the permits are asked; and what is left is told what was lacking.

use std::sync::Arc;

use gapless_types::{InstanceId, Time};

use super::place::{Batch, Outcome, Request, Wanted};
use super::{Cluster, Placed, ShapeId, Stage};
use crate::balance::Played;
use crate::context::{Context, GroupRef, Sets, Shape};
use crate::engine::Pick;
use crate::policy::{self, Verdict};
use crate::shortage::{LeftOut, Shortage, Unplaced};
use crate::state::NodeIndex;

/// A unit while it is placed.
struct Unit<'a> {
    requests: &'a [Request],
    /// The mark of its group, if it is one.
    mark: Option<u32>,
    now: Time,
    batch: &'a mut Batch,
    /// The requests that have a node, in the order they got it.
    placed: Vec<u32>,
}

impl Cluster {
    /// Places one lot, or the lots of one group, and asks the permits.
    pub(super) fn place_unit(
        &mut self,
        requests: &[Request],
        lots: &[Wanted],
        now: Time,
        batch: &mut Batch,
    ) {
        let mark = lots[0].group.map(|group| self.vocabulary.group(group));
        let wanted: usize = lots.iter().map(|lot| lot.requests.len()).sum();
        let placed = Vec::with_capacity(wanted);
        let mut unit = Unit { requests, mark, now, batch, placed };
        for lot in lots {
            let Some(shape) = self.shape(lot.shape).map(Arc::clone) else { continue };
            let (way, played) = self.choose_way(lot.shape, lot.requests.len());
            let picks = self.pick_lot(way, mark, lot.requests.len());
            for (request, pick) in lot.requests.iter().zip(&picks) {
                let instance = requests[*request as usize].instance;
                self.record(instance, lot.shape, (*pick, played), now);
                unit.note_placed(*request, pick.node, pick.score);
            }
            let left = &lot.requests[picks.len()..];
            let helped = self.displace(&mut unit, lot, &shape, left);
            self.tell_shortage(&mut unit, &shape, &left[helped..]);
        }
        self.ask_permits(&mut unit, lots, wanted);
        if let Some(mark) = mark {
            self.vocabulary.marks.release(mark);
        }
    }

    /// Displaces others for those for whom there was no room, as far as that is
    /// allowed; says for how many of them it helped. Not for members of groups: a group
    /// that in the end has no room would have displaced for nothing.
    fn displace(
        &mut self,
        unit: &mut Unit<'_>,
        lot: &Wanted,
        shape: &Arc<Shape>,
        left: &[u32],
    ) -> usize {
        if !self.config.preempts || unit.mark.is_some() {
            return 0;
        }
        for (helped, request) in left.iter().enumerate() {
            let instance = unit.requests[*request as usize].instance;
            let Some((node, victims)) = self.find_victims(shape, None) else { return helped };
            for victim in &victims {
                self.release(*victim);
            }
            unit.batch.displaced.extend(victims.iter().map(|victim| (instance, *victim)));
            self.occupy(instance, (lot.shape, shape), node, None, self.until(unit.now));
            unit.note_placed(*request, node, 0.0);
        }
        left.len()
    }

    fn tell_shortage(&self, unit: &mut Unit<'_>, shape: &Shape, left: &[u32]) {
        if left.is_empty() {
            return;
        }
        let why = Arc::new(Unplaced::Shortage(self.shortage(shape, unit.mark)));
        for request in left {
            unit.batch.outcomes[*request as usize] = Outcome::Unplaced(Arc::clone(&why));
        }
    }

    /// Takes back, newest first, what a permit does not let stand.
    fn ask_permits(&mut self, unit: &mut Unit<'_>, lots: &[Wanted], wanted: usize) {
        for lot in lots {
            let Some(shape) = self.shape(lot.shape).map(Arc::clone) else { continue };
            let tenant = self.state.marks.get(shape.marks[1] as usize);
            let question = policy::Lot {
                state: &self.state,
                shape: &shape,
                tenant_instances: tenant.map_or(0, |counts| counts.total()),
                is_group: lot.group.is_some(),
                wanted: wanted as u32,
                placed: unit.placed.len() as u32,
            };
            let verdicts = shape.profile.permits.iter().map(|p| p.policy.permit(&question));
            let least = verdicts.filter_map(|verdict| match verdict {
                Verdict::Allow => None,
                Verdict::Keep(count, why) => Some((count, why)),
            });
            let Some((keep, why)) = least.min_by_key(|(count, _)| *count) else { continue };
            let why = Arc::new(Unplaced::NotPermitted(why));
            while unit.placed.len() > keep as usize
                && let Some(request) = unit.placed.pop()
            {
                self.release(unit.requests[request as usize].instance);
                unit.batch.outcomes[request as usize] = Outcome::Unplaced(Arc::clone(&why));
            }
        }
    }

    /// Notes an instance whose room is already reserved in the state.
    pub(super) fn record(
        &mut self,
        instance: InstanceId,
        id: ShapeId,
        (pick, played): (Pick, Option<Played>),
        now: Time,
    ) {
        let reserved_until = self.until(now);
        let placed = Placed {
            node: pick.node,
            shape: id,
            stage: Stage::Reserved,
            reserved_until,
            played,
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

impl Unit<'_> {
    fn note_placed(&mut self, request: u32, node: NodeIndex, score: f32) {
        self.batch.outcomes[request as usize] = Outcome::Placed { node, score };
        self.placed.push(request);
    }
}
