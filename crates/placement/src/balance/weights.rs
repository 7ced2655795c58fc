//! [`Weights`]: how much each score counts, as one value that is compared, bounded,
//! searched and written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::registry::{Entry, POLICIES, Phase};

/// Scores there are.
pub const SCORES: usize = {
    let (mut count, mut at) = (0, 0);
    while at < POLICIES.len() {
        if matches!(POLICIES[at].phase, Phase::Score) {
            count += 1;
        }
        at += 1;
    }
    count
};

/// Heaviest a learned weight may be. Weights count as shares of their sum, so this is
/// a bound on how far one score can drown the others.
pub const WEIGHT_MAX: f32 = 20.0;

/// A weight for each score, by its place among the registry's scores. Finite, 0 to
/// [`WEIGHT_MAX`], and not all 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, f32>", into = "BTreeMap<String, f32>")]
pub struct Weights([f32; SCORES]);

/// The scores in the order of [`Weights`].
pub fn scores() -> impl Iterator<Item = &'static Entry> {
    POLICIES.iter().filter(|entry| entry.phase == Phase::Score)
}

impl Weights {
    /// Weights from numbers in the order of [`scores`], each brought within bounds. What
    /// is no number is 0; if nothing is left, all count the same.
    pub fn bounded(mut weights: [f32; SCORES]) -> Self {
        for weight in &mut weights {
            *weight = if *weight > 0.0 { weight.min(WEIGHT_MAX) } else { 0.0 };
        }
        if weights.iter().sum::<f32>() <= f32::MIN_POSITIVE {
            weights = [1.0; SCORES];
        }
        Weights(weights)
    }

    /// Those of the default profile.
    pub fn default_profile() -> Self {
        Weights::from_fn(|entry| entry.default_weight.unwrap_or(0.0))
    }

    /// One score and nothing else.
    pub fn single(name: &str) -> Self {
        Weights::from_fn(|entry| f32::from(u8::from(entry.name == name)))
    }

    /// By a rule.
    pub fn from_fn(weight: impl Fn(&Entry) -> f32) -> Self {
        let mut weights = [0.0; SCORES];
        for (slot, entry) in weights.iter_mut().zip(scores()) {
            *slot = weight(entry);
        }
        Weights::bounded(weights)
    }

    /// The weight of a score; `None` for what is no score.
    pub fn of(&self, name: &str) -> Option<f32> {
        scores().zip(self.0).find(|(entry, _)| entry.name == name).map(|(_, weight)| weight)
    }

    /// The weights in the order of [`scores`].
    pub fn values(&self) -> &[f32; SCORES] {
        &self.0
    }

    /// What is not 0, heaviest first, as shares of the sum.
    pub fn shares(&self) -> Vec<(&'static str, f32)> {
        let sum: f32 = self.0.iter().sum();
        let mut shares: Vec<(&str, f32)> = scores()
            .zip(self.0)
            .filter(|(_, weight)| *weight > 0.0)
            .map(|(entry, weight)| (entry.name, weight / sum))
            .collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }
}

/// What is wrong with weights that were written down.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("weight of {score}: found {found}, allowed is 0 to {WEIGHT_MAX}")]
pub struct WeightError {
    score: String,
    found: f32,
}

impl TryFrom<BTreeMap<String, f32>> for Weights {
    type Error = WeightError;

    /// Scores that are not known (any more) are passed over: weights may be older than
    /// the program.
    fn try_from(named: BTreeMap<String, f32>) -> Result<Self, WeightError> {
        for (score, found) in &named {
            if !(0.0..=WEIGHT_MAX).contains(found) {
                return Err(WeightError { score: score.clone(), found: *found });
            }
        }
        Ok(Weights::from_fn(|entry| named.get(entry.name).copied().unwrap_or(0.0)))
    }
}

impl From<Weights> for BTreeMap<String, f32> {
    fn from(weights: Weights) -> Self {
        let named = scores().zip(weights.0).filter(|(_, weight)| *weight > 0.0);
        named.map(|(entry, weight)| (entry.name.to_owned(), weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stay_within_bounds_whatever_is_given() {
        let mut wild = [f32::NAN; SCORES];
        (wild[0], wild[1], wild[2]) = (-1.0, f32::INFINITY, 3.0);
        let weights = Weights::bounded(wild);
        assert_eq!(weights.values()[..4], [0.0, WEIGHT_MAX, 3.0, 0.0]);
        assert_eq!(Weights::bounded([f32::NAN; SCORES]).values(), &[1.0; SCORES]);
        assert_eq!(Weights::single("spot-risk").shares(), [("spot-risk", 1.0)]);
    }

    #[test]
    fn they_are_written_by_name_and_unknown_names_are_passed_over() {
        let weights = Weights::default_profile();
        let json = serde_json::to_string(&weights).unwrap();
        assert!(json.contains("\"warm-first\":2.0") && !json.contains("most-allocated"));
        assert_eq!(serde_json::from_str::<Weights>(&json).unwrap(), weights);
        let old = serde_json::from_str::<Weights>(r#"{"gone": 3.0, "spot-risk": 1.0}"#);
        assert_eq!(old.unwrap(), Weights::single("spot-risk"));
        let wrong = serde_json::from_str::<Weights>(r#"{"spot-risk": -1.0}"#).unwrap_err();
        assert!(wrong.to_string().contains("weight of spot-risk: found -1"), "{wrong}");
    }
}
