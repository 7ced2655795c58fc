//! The instances of a fleet and the phase each is in.

use std::collections::BTreeMap;

use gapless_types::{InstanceId, Time};

/// Where an instance is in its life, as the fleet sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// On its way; `has_begun` when a node is at it.
    Starting { has_begun: bool },
    /// It serves, since then.
    Ready { since: Time },
    /// The gateway was asked to give it back.
    Retiring { since: Time },
    /// It was told to end.
    Stopping,
}

/// Instances by id, which is by age: ids count up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instances {
    phases: BTreeMap<InstanceId, Phase>,
    starting: u32,
    ready: u32,
    retiring: u32,
}

impl Instances {
    pub(crate) fn starting(&self) -> u32 {
        self.starting
    }

    pub(crate) fn ready(&self) -> u32 {
        self.ready
    }

    pub(crate) fn retiring(&self) -> u32 {
        self.retiring
    }

    pub(crate) fn len(&self) -> usize {
        self.phases.len()
    }

    pub(crate) fn phase(&self, instance: InstanceId) -> Option<Phase> {
        self.phases.get(&instance).copied()
    }

    /// Puts an instance, new or known, into a phase.
    pub(crate) fn set(&mut self, instance: InstanceId, phase: Phase) {
        let former = self.phases.insert(instance, phase);
        self.count(former, Some(phase));
    }

    pub(crate) fn remove(&mut self, instance: InstanceId) -> Option<Phase> {
        let former = self.phases.remove(&instance);
        self.count(former, None);
        former
    }

    /// The youngest `count` at the most of those in a phase that `is_meant`.
    pub(crate) fn youngest(&self, count: u32, is_meant: impl Fn(Phase) -> bool) -> Vec<InstanceId> {
        let meant = self.phases.iter().rev().filter(|(_, phase)| is_meant(**phase));
        meant.map(|(instance, _)| *instance).take(count as usize).collect()
    }

    /// When the longest-serving instance became ready.
    pub(crate) fn ready_since(&self) -> Option<Time> {
        let since = self.phases.values().filter_map(|phase| match phase {
            Phase::Ready { since } | Phase::Retiring { since } => Some(*since),
            Phase::Starting { .. } | Phase::Stopping => None,
        });
        since.min()
    }

    fn count(&mut self, from: Option<Phase>, to: Option<Phase>) {
        if let Some(counter) = self.counter(from) {
            *counter -= 1;
        }
        if let Some(counter) = self.counter(to) {
            *counter += 1;
        }
    }

    fn counter(&mut self, phase: Option<Phase>) -> Option<&mut u32> {
        match phase? {
            Phase::Starting { .. } => Some(&mut self.starting),
            Phase::Ready { .. } => Some(&mut self.ready),
            Phase::Retiring { .. } => Some(&mut self.retiring),
            Phase::Stopping => None,
        }
    }
}
