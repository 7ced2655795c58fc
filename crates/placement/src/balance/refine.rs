//! New weight vectors from good ones: a step of an evolution strategy, (1+1) with the
//! step's size adapted by success (Rechenberg 1973). The arms of the prior were found
//! offline by a search over many vectors; this is what goes on where they are used.

use super::estimate::Draws;
use super::weights::{SCORES, Weights, scores};

/// The share of weights that are changed in one step.
const CHANGED: f32 = 0.4;
/// The chance that a score which did not count begins to.
const WOKEN: f32 = 0.05;

/// Weights near `weights`: some multiplied by a random factor.
pub(crate) fn mutate(weights: &Weights, step: f32, draws: &mut Draws) -> Weights {
    let values = weights.values();
    let positive = values.iter().filter(|weight| **weight > 0.0).count().max(1);
    let mean = values.iter().sum::<f32>() / positive as f32;
    let mut changed: [f32; SCORES] = *values;
    for (weight, entry) in changed.iter_mut().zip(scores()) {
        let (chance, factor) = (draws.unit(), (step * draws.normal()).exp());
        if *weight > 0.0 && chance < CHANGED {
            *weight *= factor;
        } else if *weight == 0.0
            && chance < WOKEN
            && !super::prior::NEVER_REWARDED.contains(&entry.name)
        {
            *weight = 0.3 * mean * factor;
        }
    }
    Weights::bounded(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stays_near_and_in_bounds() {
        let weights = Weights::default_profile();
        let mut draws = Draws::new(3);
        let mut woken = 0;
        for _ in 0..200 {
            let near = mutate(&weights, 0.3, &mut draws);
            for (name, share) in near.shares() {
                assert!(share.is_finite() && share > 0.0);
                assert!(!super::super::prior::NEVER_REWARDED.contains(&name));
                woken += usize::from(weights.of(name) == Some(0.0));
            }
        }
        assert!(woken > 10, "{woken}");
        assert_eq!(mutate(&weights, 0.0, &mut Draws::new(2)).of("warm-first"), Some(2.0));
    }
}
