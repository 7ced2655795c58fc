//! What came of a run: the objective and its parts, over time and in all.

use std::collections::BTreeMap;

use gapless_placement::balance::{Class, Cost, FEATURES, Regime, Situation};
use serde::Serialize;

/// Means over instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Costs {
    /// Instances.
    pub instances: f64,
    /// Time from being asked for to the end of the work, over the least it could take.
    pub slowdown: f64,
    /// What of that is time under neighbours: the time of the work over its least.
    pub interference: f64,
    /// Node time an instance pays for, over what it would at a full node of usual price.
    pub node_hours: f64,
    /// Instances that found no room, did not start, or were lost; more for many at once.
    pub failures: f64,
    /// Share of strangers beside instances that mind, over all instances.
    pub exposure: f64,
}

impl Costs {
    /// The objective: lower is better.
    pub fn objective(&self) -> f64 {
        let Costs { slowdown, node_hours, failures, exposure, .. } = *self;
        Cost { slowdown, node_hours, failures, exposure }.total()
    }

    pub(crate) fn add(&mut self, one: &Costs) {
        let (count, all) = (one.instances, self.instances + one.instances);
        if all <= 0.0 {
            return;
        }
        for (mean, new) in [
            (&mut self.slowdown, one.slowdown),
            (&mut self.interference, one.interference),
            (&mut self.node_hours, one.node_hours),
            (&mut self.failures, one.failures),
            (&mut self.exposure, one.exposure),
        ] {
            *mean += (new - *mean) * count / all;
        }
        self.instances = all;
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Means by stretch of the run, in order, all of the same length.
    pub stretches: Vec<Costs>,
    /// What could be seen of the cluster, in the last moment of each stretch.
    pub situations: Vec<Option<Situation>>,
    /// Node-seconds that anything was on, by price.
    pub node_s: f64,
    /// Decisions that played something else than the leader.
    pub explored: u64,
    /// Placements.
    pub placed: u64,
    /// Instances and mean cost of each class in each regime, as placed.
    pub contexts: BTreeMap<(Class, Regime), (f64, f64)>,
    /// Placements a filter would not have allowed: none.
    pub infeasible: u64,
}

impl Outcome {
    /// Means over a part of the run, by shares of it.
    pub fn over(&self, from: f64, to: f64) -> Costs {
        let mut all = Costs::default();
        part(&self.stretches, from, to).for_each(|costs| all.add(costs));
        all
    }

    /// What could be seen in a part of the run, on average; none if nothing could.
    pub fn situation(&self, from: f64, to: f64) -> Option<Situation> {
        let seen: Vec<Situation> = part(&self.situations, from, to).flatten().copied().collect();
        let count = seen.len() as f32;
        let mean = |at: usize| seen.iter().map(|one| one.0[at]).sum::<f32>() / count;
        (!seen.is_empty()).then(|| Situation(std::array::from_fn::<f32, FEATURES, _>(mean)))
    }
}

/// What of a run's stretches is between two shares of it.
fn part<T>(stretches: &[T], from: f64, to: f64) -> impl Iterator<Item = &T> {
    let count = stretches.len() as f64;
    let is_in = move |at: usize| {
        let at = at as f64 / count;
        at >= from - 1e-9 && at < to - 1e-9
    };
    stretches.iter().enumerate().filter(move |(at, _)| is_in(*at)).map(|(_, one)| one)
}
