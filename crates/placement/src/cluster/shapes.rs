//! Shapes: registered once per revision, resolved to numbers, counted while
//! instances have them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Cluster, ShapeEntry, ShapeId, Way};
use crate::balance::ArmId;
use crate::context::{Shape, hash_name};
use crate::node::Held;
use crate::profile::Profile;
use crate::shape::{Requirement, ShapeError, ShapeSpec};
use crate::state::NodeSet;

impl Cluster {
    /// Makes a shape known. Call [`Cluster::forget_shape`] once it is not needed.
    pub fn add_shape(
        &mut self,
        spec: ShapeSpec,
        profile: Arc<Profile>,
    ) -> Result<ShapeId, ShapeError> {
        spec.check()?;
        let wrong = |field, message: &str| ShapeError { field, message: message.to_owned() };
        let sandbox = self.vocabulary.sandbox(&spec.sandbox);
        let sandbox = sandbox.ok_or_else(|| wrong("sandbox", "more than 32 kinds are in use"))?;
        let device_kind = match &spec.devices {
            None => None,
            Some(need) => {
                let kind = self.vocabulary.device_kind(&need.kind);
                Some(kind.ok_or_else(|| wrong("devices", "more than 32 kinds are in use"))?)
            }
        };
        let vocabulary = &mut self.vocabulary;
        let tenant = vocabulary.tenant(&spec.tenant);
        let mut marks = SmallVec::from_slice(&[vocabulary.function(&spec.function), tenant]);
        marks.extend(spec.marks.iter().map(|mark| vocabulary.mark(mark)));
        let avoid = spec.avoid.iter().map(|mark| vocabulary.mark(mark)).collect();
        let calls = spec.calls.iter().map(|call| vocabulary.function(call)).collect();
        let image = spec.image.as_ref().map(|name| vocabulary.held(Held::Image, name));
        let pool = spec.pool.as_ref().map(|name| vocabulary.held(Held::Pool, name));
        let snapshots = spec.snapshots.iter();
        let snapshots = snapshots.map(|name| vocabulary.held(Held::Snapshot, name)).collect();
        let bytes: u64 = spec.data.iter().map(|(_, bytes)| bytes.0).sum();
        let data = spec.data.iter().map(|(name, size)| {
            (vocabulary.held(Held::Data, name), size.0 as f32 / bytes.max(1) as f32)
        });
        let data = data.collect();
        let class = vocabulary.class(&spec.class);
        let weights: f32 = spec.prefer.iter().map(|(_, weight)| weight).sum();
        let require = spec.require.iter().map(|r| self.requirement(r)).collect();
        let prefer = spec.prefer.iter().map(|(requirement, weight)| {
            (self.requirement(requirement), weight / weights.max(f32::MIN_POSITIVE))
        });
        let prefer = prefer.collect();
        let shape = Shape {
            profile,
            function_hash: hash_name(&spec.function),
            class,
            sandbox,
            device_kind,
            dedicated: tenant + 1,
            marks,
            avoid,
            require,
            prefer,
            image,
            snapshots,
            pool,
            data,
            calls,
            spec,
        };
        let entry = ShapeEntry::new(shape);
        let id = self.free_shapes.pop().unwrap_or(ShapeId(self.shapes.len() as u32));
        if id.0 as usize == self.shapes.len() {
            self.shapes.push(Some(entry));
        } else {
            self.shapes[id.0 as usize] = Some(entry);
        }
        Ok(id)
    }

    /// Another profile decides for a shape from now on.
    pub fn set_profile(&mut self, id: ShapeId, profile: Arc<Profile>) {
        if let Some(entry) = self.shapes.get_mut(id.0 as usize).and_then(Option::as_mut) {
            let shape = Shape { profile, ..Shape::clone(entry.shape()) };
            entry.own = Way::new(ArmId::DEFAULT, Arc::new(shape));
            entry.arms.clear();
            self.indexes.retain(|known| known.shape != id);
        }
    }

    /// A shape is not needed any more. It stays until its last instance is gone.
    pub fn forget_shape(&mut self, id: ShapeId) {
        let Some(entry) = self.shapes.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let Some(entry) = self.shapes[id.0 as usize].take() else { return };
        self.free_shapes.push(id);
        self.indexes.retain(|known| known.shape != id);
        let shape = Arc::clone(entry.shape());
        let vocabulary = &mut self.vocabulary;
        for mark in shape.marks.iter().chain(&shape.avoid).chain(&shape.calls) {
            vocabulary.marks.release(*mark);
        }
        let held = shape.snapshots.iter().chain(shape.data.iter().map(|(id, _)| id));
        for id in held.chain(&shape.image).chain(&shape.pool) {
            vocabulary.held.release(*id);
        }
        for number in shape.require.iter().chain(shape.prefer.iter().map(|(number, _)| number)) {
            vocabulary.release_requirement(*number);
        }
    }

    /// A shape that is known.
    pub fn shape(&self, id: ShapeId) -> Option<&Arc<Shape>> {
        self.entry(id).map(ShapeEntry::shape)
    }

    pub(super) fn entry(&self, id: ShapeId) -> Option<&ShapeEntry> {
        self.shapes.get(id.0 as usize)?.as_ref()
    }

    /// The number of a requirement; a new one is asked of every node.
    fn requirement(&mut self, requirement: &Requirement) -> u32 {
        let (number, is_new) = self.vocabulary.requirement(requirement);
        if is_new {
            let satisfies = |node: &crate::state::NodeIndex| {
                let spec = self.specs[node.index()].as_ref();
                spec.is_some_and(|spec| requirement.holds(&spec.labels))
            };
            let nodes: NodeSet = self.state.alive.iter().filter(satisfies).collect();
            *self.state.requirements.at(number as usize) = Arc::new(nodes);
        }
        number
    }
}
