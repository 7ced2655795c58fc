//! The ways a shape is placed: by its own profile's weights, or by those of an arm of
//! the weight table. Each way has the same needs and an index of its own, so playing an
//! arm now and then costs the others nothing. One decision plays one arm: the lot is
//! decided as it would be if that profile were the shape's.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Cluster, ShapeEntry, ShapeId};
use crate::balance::{ArmId, Class, Played, Regime, Table};
use crate::context::{Shape, mix};
use crate::engine::Index;
use crate::profile::Profile;

/// A larger lot is one decision for many instances: it is no place to try things.
const EXPLORED_LOT_MAX: usize = 32;

/// A shape with the weights it is placed by, and what is kept for that.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    arm: ArmId,
    pub(crate) shape: Arc<Shape>,
    /// Every node's score, when that pays.
    pub(crate) index: Option<Box<Index>>,
    /// Nodes looked at by sampling since there was an index.
    pub(crate) spent: u64,
}

/// Which way of which shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WayId {
    pub(crate) shape: ShapeId,
    arm: ArmId,
}

impl Way {
    pub(crate) fn new(arm: ArmId, shape: Arc<Shape>) -> Self {
        Way { arm, shape, index: None, spent: 0 }
    }
}

impl ShapeEntry {
    pub(crate) fn new(shape: Shape) -> Self {
        let class = Class::declared(&shape.spec);
        let own = Way::new(ArmId::DEFAULT, Arc::new(shape));
        ShapeEntry { own, arms: SmallVec::new(), uses: 1, class, table: 0 }
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.own.shape
    }

    pub(crate) fn way(&self, id: WayId) -> Option<&Way> {
        match id.arm {
            ArmId::DEFAULT => Some(&self.own),
            arm => self.arms.iter().find(|way| way.arm == arm),
        }
    }

    pub(crate) fn way_mut(&mut self, id: WayId) -> Option<&mut Way> {
        match id.arm {
            ArmId::DEFAULT => Some(&mut self.own),
            arm => self.arms.iter_mut().find(|way| way.arm == arm),
        }
    }

    pub(crate) fn ways(&self) -> impl Iterator<Item = &Way> {
        std::iter::once(&self.own).chain(&self.arms)
    }

    /// The way of an arm, made if it is not there.
    fn play(&mut self, arm: ArmId, profile: &Arc<Profile>) {
        let is_same = |way: &Way| Arc::ptr_eq(&way.shape.profile, profile);
        match self.arms.iter().position(|way| way.arm == arm) {
            Some(at) if is_same(&self.arms[at]) => return,
            Some(at) => drop(self.arms.remove(at)),
            None => {}
        }
        let profile = Arc::clone(profile);
        let shape = Shape { profile, ..Shape::clone(&self.own.shape) };
        self.arms.push(Way::new(arm, Arc::new(shape)));
    }
}

impl Cluster {
    /// Plays by this table from the next decision on; by every shape's own profile
    /// without one. Only shapes with the [balanced](Profile::balanced) profile have arms.
    pub fn set_table(&mut self, table: Option<Arc<Table>>) {
        self.table = table;
        self.table_number += 1;
    }

    /// The table that is played by.
    pub fn table(&self) -> Option<&Arc<Table>> {
        self.table.as_ref()
    }

    /// What kind of workload a shape turned out to be.
    pub fn set_class(&mut self, id: ShapeId, class: Class) {
        if let Some(entry) = self.shapes.get_mut(id.0 as usize).and_then(Option::as_mut) {
            entry.class = class;
        }
    }

    /// What kind of workload a shape is, as far as is known.
    pub fn class(&self, id: ShapeId) -> Option<Class> {
        self.entry(id).map(|entry| entry.class)
    }

    /// The shape as an instance of it was placed, with the weights that decided; its
    /// own, if those are not played any more.
    pub fn shape_as_played(&self, id: ShapeId, played: Option<Played>) -> Option<&Arc<Shape>> {
        let entry = self.entry(id)?;
        let arm = played.map_or(ArmId::DEFAULT, |played| played.arm);
        let way = entry.way(WayId { shape: id, arm }).unwrap_or(&entry.own);
        Some(&way.shape)
    }

    /// The shape with the weights that lead for it now.
    pub fn shape_as_led(&self, id: ShapeId) -> Option<Arc<Shape>> {
        let entry = self.entry(id)?;
        let own = entry.shape();
        let leader = self.table.as_ref().and_then(|table| table.leader(entry.class));
        Some(match leader.filter(|_| own.profile.is_balanced()) {
            Some((_, profile)) => {
                Arc::new(Shape { profile: Arc::clone(profile), ..Shape::clone(own) })
            }
            None => Arc::clone(own),
        })
    }

    /// The way of the next decision about so many instances.
    pub(super) fn choose_way(&mut self, id: ShapeId, count: usize) -> (WayId, Option<Played>) {
        let own = WayId { shape: id, arm: ArmId::DEFAULT };
        let (random, number) = (self.draw(id), self.table_number);
        let Some(table) = &self.table else { return (own, None) };
        let entry = self.shapes.get_mut(id.0 as usize).and_then(Option::as_mut);
        let Some(entry) = entry.filter(|entry| entry.own.shape.profile.is_balanced()) else {
            return (own, None);
        };
        if entry.table != number {
            entry.table = number;
            entry.arms.retain(|way| table.plays(way.arm, &way.shape.profile));
        }
        let (class, regime): (Class, Regime) = (entry.class, table.regime());
        let drawn = match count <= EXPLORED_LOT_MAX {
            true => table.draw(class, random),
            false => table.leader(class),
        };
        let Some((arm, profile)) = drawn else {
            return (own, Some(Played { arm: ArmId::DEFAULT, class, regime }));
        };
        entry.play(arm, profile);
        (WayId { shape: id, arm }, Some(Played { arm, class, regime }))
    }

    /// A random number for the next decision: which arm plays must not follow from who
    /// asks.
    fn draw(&self, id: ShapeId) -> u32 {
        let decision = u64::from(self.state.decisions) << 32 | u64::from(id.0);
        (mix(mix(self.config.seed) ^ decision) >> 32) as u32
    }

    /// Whether this way is not the one that leads.
    pub(super) fn is_tried(&self, id: WayId) -> bool {
        let Some((table, entry)) = self.table.as_ref().zip(self.entry(id.shape)) else {
            return false;
        };
        let leader = table.leader(entry.class).map_or(ArmId::DEFAULT, |(arm, _)| arm);
        entry.own.shape.profile.is_balanced() && id.arm != leader
    }

    pub(super) fn way(&self, id: WayId) -> Option<&Way> {
        self.entry(id.shape)?.way(id)
    }

    pub(super) fn way_mut(&mut self, id: WayId) -> Option<&mut Way> {
        self.shapes.get_mut(id.shape.0 as usize)?.as_mut()?.way_mut(id)
    }
}
