//! [`Prior`]: the weight vectors that a search found offline, and cases: what each was
//! worth in situations that were simulated. `gapless lab balance --tune` makes it;
//! `prior.json` is what is shipped, and says how it was made.
//!
//! What is expected of a vector in a new situation follows from the cases that are like it
//! ([`super::likeness`]), which can be explained by naming them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::situation::{FEATURE_NAMES, Situation};
use super::weights::Weights;

/// Scores that nothing rewards where weights are searched: groups are not modelled, and
/// one decider with a fresh view has no use for drawing two nodes. They keep weight 0.
pub(crate) const NEVER_REWARDED: [&str; 3] = ["group-pack", "group-spread", "power-of-two-choices"];

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
        let other = r#"{"arms": [], "features": ["mood"], "cases": [{"name": "c", "situation": [0,0,0,0,0,0,0,0,0], "gains": []}]}"#;
        assert!(Prior::read(other).unwrap_err().to_string().contains("told by mood"));
        let arm = r#"{"name": "a", "weights": {"spot-risk": -1}}"#;
        assert!(with(arm, "").unwrap_err().contains("weight of spot-risk"));
    }
}
