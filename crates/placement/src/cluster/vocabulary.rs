//! [`Vocabulary`]: names to numbers, for everything that nodes and shapes say by
//! name, and what the numbers stand for in the [`State`].

use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::names::Names;
use crate::node::{Held, NodeSpec, Taint};
use crate::shape::Requirement;
use crate::state::{CLASSES, State};

type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// Kinds of sandboxes and of devices that are told apart.
pub(crate) const KINDS_MAX: usize = 32;
/// Zones, and racks, that are told apart; the last stands for all others.
const PLACES_MAX: usize = 65_536;
/// Distinct sets of taints that are told apart.
const TAINT_SETS_MAX: usize = 65_536;

/// Names to numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    /// Functions, tenants, instances' labels and groups.
    pub(crate) marks: Names,
    pub(crate) held: Names,
    sandboxes: Vec<Arc<str>>,
    device_kinds: Vec<Arc<str>>,
    classes: Vec<Arc<str>>,
    zones: Map<Arc<str>, u32>,
    racks: Map<(u32, Arc<str>), u32>,
    taint_sets: Map<Arc<[Taint]>, u32>,
    requirements: Map<Requirement, u32>,
    required: Vec<(Option<Requirement>, u32)>,
    requirements_free: Vec<u32>,
}

impl Vocabulary {
    /// The mark of a function.
    pub(crate) fn function(&mut self, name: &str) -> u32 {
        self.marks.hold(&format!("f:{name}"))
    }

    /// The mark of a tenant.
    pub(crate) fn tenant(&mut self, name: &str) -> u32 {
        self.marks.hold(&format!("t:{name}"))
    }

    /// The mark of an instance's label, or of what is avoided: a label `key=value`
    /// or a function `NAMESPACE/NAME`.
    pub(crate) fn mark(&mut self, name: &str) -> u32 {
        if name.contains('=') { self.marks.hold(&format!("l:{name}")) } else { self.function(name) }
    }

    /// The mark of a group.
    pub(crate) fn group(&mut self, group: u64) -> u32 {
        self.marks.hold(&format!("g:{group}"))
    }

    pub(crate) fn held(&mut self, kind: Held, name: &str) -> u32 {
        self.held.hold(&kind.key(name))
    }

    /// The bit of a kind of sandbox; `None` when too many are in use.
    pub(crate) fn sandbox(&mut self, kind: &str) -> Option<u32> {
        kind_number(&mut self.sandboxes, kind).map(|number| 1 << number)
    }

    /// The number of a kind of device; `None` when too many are in use.
    pub(crate) fn device_kind(&mut self, kind: &str) -> Option<u8> {
        kind_number(&mut self.device_kinds, kind).map(|number| number as u8)
    }

    /// The number of a class of workload. Those beyond [`CLASSES`] are unknown.
    pub(crate) fn class(&mut self, class: &str) -> usize {
        if class.is_empty() {
            return 0;
        }
        if let Some(known) = self.classes.iter().position(|known| **known == *class) {
            return known + 1;
        }
        if self.classes.len() + 1 >= CLASSES {
            return 0;
        }
        self.classes.push(class.into());
        self.classes.len()
    }

    pub(crate) fn kinds_of(&self, sandboxes: u32) -> Vec<Arc<str>> {
        let kinds = self.sandboxes.iter().enumerate();
        kinds.filter(|(bit, _)| sandboxes >> bit & 1 == 1).map(|(_, kind)| kind.clone()).collect()
    }

    pub(crate) fn place(&mut self, state: &mut State, spec: &NodeSpec) -> (u32, u32) {
        let next = (self.zones.len() as u32).min(PLACES_MAX as u32 - 1);
        let zone = *self.zones.entry(spec.zone.clone()).or_insert(next);
        let next = (self.racks.len() as u32).min(PLACES_MAX as u32 - 1);
        let rack = *self.racks.entry((zone, spec.rack.clone())).or_insert(next);
        state.zones = state.zones.max(zone + 1);
        if rack as usize >= state.racks.len() {
            Arc::make_mut(&mut state.racks).resize(rack as usize + 1, zone);
        }
        (zone, rack)
    }

    /// The number of a set of taints; `None` when too many differ.
    pub(crate) fn taint_set(&mut self, state: &mut State, taints: &[Taint]) -> Option<u32> {
        let mut taints = taints.to_vec();
        taints.sort();
        taints.dedup();
        let taints: Arc<[Taint]> = taints.into();
        if let Some(known) = self.taint_sets.get(&taints) {
            return Some(*known);
        }
        let number = self.taint_sets.len() as u32;
        if number as usize >= TAINT_SETS_MAX {
            return None;
        }
        Arc::make_mut(&mut state.taint_sets).push(Arc::clone(&taints));
        self.taint_sets.insert(taints, number);
        Some(number)
    }

    /// The number of a requirement, held once more, and whether it is new.
    pub(crate) fn requirement(&mut self, requirement: &Requirement) -> (u32, bool) {
        if let Some(&known) = self.requirements.get(requirement) {
            self.required[known as usize].1 += 1;
            return (known, false);
        }
        let number = self.requirements_free.pop().unwrap_or(self.required.len() as u32);
        if number as usize == self.required.len() {
            self.required.push((None, 0));
        }
        self.required[number as usize] = (Some(requirement.clone()), 1);
        self.requirements.insert(requirement.clone(), number);
        (number, true)
    }

    pub(crate) fn release_requirement(&mut self, number: u32) {
        let (requirement, holds) = &mut self.required[number as usize];
        *holds -= 1;
        if *holds == 0
            && let Some(requirement) = requirement.take()
        {
            self.requirements.remove(&requirement);
            self.requirements_free.push(number);
        }
    }

    /// Every requirement some shape has.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = (u32, &Requirement)> {
        let numbered = self.required.iter().zip(0..);
        numbered.filter_map(|((requirement, _), number)| Some((number, requirement.as_ref()?)))
    }

    /// Names held, all told: what must not grow for ever.
    pub(crate) fn len(&self) -> usize {
        self.marks.len() + self.held.len() + self.requirements.len()
    }
}

fn kind_number(kinds: &mut Vec<Arc<str>>, kind: &str) -> Option<usize> {
    if let Some(known) = kinds.iter().position(|known| **known == *kind) {
        return Some(known);
    }
    if kinds.len() >= KINDS_MAX {
        return None;
    }
    kinds.push(kind.into());
    Some(kinds.len() - 1)
}
