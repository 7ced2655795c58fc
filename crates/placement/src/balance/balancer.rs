//! [`Balancer`]: every context, the arms they play, and the table that follows. It is
//! told what came of placements and, every few seconds, that time has passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::class::Class;
use super::context::Context;
use super::estimate::Draws;
use super::guard::Rollback;
use super::likeness::Likeness;
use super::outlook::Outlook;
use super::prior::Prior;
use super::refine::mutate;
use super::regime::{REGIME_COUNT, Regime};
use super::situation::{Past, Situation};
use super::table::{ArmId, Played, Share, Table};
use super::weights::Weights;
use crate::profile::Profile;

/// Shapes whose usual cost is remembered; those beyond are told by their class.
const SHAPES_MAX: usize = 50_000;
/// What a new cost counts for in what is usual for a shape.
const USUAL_SHARE: f32 = 0.02;
/// Costs of a shape before they are usual.
const USUAL_AFTER: u32 = 5;
/// How a balancer learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// What every draw follows from.
    pub seed: u64,
    /// At most this share of decisions is not played by the leader.
    pub explore_max: f32,
    /// The same where the leader is known to be better than the default, and costs are what
    /// they were: an instance that is placed apart opens a node for itself, and others follow.
    pub explore_sure: f32,
    /// At least this share is always the default arm's, unless frozen.
    pub default_min: f32,
    /// How much worse than the default the leader may be, as a share of the cost.
    pub bound: f32,
    /// After so many windows of being worse, or of costs that make no sense, the default
    /// leads.
    pub windows: u32,
    /// For so many windows nothing else may lead then.
    pub rest: u32,
    /// Observations of a context that make a window.
    pub window_min: u32,
    /// Whether new vectors are made from good ones.
    pub refines: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 1,
            explore_max: 0.01,
            explore_sure: 0.0005,
            default_min: 0.00025,
            bound: 0.02,
            windows: 5,
            rest: 20,
            window_min: 64,
            refines: true,
        }
    }
}

/// What came of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// A number for its shape: costs are compared with what is usual for it.
    pub shape: u64,
    /// By what it was placed.
    pub played: Played,
    /// What it cost: its share of the objective, 0 and above; lower is better.
    pub cost: f32,
    /// Whether it did not start, or was lost.
    pub failed: bool,
}

/// An arm.
#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) id: ArmId,
    pub(crate) name: Arc<str>,
    pub(crate) weights: Weights,
    pub(crate) profile: Arc<Profile>,
    /// The only context that plays it, for one that was made up there.
    pub(crate) home: Option<Key>,
}

/// What is usual for a shape, by regime.
#[derive(Clone, Copy, Debug, Default)]
struct Usual {
    mean: [f32; REGIME_COUNT],
    count: [u32; REGIME_COUNT],
}

impl Usual {
    /// What was usual before this cost, which is counted from now on.
    fn before(&mut self, regime: Regime, cost: f32) -> Option<f32> {
        let at = regime.index();
        let (mean, count) = (self.mean[at], self.count[at]);
        if cost.is_finite() && cost >= 0.0 {
            self.count[at] = count.saturating_add(1);
            let share = USUAL_SHARE.max(1.0 / self.count[at] as f32);
            // One outlier must not become what is usual.
            let most = if count >= USUAL_AFTER { mean * 10.0 } else { cost };
            self.mean[at] += share * (cost.min(most) - mean);
        }
        (count >= USUAL_AFTER).then_some(mean)
    }
}

/// One class in one regime, or all classes of a regime together.
pub(crate) type Key = (Option<Class>, Regime);

/// Learns weights.
#[derive(Clone, Debug)]
pub struct Balancer {
    pub(crate) config: Config,
    pub(crate) prior: Prior,
    /// The prior's cases, without and with nodes that may be taken away.
    pub(crate) likeness: [Likeness; 2],
    base: Arc<Profile>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) next_arm: u32,
    pub(crate) contexts: BTreeMap<Key, Context>,
    pub(crate) regime: Regime,
    /// What is seen of the cluster, as a moving mean.
    pub(crate) situation: Option<Situation>,
    pub(crate) past: Past,
    /// What that makes of the prior's arms, without and with nodes that may be taken away.
    pub(crate) outlook: [Outlook; 2],
    usual: HashMap<u64, Usual, FixedState>,
    pub(crate) draws: Draws,
    pub(crate) is_frozen: bool,
    pub(crate) rollbacks: [u64; Rollback::ALL.len()],
    pub(crate) observed: u64,
}

impl Balancer {
    /// One that knows what the prior knows.
    pub fn new(config: Config, prior: Prior) -> Self {
        let mut balancer = Balancer {
            config,
            likeness: [false, true].map(|has_spot| Likeness::of(&prior, has_spot)),
            prior,
            base: Arc::new(Profile::balanced()),
            arms: Vec::new(),
            next_arm: 1,
            contexts: BTreeMap::new(),
            regime: Regime::default(),
            situation: None,
            past: Past::default(),
            outlook: Default::default(),
            usual: HashMap::default(),
            draws: Draws::new(config.seed),
            is_frozen: false,
            rollbacks: [0; Rollback::ALL.len()],
            observed: 0,
        };
        for arm in balancer.prior.arms.clone() {
            balancer.add_arm(arm.name, arm.weights, None);
        }
        for has_spot in [false, true] {
            balancer.look(has_spot);
        }
        balancer
    }

    /// The profile whose weights it balances: give it to the shapes that are to be.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.base
    }

    /// The regime it takes the cluster to be in.
    pub fn regime(&self) -> Regime {
        self.regime
    }

    /// How it learns.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Stops learning and trying: the leaders play every decision. Or goes on.
    pub fn set_frozen(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    /// Whether it is frozen.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// How often a context went back to the default for a reason.
    pub fn rollbacks(&self, reason: Rollback) -> u64 {
        self.rollbacks[reason as usize]
    }

    /// Something came of an instance.
    pub fn observe(&mut self, observation: Observation) {
        let Observation { shape, played, cost, failed } = observation;
        if self.is_frozen {
            return;
        }
        self.observed += 1;
        let is_known = self.usual.contains_key(&shape) || self.usual.len() < SHAPES_MAX;
        let usual = is_known
            .then(|| self.usual.entry(shape).or_default().before(played.regime, cost))
            .flatten();
        for class in [None, Some(played.class)] {
            let context = self.context((class, played.regime));
            // An arm that is not played any more has nothing to teach.
            if context.estimate(played.arm).is_some() {
                context.observe(played.arm, cost, usual, failed);
            }
        }
    }

    /// Time has passed and the cluster is in this regime and situation. The new table, if
    /// it changed.
    pub fn tick(&mut self, regime: Regime, seen: Option<&Situation>) -> Option<Arc<Table>> {
        let mut has_changed = std::mem::replace(&mut self.regime, regime) != regime;
        if !self.is_frozen {
            if let Some(seen) = seen {
                let mut seen = *seen;
                self.past.tell(&mut seen);
                self.situation.get_or_insert(seen).follow(&seen);
            }
            has_changed |= self.look(regime.has_spot());
            let config = self.config;
            // Those of all classes first: classes follow them.
            let due: Vec<Key> = self
                .contexts
                .iter()
                .filter(|(_, context)| context.is_due(&config))
                .map(|(key, _)| *key)
                .collect();
            has_changed |= !due.is_empty();
            for key in due {
                self.close(key);
            }
        }
        has_changed.then(|| self.table())
    }

    fn close(&mut self, key: Key) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        let led = context.leader;
        let closed = context.close(&self.config, &mut self.draws);
        if let Some(reason) = closed.rollback {
            self.rollbacks[reason as usize] += 1;
            if key.0.is_none() {
                self.roll_back_classes(key.1, led, reason);
            }
        }
        if let Some(retired) = closed.retired {
            self.arms.retain(|arm| arm.id != retired);
        }
        if closed.wants_new && self.config.refines {
            self.make_up(key);
        }
        self.follow(key.1);
    }

    /// What is bad for all classes together is so for each that plays it.
    fn roll_back_classes(&mut self, regime: Regime, led: ArmId, reason: Rollback) {
        let config = self.config;
        let classes = self.contexts.iter_mut().filter(|((class, of), context)| {
            class.is_some() && *of == regime && context.leader == led
        });
        classes.for_each(|(_, context)| context.roll_back(reason, &config));
    }

    /// Has the classes of a regime follow what leads for all of them.
    pub(crate) fn follow(&mut self, regime: Regime) {
        let leader = self.context((None, regime)).leader;
        let classes = self.contexts.iter_mut();
        for (_, context) in classes.filter(|((class, of), _)| class.is_some() && *of == regime) {
            if context.is_known {
                context.follow(leader);
            }
        }
    }

    /// A new vector near the leader's, for one context. One that led and does not any
    /// more makes room.
    fn make_up(&mut self, key: Key) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        let Some(leader) = self.arms.iter().find(|arm| arm.id == context.leader) else { return };
        let weights = mutate(&leader.weights, context.step, &mut self.draws);
        let first = leader.name.split('~').next().unwrap_or_default();
        let name: Arc<str> = format!("{first}~{}", self.next_arm).into();
        let leads = context.leader;
        let is_past = |arm: &Arm| arm.home == Some(key) && arm.id != leads;
        let past: Vec<ArmId> = self.arms.iter().filter(|a| is_past(a)).map(|a| a.id).collect();
        context.arms.retain(|played| !past.contains(&played.arm));
        self.arms.retain(|arm| !past.contains(&arm.id));
        let id = self.add_arm(name, weights, Some(key));
        if let Some(context) = self.contexts.get_mut(&key) {
            context.add(id);
        }
    }

    pub(crate) fn add_arm(&mut self, name: Arc<str>, weights: Weights, home: Option<Key>) -> ArmId {
        let id = ArmId(self.next_arm);
        self.next_arm += 1;
        self.insert_arm(id, name, weights, home);
        id
    }

    pub(crate) fn insert_arm(
        &mut self,
        id: ArmId,
        name: Arc<str>,
        weights: Weights,
        home: Option<Key>,
    ) {
        let profile = Arc::new(self.base.weighted(&format!("default, arm {name}"), &weights));
        self.arms.push(Arm { id, name, weights, profile, home });
    }

    /// A context, made with what is known of it. A class that was never seen plays what
    /// leads for all classes together: beside them, anything else would be an experiment.
    /// Where nothing is known of those either, that is the default.
    fn context(&mut self, key: Key) -> &mut Context {
        if !self.contexts.contains_key(&key) {
            let shared: Vec<&Arm> = self.arms.iter().filter(|arm| arm.home.is_none()).collect();
            let known: Vec<_> = shared.iter().map(|arm| (arm.id, self.known(arm, key))).collect();
            let of_all = |arm: &&&Arm| self.known(arm, (None, key.1)).is_some();
            let is_known = known.iter().any(|(_, gain)| gain.is_some())
                || shared.iter().any(|arm| of_all(&arm));
            let mut context = Context::new(known.into_iter());
            context.is_known = is_known;
            if key.0.is_none()
                && let Some(favourite) = self.outlook[usize::from(key.1.has_spot())].favourite
            {
                context.prefer(favourite);
            }
            if key.0.is_some() && is_known {
                let base = self.context((None, key.1)).leader;
                context.follow(base);
            }
            self.contexts.insert(key, context);
        }
        self.contexts.get_mut(&key).expect("inserted above")
    }

    /// What each arm plays in a context that there is: `(arm, share)`.
    pub(crate) fn shares(&self, key: Key) -> Vec<(ArmId, f32)> {
        let context = &self.contexts[&key];
        if self.is_frozen {
            return vec![(context.leader, 1.0)];
        }
        let together = self.contexts.get(&(None, key.1));
        let follows = together.filter(|together| together.leader == context.leader);
        let is_better = context.is_better() || follows.is_some_and(Context::is_better);
        let is_alarmed = context.is_alarmed() || together.is_some_and(Context::is_alarmed);
        let tried = together.and_then(|together| together.tried);
        context.shares(&self.config, tried, is_better, is_alarmed)
    }

    /// What is to be played in the current regime.
    pub fn table(&mut self) -> Arc<Table> {
        let mut table = Table::new(self.regime);
        for class in Class::all() {
            self.context((Some(class), self.regime));
            let shares: Vec<Share> = self
                .shares((Some(class), self.regime))
                .into_iter()
                .filter_map(|(id, share)| {
                    let arm = self.arms.iter().find(|arm| arm.id == id)?;
                    Some(Share { arm: id, profile: Arc::clone(&arm.profile), share })
                })
                .collect();
            table.set(class, &shares);
        }
        Arc::new(table)
    }
}
