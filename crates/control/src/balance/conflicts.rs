//! Which scores pull against which, over the candidates that functions have.

use std::collections::HashMap;
use std::sync::Arc;

use gapless_placement::conflicts::{Conflicts, Pair};
use gapless_placement::{Profile, Shape, State, reference};

use crate::Control;

/// A rank correlation below this is worth a warning.
const FIGHTS_BELOW: f32 = -0.5;
/// Functions whose candidates are ranked when somebody asks for conflicts.
const CONFLICT_SHAPES_MAX: usize = 200;

impl Control {
    /// Which scores pull against which, over the candidates that the functions have now,
    /// by class of workload. Looks at one function of each kind there is.
    pub(crate) fn conflicts(&self) -> Vec<(String, u32, Vec<Pair>)> {
        let base = Profile::balanced();
        let mut by_class: HashMap<String, Conflicts> = HashMap::new();
        for state in self.revisions().iter().take(CONFLICT_SHAPES_MAX) {
            let Some((view, shape)) = self.nodes().view_for(state.shape) else { continue };
            let Some(class) = self.nodes().class(state.shape) else { continue };
            by_class.entry(class.to_string()).or_default().sample(&view, &shape, &base);
        }
        let told = by_class.into_iter().map(|(class, c)| (class, c.samples(), c.pairs()));
        let mut told: Vec<_> = told.collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    }
}

/// Scores of a profile that rank nodes against each other, over a function's candidates
/// or, without one, over a modelled cluster.
pub(crate) fn fights(profile: &Arc<Profile>, on: Option<&(Arc<State>, Arc<Shape>)>) -> Vec<Pair> {
    let mut conflicts = Conflicts::default();
    if let Some((view, shape)) = on {
        conflicts.sample(view, shape, profile);
    }
    if conflicts.pairs().is_empty() {
        let (view, shape) = reference(profile);
        conflicts.sample(&view, &shape, profile);
    }
    conflicts.within(profile, FIGHTS_BELOW)
}
