//! [`Prior`]: the weight vectors that a search found offline, and what they were worth
//! in each context. `gapless lab balance --tune` makes it; `prior.json` is what is
//! shipped, and says how it was made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::regime::Regime;
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
    /// What each is worth where.
    #[serde(default)]
    pub rows: Vec<PriorRow>,
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

/// What one arm was worth in one context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorRow {
    /// The class of workload; of all together without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The regime.
    pub regime: Regime,
    /// The arm's name.
    pub arm: Arc<str>,
    /// How much better than the default arm, as a share of the cost.
    pub gain: f32,
    /// The standard deviation of that: how much it differed between workloads.
    pub deviation: f32,
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
        self.rows.clear();
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
        for row in &prior.rows {
            if !prior.arms.iter().any(|arm| arm.name == row.arm) {
                return Err(PriorError(format!(
                    "a row names the arm {:?}, which is not there",
                    row.arm
                )));
            }
            if !(row.gain.is_finite() && row.deviation.is_finite() && row.deviation > 0.0) {
                let message = format!(
                    "gain {} or deviation {} of {} is none",
                    row.gain, row.deviation, row.arm
                );
                return Err(PriorError(message));
            }
        }
        Ok(prior)
    }

    /// What is known of an arm in a context.
    pub(crate) fn gain(
        &self,
        class: Option<Class>,
        regime: Regime,
        arm: &str,
    ) -> Option<(f32, f32)> {
        let is_it =
            |row: &&PriorRow| row.class == class && row.regime == regime && *row.arm == *arm;
        self.rows.iter().find(is_it).map(|row| (row.gain, row.deviation))
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
        let row = r#"{"class": "run-bound/steady/light/near", "regime": "low", "arm": "a", "gain": 0.1, "deviation": 0.0}"#;
        let with = |arms: &str| Prior::read(&format!(r#"{{"arms": [{arms}], "rows": [{row}]}}"#));
        assert!(with("").unwrap_err().to_string().contains("\"a\", which is not there"));
        let arm = r#"{"name": "a", "weights": {"spot-risk": 1}}"#;
        assert!(with(arm).unwrap_err().to_string().contains("deviation 0 of a"));
        let twice = with(&format!("{arm}, {arm}")).unwrap_err().to_string();
        assert!(twice.contains("two arms called \"a\""), "{twice}");
        let arm = r#"{"name": "a", "weights": {"spot-risk": -1}}"#;
        assert!(with(arm).unwrap_err().to_string().contains("weight of spot-risk"));
    }
}
