//! [`Saved`]: everything a balancer learned, to be written down and read back. What is
//! usual for shapes is not in it: their numbers mean nothing to another process, and it
//! is learned anew within a few instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::balancer::{Balancer, Config, Key};
use super::class::Class;
use super::context::Context;
use super::estimate::Draws;
use super::guard::Rollback;
use super::prior::{Prior, PriorArm};
use super::regime::Regime;
use super::situation::{Past, Situation};
use super::table::ArmId;
use super::weights::Weights;

/// The version of what is written.
const VERSION: u32 = 3;

/// What a balancer learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    version: u32,
    /// The arms it began with.
    began_with: Vec<PriorArm>,
    arms: Vec<SavedArm>,
    next_arm: u32,
    contexts: Vec<SavedContext>,
    regime: Regime,
    situation: Option<Situation>,
    past: Past,
    draws: Draws,
    is_frozen: bool,
    rollbacks: [u64; Rollback::ALL.len()],
    observed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedArm {
    id: ArmId,
    name: Arc<str>,
    weights: Weights,
    home: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedContext {
    class: Option<Class>,
    regime: Regime,
    learned: Context,
}

/// Why what was saved is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// Another version wrote it.
    #[error("it has version {found}, this program reads {VERSION}")]
    Version {
        /// The one found.
        found: u32,
    },
    /// It began with other arms.
    #[error("it was learned beginning with other weights than this program's")]
    OtherPrior,
    /// It names what it does not have.
    #[error("it plays arms it does not have")]
    Torn,
}

impl Balancer {
    /// What it learned.
    pub fn save(&self) -> Saved {
        let arm = |arm: &super::balancer::Arm| SavedArm {
            id: arm.id,
            name: Arc::clone(&arm.name),
            weights: arm.weights.clone(),
            home: arm.home,
        };
        let context = |(key, learned): (&Key, &Context)| SavedContext {
            class: key.0,
            regime: key.1,
            learned: learned.clone(),
        };
        Saved {
            version: VERSION,
            began_with: self.prior.arms.clone(),
            arms: self.arms.iter().map(arm).collect(),
            next_arm: self.next_arm,
            contexts: self.contexts.iter().map(context).collect(),
            regime: self.regime,
            situation: self.situation,
            past: self.past,
            draws: self.draws,
            is_frozen: self.is_frozen,
            rollbacks: self.rollbacks,
            observed: self.observed,
        }
    }

    /// One that goes on where another ended.
    pub fn restore(config: Config, prior: Prior, saved: Saved) -> Result<Self, SavedError> {
        if saved.version != VERSION {
            return Err(SavedError::Version { found: saved.version });
        }
        if saved.began_with != prior.arms {
            return Err(SavedError::OtherPrior);
        }
        let has = |id: ArmId| id == ArmId::DEFAULT || saved.arms.iter().any(|arm| arm.id == id);
        let plays = |context: &Context| {
            let mut all = context.arms.iter().map(|played| played.arm);
            all.all(has) && context.estimate(context.leader).is_some()
        };
        if !saved.contexts.iter().all(|context| plays(&context.learned)) {
            return Err(SavedError::Torn);
        }
        let mut balancer = Balancer::new(config, prior);
        balancer.arms.clear();
        for arm in saved.arms {
            balancer.insert_arm(arm.id, arm.name, arm.weights, arm.home);
        }
        balancer.next_arm = saved.next_arm;
        // Before there are contexts: what was learned has in it what was expected.
        (balancer.situation, balancer.past) = (saved.situation, saved.past);
        [false, true].into_iter().for_each(|has_spot| balancer.look_anew(has_spot));
        let contexts = saved.contexts.into_iter();
        balancer.contexts = contexts
            .map(|context| ((context.class, context.regime), context.learned))
            .collect::<BTreeMap<_, _>>();
        balancer.regime = saved.regime;
        balancer.draws = saved.draws;
        balancer.is_frozen = saved.is_frozen;
        (balancer.rollbacks, balancer.observed) = (saved.rollbacks, saved.observed);
        Ok(balancer)
    }
}
