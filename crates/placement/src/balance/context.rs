//! [`Context`]: one class in one regime, or all classes of a regime together. It counts
//! what came of each arm in a window, and when the window ends says which arm leads and
//! which is tried.
//!
//! Classes share nodes, so what suits one alone can be bad beside what the others play:
//! one class that spreads keeps nodes open that all others try to empty. So all classes
//! play what leads for all of them together, their *base*, and one departs from it only on
//! good evidence of its own.

use serde::{Deserialize, Serialize};

use super::balancer::Config;
use super::estimate::{Draws, Estimate, UNKNOWN_DEVIATION};
use super::guard::{Guard, Rollback};
use super::table::ArmId;
use super::window::{Tally, Window};

/// An arm takes over where it seems better by so many standard deviations. Much: what a
/// few instances gain among others that play the leader is not what all would gain, and
/// most arms that seem a little better are not.
const SWITCH_DEVIATIONS: f32 = 2.5;
/// The same for an arm that the prior knows, when nothing else is known yet.
const BEGIN_DEVIATIONS: f32 = 0.3;
/// The same for the default of a class, and for its base: where it came from.
const RETURN_DEVIATIONS: f32 = 1.0;
/// The same for an arm that was made up here, of which many are tried.
const ADOPT_DEVIATIONS: f32 = 2.5;
/// The same for one of the others that departs from the base.
const DEPART_DEVIATIONS: f32 = 3.0;
/// Less than this is not worth changing anything for.
const SWITCH_GAIN: f32 = 0.004;
/// What a new window counts for in the level and the spread.
const NEW_SHARE: f32 = 0.2;
/// The same in the slow level.
const SLOW_SHARE: f32 = 0.02;
/// Below this many windows nothing is refined.
const REFINE_AFTER: u32 = 10;
/// Tried so long without being better, a new vector is given up.
const CHALLENGE_WINDOWS: u32 = 40;

/// An arm in a context.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) arm: ArmId,
    pub(crate) estimate: Estimate,
    /// Whether it was made up here and has not proven itself.
    pub(crate) is_new: bool,
    /// Windows it has been here.
    age: u32,
}

/// One class in one regime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) leader: ArmId,
    /// Every arm but the leader is estimated against it; the leader's own is 0.
    pub(crate) arms: Vec<Played>,
    /// What leads for all classes together; of no meaning for those together.
    pub(crate) base: Option<ArmId>,
    /// Whether enough is known of a class to have it play what leads for all.
    pub(crate) is_known: bool,
    /// Who is tried beside the leader.
    pub(crate) tried: Option<ArmId>,
    /// Mean cost.
    pub(crate) level: f32,
    /// The same over many more windows.
    pub(crate) slow_level: f32,
    /// Variance of a cost around what is usual for its shape, as a share of the level's square.
    spread: f32,
    window: Window,
    guard: Guard,
    /// Windows that ended.
    pub(crate) windows: u32,
    /// Windows until anything but the default may lead again.
    pub(crate) rests: u32,
    pub(crate) rollbacks: u32,
    pub(crate) last_rollback: Option<Rollback>,
    /// How far new vectors are from the old ones.
    pub(crate) step: f32,
}

/// What the end of a window led to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Closed {
    pub(crate) rollback: Option<Rollback>,
    /// An arm that is not needed here any more.
    pub(crate) retired: Option<ArmId>,
    /// Whether a new vector near the leader's is wanted.
    pub(crate) wants_new: bool,
}

impl Context {
    /// With these arms, of which some are known to be better or worse than the default
    /// by a share, give or take.
    pub(crate) fn new(known: impl Iterator<Item = (ArmId, Option<(f32, f32)>)>) -> Self {
        let played = |arm, estimate| Played { arm, estimate, is_new: false, age: 0 };
        let mut arms = vec![played(ArmId::DEFAULT, Estimate::new(0.0, 0.0))];
        arms.extend(known.map(|(arm, gain)| {
            let (mean, deviation) = gain.unwrap_or((-0.02, UNKNOWN_DEVIATION));
            played(arm, Estimate::new(mean, deviation))
        }));
        let mut context = Context {
            leader: ArmId::DEFAULT,
            arms,
            base: None,
            is_known: false,
            tried: None,
            level: 0.0,
            slow_level: 0.0,
            spread: 0.25,
            window: Window::default(),
            guard: Guard::default(),
            windows: 0,
            rests: 0,
            rollbacks: 0,
            last_rollback: None,
            step: 0.4,
        };
        if let Some(best) = context.best(|_| BEGIN_DEVIATIONS) {
            context.lead(best);
        }
        context
    }

    pub(crate) fn estimate(&self, arm: ArmId) -> Option<&Estimate> {
        self.arms.iter().find(|played| played.arm == arm).map(|played| &played.estimate)
    }

    /// Arms are expected to be better than the default by so much more than before.
    pub(crate) fn shift(&mut self, more: &[(ArmId, f32)]) {
        let of = |arm: ArmId| more.iter().find(|(id, _)| *id == arm).map(|(_, more)| *more);
        // What was made up near the leader changes as the leader does.
        let leads = of(self.leader).unwrap_or(0.0);
        let leader = self.leader;
        for played in self.arms.iter_mut().filter(|played| played.arm != leader) {
            match of(played.arm) {
                Some(more) => played.estimate.mean += more - leads,
                None if played.arm == ArmId::DEFAULT => played.estimate.mean -= leads,
                None => {}
            }
        }
    }

    /// How much better the leader is than the default, as a share, and its standard deviation.
    pub(crate) fn gain(&self) -> (f32, f32) {
        let default = self.estimate(ArmId::DEFAULT);
        default.map_or((0.0, 0.0), |default| (-default.mean, default.deviation()))
    }

    /// One cost. `usual` is what is usual for the shape, if known.
    pub(crate) fn observe(&mut self, arm: ArmId, cost: f32, usual: Option<f32>, failed: bool) {
        let level = if self.level > 0.0 { self.level } else { cost };
        self.window.observe(arm, cost, usual, level, failed);
    }

    /// Whether enough was seen to end the window.
    pub(crate) fn is_due(&self, config: &Config) -> bool {
        self.window.count() + self.window.rejected >= config.window_min
    }

    /// Ends the window.
    pub(crate) fn close(&mut self, config: &Config, draws: &mut Draws) -> Closed {
        let window = std::mem::take(&mut self.window);
        self.windows = self.windows.saturating_add(1);
        self.rests = self.rests.saturating_sub(1);
        self.is_known |= self.windows >= config.windows;
        self.settle_level(&window);
        let leads = window.of(self.leader);
        let default = window.of(ArmId::DEFAULT);
        let against = |other: &Tally| self.difference(&leads, other);
        let default_difference = against(&default);
        let is_default = self.leader == ArmId::DEFAULT;
        let both = (!is_default && leads.count > 0).then_some((&leads, &default));
        // The guard asks the other way round: how much better is the leader?
        let better = default_difference.map(|(difference, variance)| (-difference, variance));
        let better = better.filter(|_| !is_default);
        let rollback = self.guard.judge(&window, both, better, config);
        if !self.guard.distrusts() {
            self.learn(&window, &leads);
        }
        let mut closed = Closed::default();
        if let Some(reason) = rollback {
            closed.rollback = (!is_default).then_some(reason);
            self.roll_back(reason, config);
        } else {
            self.switch(self.rests > 0);
        }
        closed.retired = self.retire();
        self.try_one(draws);
        closed.wants_new = self.rests == 0
            && self.leader != ArmId::DEFAULT
            && self.base.is_some()
            && self.windows >= REFINE_AFTER
            && !self.guard.distrusts()
            && !self.arms.iter().any(|played| played.is_new);
        closed
    }

    fn settle_level(&mut self, window: &Window) {
        let Some(mean) = window.mean() else { return };
        let is_first = self.level <= 0.0;
        self.level = if is_first { mean } else { self.level + NEW_SHARE * (mean - self.level) };
        let share = if is_first { 1.0 } else { SLOW_SHARE };
        self.slow_level += share * (self.level - self.slow_level);
        let spread = window.spread(self.level.max(f32::MIN_POSITIVE));
        self.spread += NEW_SHARE * (spread.clamp(1e-4, 100.0) - self.spread);
    }

    /// How much better `other` was than the leader, as a share, and the variance of that.
    fn difference(&self, leads: &Tally, other: &Tally) -> Option<(f32, f32)> {
        if leads.count == 0 || other.count == 0 {
            return None;
        }
        let level = self.level.max(f32::MIN_POSITIVE);
        let difference = (leads.mean() - other.mean()) / level;
        let counts = 1.0 / leads.count as f32 + 1.0 / other.count as f32;
        Some((difference, self.spread * counts))
    }

    fn learn(&mut self, window: &Window, leads: &Tally) {
        for at in 0..self.arms.len() {
            let arm = self.arms[at].arm;
            let tally = window.of(arm);
            self.arms[at].estimate.plays += u64::from(tally.count);
            self.arms[at].age += 1;
            if arm == self.leader {
                continue;
            }
            let seen = self.difference(leads, &tally);
            let estimate = &mut self.arms[at].estimate;
            estimate.age();
            if let Some((difference, variance)) = seen {
                estimate.observe(difference, variance);
            }
        }
    }

    /// Has the best arm lead.
    fn switch(&mut self, only_default: bool) {
        let base = self.base;
        let best = self.best(|played| match played.arm {
            ArmId::DEFAULT => RETURN_DEVIATIONS,
            _ if only_default => f32::INFINITY,
            arm if base == Some(arm) => RETURN_DEVIATIONS,
            _ if played.is_new => ADOPT_DEVIATIONS,
            _ if base.is_some() => DEPART_DEVIATIONS,
            _ => SWITCH_DEVIATIONS,
        });
        if let Some(best) = best {
            self.lead(best);
        }
    }

    /// Has an arm lead from the beginning, unless another is better by more than a deviation.
    pub(crate) fn prefer(&mut self, arm: ArmId) {
        let is_near = self.estimate(arm).is_some_and(|it| it.mean > -it.deviation());
        if arm != self.leader && is_near {
            self.lead(arm);
        }
    }

    /// The arm that is furthest ahead of the leader, of those ahead by so many deviations.
    fn best(&self, deviations: impl Fn(&Played) -> f32) -> Option<ArmId> {
        let ahead = self.arms.iter().filter(|played| {
            let estimate = &played.estimate;
            played.arm != self.leader
                && estimate.mean > SWITCH_GAIN
                && estimate.is_better(deviations(played))
        });
        let best = ahead.max_by(|a, b| a.estimate.mean.total_cmp(&b.estimate.mean));
        best.map(|played| played.arm)
    }

    /// Something else leads for all classes together. Who played what did follows.
    pub(crate) fn follow(&mut self, base: ArmId) {
        let before = self.base.replace(base);
        // What is known of a class alone stands where nothing is known of all together.
        let follows = match before {
            None => base != ArmId::DEFAULT,
            Some(before) => before == self.leader,
        };
        if follows && self.rests == 0 && base != self.leader && self.estimate(base).is_some() {
            self.lead(base);
        }
    }

    /// Has an arm lead: everything is estimated against it from now on.
    fn lead(&mut self, arm: ArmId) {
        let Some(new) = self.estimate(arm).copied() else { return };
        let most = UNKNOWN_DEVIATION * UNKNOWN_DEVIATION;
        for played in &mut self.arms {
            let estimate = &mut played.estimate;
            if played.arm == arm {
                (estimate.mean, estimate.variance, played.is_new) = (0.0, 0.0, false);
            } else if played.arm == self.leader {
                (estimate.mean, estimate.variance) = (-new.mean, new.variance);
            } else {
                estimate.mean -= new.mean;
                estimate.variance = (estimate.variance + new.variance).min(most);
            }
        }
        self.leader = arm;
        self.guard.reset();
    }

    /// The default leads, and for a while nothing else may. Nothing is believed of what
    /// led before.
    pub(crate) fn roll_back(&mut self, reason: Rollback, config: &Config) {
        let failed = self.leader;
        if failed != ArmId::DEFAULT {
            self.lead(ArmId::DEFAULT);
            self.rollbacks += 1;
            self.last_rollback = Some(reason);
        }
        for played in &mut self.arms {
            let estimate = &mut played.estimate;
            if played.arm == failed && failed != ArmId::DEFAULT {
                let mean = -config.bound - 0.5 * UNKNOWN_DEVIATION;
                *estimate =
                    Estimate { plays: estimate.plays, ..Estimate::new(mean, UNKNOWN_DEVIATION) };
            }
        }
        self.rests = config.rest;
    }

    /// Gives up a new vector that is not better.
    fn retire(&mut self) -> Option<ArmId> {
        let at = self.arms.iter().position(|played| {
            let is_hopeless = played.estimate.better() < 0.15 && played.estimate.plays > 20;
            played.is_new && (is_hopeless || played.age > CHALLENGE_WINDOWS)
        })?;
        self.step = (self.step * 0.9).max(0.1);
        Some(self.arms.remove(at).arm)
    }

    /// A new vector is there to be tried.
    pub(crate) fn add(&mut self, arm: ArmId) {
        let estimate = Estimate::new(-0.005, 0.05);
        self.arms.push(Played { arm, estimate, is_new: true, age: 0 });
    }
}
