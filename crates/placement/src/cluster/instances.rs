//! Instances: what a placement reserved, until it is given back. A reservation that
//! nobody confirms in time is given back by itself, so that a start that was lost
//! on its way costs room for a while, not for ever.

use std::sync::Arc;

use gapless_types::{InstanceId, NodeId, Time};

use super::{Cluster, ShapeId};
use crate::balance::Played;
use crate::context::Shape;
use crate::engine::occupy;
use crate::policy::Grant;
use crate::registry::RESERVES;
use crate::state::{Counts, NodeIndex};

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Room was reserved; its start was not confirmed.
    Reserved,
    /// It runs.
    Running,
    /// It runs and serves nobody: the first to be displaced.
    Idle,
}

/// An instance that occupies room.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Where.
    pub node: NodeIndex,
    /// What it is.
    pub shape: ShapeId,
    /// How far it is.
    pub stage: Stage,
    /// Until when its reservation holds, unless it is confirmed.
    pub reserved_until: Time,
    /// By which weights it was placed, if a table was played.
    pub played: Option<Played>,
    pub(crate) grant: Grant,
}

impl Cluster {
    /// An instance that occupies room.
    pub fn instance(&self, instance: InstanceId) -> Option<&Placed> {
        self.instances.get(&instance)
    }

    /// Every instance, in no particular order.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, &Placed)> {
        self.instances.iter().map(|(instance, placed)| (*instance, placed))
    }

    /// The instances on a node.
    pub fn instances_on(&self, node: &NodeId) -> &[InstanceId] {
        let node = self.by_id.get(node);
        node.map_or(&[], |node| &self.on_node[node.index()])
    }

    /// The instance's start succeeded: it keeps its room. `false` when it has none:
    /// its node is gone, or its reservation ran out, and it must be stopped.
    pub fn confirm(&mut self, instance: InstanceId) -> bool {
        let Some(placed) = self.instances.get_mut(&instance) else { return false };
        if placed.stage == Stage::Reserved {
            placed.stage = Stage::Running;
            let node = placed.node;
            self.not_starting(node);
        }
        true
    }

    /// Whether an instance serves anybody.
    pub fn set_idle(&mut self, instance: InstanceId, is_idle: bool) {
        let (stage, other) =
            if is_idle { (Stage::Idle, Stage::Running) } else { (Stage::Running, Stage::Idle) };
        let Some(placed) = self.instances.get_mut(&instance) else { return };
        if placed.stage != other {
            return;
        }
        placed.stage = stage;
        let (node, shape) = (placed.node, placed.shape);
        self.count_idle(node, shape, is_idle);
        self.changed(node);
    }

    /// Frees an instance's room. `false` when it had none.
    pub fn release(&mut self, instance: InstanceId) -> bool {
        let Some(placed) = self.instances.remove(&instance) else { return false };
        let node = placed.node;
        match placed.stage {
            Stage::Reserved => self.not_starting(node),
            Stage::Running => {}
            Stage::Idle => self.count_idle(node, placed.shape, false),
        }
        let on_node = &mut self.on_node[node.index()];
        if let Some(at) = on_node.iter().rposition(|other| *other == instance) {
            on_node.swap_remove(at);
        }
        let shape = Arc::clone(self.shapes[placed.shape.0 as usize].as_ref().expect(HELD).shape());
        for reserve in RESERVES.iter().rev() {
            reserve.unreserve(&mut self.state, &shape, node, &placed.grant);
        }
        if placed.grant.group > 0 {
            self.vocabulary.marks.release(placed.grant.group - 1);
        }
        self.forget_shape(placed.shape);
        self.changed(node);
        true
    }

    /// Gives back reservations that ran out; returns whose they were.
    pub fn expire(&mut self, now: Time) -> Vec<InstanceId> {
        let mut expired = Vec::new();
        self.tidy_expiry();
        while let Some((until, instance)) = self.expiring.first()
            && until <= now
        {
            self.expiring.pop();
            self.release(instance);
            expired.push(instance);
            self.tidy_expiry();
        }
        expired
    }

    /// When the next reservation runs out.
    pub fn next_expiry(&mut self) -> Option<Time> {
        self.tidy_expiry();
        self.expiring.first().map(|(until, _)| until)
    }

    pub(super) fn tidy_expiry(&mut self) {
        let instances = &self.instances;
        self.expiring.tidy(instances.len(), |until, instance| {
            instances.get(&instance).is_some_and(|placed| {
                placed.stage == Stage::Reserved && placed.reserved_until == until
            })
        });
    }

    /// Takes room for an instance. The filters have passed.
    pub(crate) fn occupy(
        &mut self,
        instance: InstanceId,
        (id, shape): (ShapeId, &Shape),
        node: NodeIndex,
        group: Option<u32>,
        reserved_until: Time,
    ) {
        let mut grant = Grant { group: group.map_or(0, |mark| mark + 1), ..Grant::default() };
        occupy(&mut self.state, shape, node, &mut grant);
        let stage = Stage::Reserved;
        self.note_instance(
            instance,
            Placed { node, shape: id, stage, reserved_until, played: None, grant },
        );
        self.changed(node);
    }

    /// Notes an instance whose room is reserved in the state.
    pub(super) fn note_instance(&mut self, instance: InstanceId, placed: Placed) {
        self.on_node[placed.node.index()].push(instance);
        self.expiring.push(placed.reserved_until, instance);
        if placed.grant.group > 0 {
            self.vocabulary.marks.hold_again(placed.grant.group - 1);
        }
        self.shapes[placed.shape.0 as usize].as_mut().expect(HELD).uses += 1;
        self.instances.insert(instance, placed);
    }

    /// Puts an instance on a given node: for rebuilding from what nodes say they run.
    /// No filter is asked: what is there is there.
    pub fn put(&mut self, instance: InstanceId, id: ShapeId, node: NodeIndex, group: Option<u64>) {
        let Some(shape) = self.shape(id).map(Arc::clone) else { return };
        if self.instances.contains_key(&instance) || !self.state.alive.contains(node) {
            return;
        }
        let mark = group.map(|group| self.vocabulary.group(group));
        self.occupy(instance, (id, &shape), node, mark, self.until(Time::ZERO));
        if let Some(mark) = mark {
            self.vocabulary.marks.release(mark);
        }
    }

    /// Puts an instance on a node that passed every filter, reserved from `now` on.
    pub(crate) fn put_reserved(
        &mut self,
        instance: InstanceId,
        id: ShapeId,
        node: NodeIndex,
        now: Time,
    ) {
        let Some(shape) = self.shape(id).map(Arc::clone) else { return };
        self.occupy(instance, (id, &shape), node, None, self.until(now));
    }

    /// The mark of a group that has members.
    #[cfg(test)]
    pub(crate) fn group_mark(&self, group: u64) -> Option<u32> {
        self.vocabulary.marks.find(&format!("g:{group}"))
    }

    fn not_starting(&mut self, node: NodeIndex) {
        let (usage, at) = self.state.usage_mut(node);
        usage.starting[at] = usage.starting[at].saturating_sub(1);
        self.changed(node);
    }

    fn count_idle(&mut self, node: NodeIndex, shape: ShapeId, is_idle: bool) {
        let function = self.shapes[shape.0 as usize].as_ref().expect(HELD).shape().marks[0];
        let (zone, rack) = (self.state.zone(node), self.state.rack(node));
        let counts: &mut Counts = Arc::make_mut(self.state.idle.at(function as usize));
        if is_idle {
            counts.add(node, zone, rack);
        } else {
            counts.remove(node, zone, rack);
        }
    }

    /// Takes a node's instances out of the counts by place, or puts them in: around
    /// a change of its zone or rack.
    pub(super) fn recount(&mut self, node: NodeIndex, is_in: bool) {
        let (zone, rack) = (self.state.zone(node), self.state.rack(node));
        for index in 0..self.on_node[node.index()].len() {
            let placed = self.instances[&self.on_node[node.index()][index]];
            let entry = self.shapes[placed.shape.0 as usize].as_ref().expect(HELD);
            let shape = Arc::clone(entry.shape());
            let group = (placed.grant.group > 0).then(|| placed.grant.group - 1);
            let change = |counts: &mut Arc<Counts>| match is_in {
                true => Arc::make_mut(counts).add(node, zone, rack),
                false => Arc::make_mut(counts).remove(node, zone, rack),
            };
            for mark in shape.marks.iter().chain(&group) {
                change(self.state.marks.at(*mark as usize));
            }
            for mark in &shape.avoid {
                change(self.state.avoided.at(*mark as usize));
            }
            if placed.stage == Stage::Idle {
                change(self.state.idle.at(shape.marks[0] as usize));
            }
        }
    }
}

/// Why a shape of an instance is always known.
const HELD: &str = "an instance holds its shape";
