//! [`Prior`]: the weight vectors that a search found offline, and cases: what each was
//! worth in situations that were simulated. `gapless lab balance --tune` makes it;
//! `prior.json` is what is shipped, and says how it was made.
//!
//! What is expected of a vector in a new situation is the mean over the cases, each
//! counted by how like it is (Nadaraya 1964, Watson 1964; a Gaussian of the distance),
//! and the mean over all of them counted as well: where nothing is like it, that is what
//! remains. A mean over cases can be explained by naming them, which no fitted model can.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::situation::{FEATURE_COUNTS, FEATURE_NAMES, FEATURES, Situation};
use super::weights::Weights;

/// Scores that nothing rewards where weights are searched: groups are not modelled, and
/// one decider with a fresh view has no use for drawing two nodes. They keep weight 0.
pub(crate) const NEVER_REWARDED: [&str; 3] = ["group-pack", "group-spread", "power-of-two-choices"];

/// How far from each other situations are alike: the root of the mean square over their
/// numbers, by what each counts for, in shares of how much it differs between cases.
const BANDWIDTH: f32 = 0.5;
/// What the mean over all cases counts for, against a case that is just the same.
const ALL_TOGETHER: f32 = 0.1;
/// The least by which a number differs between cases.
const SCALE_MIN: f32 = 0.05;
/// The least that an expected gain is in doubt.
const DEVIATION_MIN: f32 = 0.03;
/// Arms one prior may have.
const ARMS_MAX: usize = 12;

/// Arms, and what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prior {
    /// How it was made, for people.
    #[serde(default)]
    pub made_by: String,
    /// The weight vectors.
    pub arms: Vec<PriorArm>,
    /// What the numbers of a case's situation are, in their order.
    #[serde(default)]
    pub features: Vec<String>,
    /// What each is worth in what situations.
    #[serde(default)]
    pub cases: Vec<PriorCase>,
}

/// A weight vector with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorArm {
    /// Its name, in reports.
    pub name: Arc<str>,
    /// Its weights.
    pub weights: Weights,
}

/// A situation, and what each arm was worth in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorCase {
    /// Its name, in reports.
    pub name: Arc<str>,
    /// What was seen of it.
    pub situation: Situation,
    /// How much better than the default arm each was, as a share of the cost, in the
    /// order of the arms.
    pub gains: Vec<f32>,
}

/// What is wrong with a prior.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the balancer's prior: {0}")]
pub struct PriorError(String);

impl Prior {
    /// No arms but the default: nothing is balanced.
    pub fn none() -> Self {
        Prior::default()
    }

    /// The one that is shipped.
    pub fn shipped() -> Self {
        Prior::read(include_str!("../../prior.json")).expect("tested below")
    }

    /// The same arms, of which nothing is known.
    #[must_use]
    pub fn without_knowledge(mut self) -> Self {
        self.cases.clear();
        self
    }

    /// Reads one.
    pub fn read(json: &str) -> Result<Self, PriorError> {
        let prior: Prior =
            serde_json::from_str(json).map_err(|error| PriorError(error.to_string()))?;
        if prior.arms.len() > ARMS_MAX {
            let found = prior.arms.len();
            return Err(PriorError(format!("has {found} arms, allowed are {ARMS_MAX}")));
        }
        for (at, arm) in prior.arms.iter().enumerate() {
            if prior.arms[..at].iter().any(|other| other.name == arm.name) {
                return Err(PriorError(format!("has two arms called {:?}", arm.name)));
            }
        }
        if !prior.cases.is_empty() && prior.features != FEATURE_NAMES {
            let found = prior.features.join(", ");
            let known = FEATURE_NAMES.join(", ");
            return Err(PriorError(format!("has cases told by {found}; known are {known}")));
        }
        for case in &prior.cases {
            let count = case.gains.len();
            if count != prior.arms.len() {
                let arms = prior.arms.len();
                return Err(PriorError(format!(
                    "the case {:?} has {count} gains for {arms} arms",
                    case.name
                )));
            }
            if !case.situation.0.iter().chain(&case.gains).all(|number| number.is_finite()) {
                let message = format!("the case {:?} has a number that is none", case.name);
                return Err(PriorError(message));
            }
        }
        Ok(prior)
    }

    /// What each arm is expected to gain over the default, and the standard deviation of
    /// that. Of a situation that is not known yet, what it is by the nodes alone counts.
    /// None where nothing is known.
    pub fn expected(
        &self,
        situation: Option<&Situation>,
        has_spot: bool,
    ) -> Option<Vec<(f32, f32)>> {
        let shares = self.likeness(situation, has_spot);
        if shares.is_empty() {
            return None;
        }
        let of = |arm: usize| {
            let mean: f32 = shares.iter().map(|(at, w)| w * self.cases[*at].gains[arm]).sum();
            // How much less it was, where it was less: the deviation downwards, as gains are
            // far from even and what matters is how bad it could be.
            let less = |at: usize| (mean - self.cases[at].gains[arm]).max(0.0);
            let squares = shares.iter().map(|(at, w)| 2.0 * w * less(*at).powi(2));
            (mean, squares.sum::<f32>().sqrt().max(DEVIATION_MIN))
        };
        Some((0..self.arms.len()).map(of).collect())
    }

    /// What each case counts for in a situation, of 1: cases by number.
    pub(crate) fn likeness(
        &self,
        situation: Option<&Situation>,
        has_spot: bool,
    ) -> Vec<(usize, f32)> {
        let is_alike = |case: &PriorCase| case.situation.has_spot() == has_spot;
        let mut its: Vec<usize> =
            (0..self.cases.len()).filter(|at| is_alike(&self.cases[*at])).collect();
        if its.is_empty() {
            its = (0..self.cases.len()).collect();
        }
        let scales = self.scales(&its);
        let alike = |at: &usize| {
            situation.map_or(0.0, |situation| {
                (-distance(situation, &self.cases[*at].situation, &scales) / 2.0).exp()
            })
        };
        let weights: Vec<f32> = its.iter().map(alike).collect();
        let all = weights.iter().sum::<f32>() + ALL_TOGETHER;
        let even = ALL_TOGETHER / its.len().max(1) as f32;
        its.into_iter().zip(weights).map(|(at, weight)| (at, (weight + even) / all)).collect()
    }

    /// How much each number differs between cases: what a distance is measured in.
    fn scales(&self, cases: &[usize]) -> [f32; FEATURES] {
        let count = cases.len().max(1) as f32;
        std::array::from_fn(|feature| {
            let values = || cases.iter().map(|at| self.cases[*at].situation.0[feature]);
            let mean = values().sum::<f32>() / count;
            let squares = values().map(|value| (value - mean).powi(2)).sum::<f32>();
            (squares / count).sqrt().max(SCALE_MIN)
        })
    }
}

/// The square of the distance of two situations, in [`BANDWIDTH`]s.
fn distance(one: &Situation, other: &Situation, scales: &[f32; FEATURES]) -> f32 {
    let of = |at: usize| FEATURE_COUNTS[at] * ((one.0[at] - other.0[at]) / scales[at]).powi(2);
    let squares: f32 = (0..FEATURES).map(of).sum();
    squares / FEATURE_COUNTS.iter().sum::<f32>() / (BANDWIDTH * BANDWIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prior_is_sound_and_says_how_it_was_made() {
        let prior = Prior::shipped();
        assert!(!prior.made_by.is_empty());
        for arm in &prior.arms {
            for name in NEVER_REWARDED {
                assert_eq!(arm.weights.of(name), Some(0.0), "{}: {name}", arm.name);
            }
        }
    }

    #[test]
    fn a_wrong_prior_is_refused_by_what_is_wrong() {
        let with = |arms: &str, cases: &str| {
            let features = serde_json::to_string(&FEATURE_NAMES).unwrap();
            let json =
                format!(r#"{{"arms": [{arms}], "features": {features}, "cases": [{cases}]}}"#);
            Prior::read(&json).map_err(|error| error.to_string())
        };
        let case = |gains: &str| {
            let situation = serde_json::to_string(&Situation::default()).unwrap();
            format!(r#"{{"name": "c", "situation": {situation}, "gains": {gains}}}"#)
        };
        let arm = r#"{"name": "a", "weights": {"spot-risk": 1}}"#;
        assert!(with(arm, &case("[0.1]")).is_ok());
        assert!(with(arm, &case("[0.1, 0.2]")).unwrap_err().contains("2 gains for 1 arms"));
        let twice = with(&format!("{arm}, {arm}"), "").unwrap_err();
        assert!(twice.contains("two arms called \"a\""), "{twice}");
        let other = r#"{"arms": [], "features": ["mood"], "cases": [{"name": "c", "situation": [0,0,0,0,0,0,0,0], "gains": []}]}"#;
        assert!(Prior::read(other).unwrap_err().to_string().contains("told by mood"));
        let arm = r#"{"name": "a", "weights": {"spot-risk": -1}}"#;
        assert!(with(arm, "").unwrap_err().contains("weight of spot-risk"));
    }

    #[test]
    fn what_is_expected_follows_the_cases_that_are_alike() {
        let arm =
            |name: &str| PriorArm { name: name.into(), weights: Weights::single("spot-risk") };
        let at = |reserved: f32| {
            let mut situation = Situation::default();
            situation.0[0] = reserved;
            situation
        };
        let case = |name: &str, reserved, gains: [f32; 2]| PriorCase {
            name: name.into(),
            situation: at(reserved),
            gains: gains.to_vec(),
        };
        let mut cases: Vec<PriorCase> = Vec::new();
        for _ in 0..5 {
            cases.push(case("quiet", 0.1, [0.3, 0.1]));
            cases.push(case("full", 0.9, [0.0, 0.2]));
        }
        let prior = Prior { arms: vec![arm("a"), arm("b")], cases, ..Prior::default() };
        let expected = |situation: Option<Situation>| {
            let found = prior.expected(situation.as_ref(), false).unwrap();
            (found[0].0, found[1].0)
        };
        let (quiet, full) = (expected(Some(at(0.1))), expected(Some(at(0.9))));
        assert!(quiet.0 > 0.2 && quiet.0 > quiet.1 && full.1 > full.0, "{quiet:?} {full:?}");
        let mean = expected(None);
        assert!((mean.0 - 0.15).abs() < 1e-5 && (mean.1 - 0.15).abs() < 1e-5, "{mean:?}");
        let never_seen = expected(Some(at(30.0)));
        assert!((never_seen.0 - mean.0).abs() < 1e-5, "{never_seen:?}");
        assert!(prior.without_knowledge().expected(None, false).is_none());
    }
}
