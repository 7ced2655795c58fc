//! What was learned, for people: by context, which arm leads, with what weights, by how
//! much and how sure, and who else was tried how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::balancer::{Balancer, Key};
use super::class::Class;
use super::guard::Rollback;
use super::regime::Regime;
use super::situation::FEATURE_NAMES;
use super::table::ArmId;
use super::weights::Weights;

/// Half a 95% interval, in standard deviations.
const Z95: f32 = 1.96;

/// Cases that are named.
const ALIKE_SHOWN: usize = 4;

/// What a balancer learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The regime the cluster is in.
    pub regime: Regime,
    /// Whether learning is frozen.
    pub is_frozen: bool,
    /// Outcomes it was told of.
    pub observed: u64,
    /// How often contexts went back to the default, by reason.
    pub rollbacks: BTreeMap<String, u64>,
    /// What the present resembles, and what follows from it.
    pub situation: Option<SituationReport>,
    /// Contexts that were played, and those of the present regime.
    pub contexts: Vec<ContextReport>,
}

/// What the prior expects where the cluster is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SituationReport {
    /// What is seen: by name, about 0 to 1; nothing while there is little to be seen.
    pub seen: BTreeMap<String, f32>,
    /// The cases that are most like it, and what each counts for, of 1.
    pub alike: BTreeMap<String, f32>,
    /// What each arm is expected to gain over the default, as a share of the cost.
    pub expected: BTreeMap<String, f32>,
    /// The arm that is favoured for all classes together.
    pub favourite: Option<String>,
}

/// One class in one regime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextReport {
    /// The class; of all together without one.
    pub class: Option<Class>,
    /// The regime.
    pub regime: Regime,
    /// The arm that leads.
    pub leader: String,
    /// How much better it is than the default, as a share of the cost.
    pub gain: f32,
    /// Half of that figure's 95% interval.
    pub gain_ci95: f32,
    /// Windows that ended.
    pub windows: u32,
    /// Mean cost.
    pub cost: f32,
    /// Times it went back to the default.
    pub rollbacks: u32,
    /// Why it did last.
    pub last_rollback: Option<Rollback>,
    /// Windows until anything but the default may lead again.
    pub rests: u32,
    /// The leader's weights.
    pub weights: Weights,
    /// Every arm, the leader first.
    pub arms: Vec<ArmReport>,
}

/// One arm in one context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmReport {
    /// Its name.
    pub name: String,
    /// Its share of decisions now.
    pub share: f32,
    /// Instances it placed whose outcome is known.
    pub plays: u64,
    /// How much better it is than the leader, as a share of the cost.
    pub advantage: f32,
    /// The standard deviation of that.
    pub deviation: f32,
}

impl ContextReport {
    /// The class in words.
    pub fn class_name(&self) -> String {
        self.class.map_or_else(|| "all classes".to_owned(), |class| class.to_string())
    }
}

impl Balancer {
    /// What was learned.
    pub fn report(&self) -> Report {
        let rollbacks = Rollback::ALL
            .iter()
            .map(|reason| (reason.as_str().to_owned(), self.rollbacks(*reason)));
        let contexts = self.contexts.iter();
        let is_expected = !self.prior.cases.is_empty();
        let told = contexts.filter(|((_, regime), context)| {
            context.windows > 0 || is_expected && *regime == self.regime
        });
        Report {
            regime: self.regime,
            is_frozen: self.is_frozen,
            observed: self.observed,
            rollbacks: rollbacks.collect(),
            situation: self.situation_report(),
            contexts: told.map(|(key, _)| self.context_report(*key)).collect(),
        }
    }

    fn situation_report(&self) -> Option<SituationReport> {
        let has_spot = self.regime.has_spot();
        let likeness = &self.likeness[usize::from(has_spot)];
        let mut alike = self.situation.as_ref().map_or_else(Vec::new, |of| likeness.counts(of));
        alike.sort_by(|a, b| b.1.total_cmp(&a.1));
        let outlook = &self.outlook[usize::from(has_spot)];
        let seen = self.situation.iter().flat_map(|it| FEATURE_NAMES.iter().zip(it.0));
        let case = |(at, share): &(usize, f32)| (self.prior.cases[*at].name.to_string(), *share);
        let gain = |(id, (gain, _)): &(ArmId, (f32, f32))| (self.arm_name(*id).to_owned(), *gain);
        (!self.prior.cases.is_empty()).then(|| SituationReport {
            seen: seen.map(|(name, value)| ((*name).to_owned(), value)).collect(),
            alike: alike.iter().take(ALIKE_SHOWN).map(case).collect(),
            expected: outlook.gains.iter().map(gain).collect(),
            favourite: outlook.favourite.map(|id| self.arm_name(id).to_owned()),
        })
    }

    fn context_report(&self, (class, regime): Key) -> ContextReport {
        let context = &self.contexts[&(class, regime)];
        let (gain, deviation) = context.gain();
        let shares = self.shares((class, regime));
        let share = |id: ArmId| shares.iter().find(|(arm, _)| *arm == id).map_or(0.0, |(_, s)| *s);
        let mut arms: Vec<ArmReport> = context
            .arms
            .iter()
            .map(|played| ArmReport {
                name: self.arm_name(played.arm).to_owned(),
                share: share(played.arm),
                plays: played.estimate.plays,
                advantage: played.estimate.mean,
                deviation: played.estimate.deviation(),
            })
            .collect();
        let leader = self.arm_name(context.leader);
        arms.sort_by_key(|arm| arm.name != leader);
        ContextReport {
            class,
            regime,
            leader: leader.to_owned(),
            gain,
            gain_ci95: Z95 * deviation,
            windows: context.windows,
            cost: context.level,
            rollbacks: context.rollbacks,
            last_rollback: context.last_rollback,
            rests: context.rests,
            weights: self.arm_weights(context.leader),
            arms,
        }
    }

    /// The name of an arm.
    pub fn arm_name(&self, id: ArmId) -> &str {
        match id {
            ArmId::DEFAULT => "default",
            id => self.arms.iter().find(|arm| arm.id == id).map_or("gone", |arm| &arm.name),
        }
    }

    fn arm_weights(&self, id: ArmId) -> Weights {
        let found = self.arms.iter().find(|arm| arm.id == id);
        found.map_or_else(Weights::default_profile, |arm| arm.weights.clone())
    }

    /// What a context plays now: the leader's name and weights.
    pub fn leader(&self, class: Class, regime: Regime) -> (&str, Weights) {
        let context = self.contexts.get(&(Some(class), regime));
        let id = context.map_or(ArmId::DEFAULT, |context| context.leader);
        (self.arm_name(id), self.arm_weights(id))
    }
}
