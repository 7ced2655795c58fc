//! How much of what is decided does not play the leader, and who plays that.
//!
//! Little where much is known. An instance that is placed apart opens a node for itself,
//! others follow it to where code is by then, and the cluster takes minutes to be as it
//! was: in the simulator, one decision in a hundred played by the default costs 1% of the
//! objective where nodes last, and 5% where some are taken away. So where the leader is known to be
//! better than the default it is one in a thousand, until costs rise.

use super::balancer::Config;
use super::context::Context;
use super::estimate::{Draws, Estimate};
use super::table::ArmId;

/// Costs that are above the slow level by this share are looked into.
const ALARM: f32 = 0.5;
/// The leader is known to be better than the default if the chance that it is not is less.
const SURE: f32 = 0.1;

impl Context {
    /// Whether the leader is known to be better than the default.
    pub(crate) fn is_better(&self) -> bool {
        let default = self.estimate(ArmId::DEFAULT);
        self.leader != ArmId::DEFAULT && default.is_some_and(|default| default.better() < SURE)
    }

    /// Whether costs are well above what they used to be.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.level > self.slow_level * (1.0 + ALARM)
    }

    /// Draws who is tried next: by the chance that it is the best (Thompson 1933).
    pub(crate) fn try_one(&mut self, draws: &mut Draws) {
        let others = self.arms.iter().filter(|played| {
            let is_own = played.is_new || self.base.is_none();
            played.arm != self.leader && played.arm != ArmId::DEFAULT && is_own
        });
        let drawn = others.map(|played| {
            let estimate = &played.estimate;
            (played.arm, estimate.mean + estimate.deviation() * draws.normal())
        });
        self.tried = drawn.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(arm, _)| arm);
    }

    /// What each arm plays: `(arm, share)`, the leader's last. `tried` is tried by all
    /// classes together, so that its instances meet each other as they would if it led.
    pub(crate) fn shares(
        &self,
        config: &Config,
        tried: Option<ArmId>,
        is_better: bool,
        is_alarmed: bool,
    ) -> Vec<(ArmId, f32)> {
        let is_sure = is_better && !is_alarmed;
        let most = if is_sure { config.explore_sure } else { config.explore_max };
        let share = |arm: ArmId, least: f32| {
            let hope = self.estimate(arm).map_or(0.5, Estimate::better);
            (most * 2.0 * hope).clamp(least.min(most), most)
        };
        let mut shares = Vec::with_capacity(4);
        let mut left = most;
        let mut push = |arm: ArmId, share: f32| {
            let share = share.min(left);
            left -= share;
            shares.push((arm, share));
        };
        if self.leader != ArmId::DEFAULT {
            // Whether the default would do better is then the first thing to know.
            let least = if is_alarmed { most / 2.0 } else { config.default_min };
            push(ArmId::DEFAULT, share(ArmId::DEFAULT, least));
        }
        let is_other = |arm: &ArmId| *arm != self.leader && *arm != ArmId::DEFAULT;
        for tried in [self.tried.filter(is_other), tried.filter(is_other)].into_iter().flatten() {
            push(tried, share(tried, 0.0) / 2.0);
        }
        let explored: f32 = shares.iter().map(|(_, share)| share).sum();
        shares.push((self.leader, 1.0 - explored));
        shares
    }
}
