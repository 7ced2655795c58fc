//! What the balancer learned, as metrics. Labels are few: classes, regimes, policies and
//! arms are closed sets.

use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::names;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ContextLabels {
    class: String,
    regime: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WeightLabels {
    class: String,
    regime: String,
    policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmLabels {
    class: String,
    regime: String,
    arm: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegimeLabels {
    regime: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RollbackLabels {
    reason: String,
}

type Share = Gauge<f64, AtomicU64>;

/// The balancer's metrics.
#[derive(Debug, Default)]
pub struct BalanceMetrics {
    weights: Family<WeightLabels, Share>,
    gain: Family<ContextLabels, Share>,
    gain_ci95: Family<ContextLabels, Share>,
    plays: Family<ArmLabels, Gauge<i64, AtomicI64>>,
    shares: Family<ArmLabels, Share>,
    rollbacks: Family<RollbackLabels, Counter>,
    regime: Family<RegimeLabels, Gauge<i64, AtomicI64>>,
    /// Weights and arms that were shown of a context, so that what is over is not shown.
    shown: Mutex<Vec<(WeightLabels, u64)>>,
    arms_shown: Mutex<Vec<ArmLabels>>,
}

impl BalanceMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = BalanceMetrics::default();
        let (weights, gain) = (metrics.weights.clone(), metrics.gain.clone());
        registry.register(
            names::BALANCE_WEIGHT,
            "Share of a score in the leading weights",
            weights,
        );
        registry.register(
            names::BALANCE_GAIN,
            "Estimated gain of the leading weights over the default profile's, as a share of the cost",
            gain,
        );
        registry.register(
            names::BALANCE_GAIN_CI95,
            "Half of the 95% interval of the estimated gain",
            metrics.gain_ci95.clone(),
        );
        registry.register(
            names::BALANCE_ARM_PLAYS,
            "Instances placed by an arm whose outcome is known",
            metrics.plays.clone(),
        );
        registry.register(
            names::BALANCE_ARM_SHARE,
            "Share of decisions that an arm takes",
            metrics.shares.clone(),
        );
        registry.register(
            names::BALANCE_ROLLBACKS,
            "Times a class went back to the default weights, by reason",
            metrics.rollbacks.clone(),
        );
        registry.register(
            names::BALANCE_REGIME,
            "1 for the regime that the cluster is in",
            metrics.regime.clone(),
        );
        metrics
    }

    /// How often contexts have gone back to the default for a reason, all told.
    pub fn rollbacks(&self, reason: &str, count: u64) {
        let labels = RollbackLabels { reason: reason.to_owned() };
        let counter = self.rollbacks.get_or_create(&labels);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// The regime of all that there are.
    pub fn regime(&self, now: &str, all: &[&str]) {
        for regime in all {
            let labels = RegimeLabels { regime: (*regime).to_owned() };
            self.regime.get_or_create(&labels).set(i64::from(*regime == now));
        }
    }

    /// How much better a context's leader is than the default, and half of the interval.
    pub fn gain(&self, class: &str, regime: &str, gain: f64, ci95: f64) {
        let labels = ContextLabels { class: class.to_owned(), regime: regime.to_owned() };
        self.gain.get_or_create(&labels).set(gain);
        self.gain_ci95.get_or_create(&labels).set(ci95);
    }

    /// The weights of a context's leader, as shares.
    pub fn weights<'a>(
        &self,
        class: &str,
        regime: &str,
        shares: impl Iterator<Item = (&'a str, f64)>,
    ) {
        let mut shown = self.shown.lock();
        let is_its = |labels: &WeightLabels| labels.class == class && labels.regime == regime;
        shown.iter_mut().filter(|(labels, _)| is_its(labels)).for_each(|(_, seen)| *seen = 0);
        for (policy, share) in shares {
            let labels = WeightLabels {
                class: class.to_owned(),
                regime: regime.to_owned(),
                policy: policy.to_owned(),
            };
            self.weights.get_or_create(&labels).set(share);
            match shown.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, seen)) => *seen = 1,
                None => shown.push((labels, 1)),
            }
        }
        shown.retain(|(labels, seen)| {
            let stays = *seen == 1 || !is_its(labels);
            if !stays {
                self.weights.remove(labels);
            }
            stays
        });
    }

    /// One arm of a context.
    pub fn arm(&self, class: &str, regime: &str, arm: &str, plays: u64, share: f64) {
        let labels =
            ArmLabels { class: class.to_owned(), regime: regime.to_owned(), arm: arm.to_owned() };
        self.plays.get_or_create(&labels).set(i64::try_from(plays).unwrap_or(i64::MAX));
        self.shares.get_or_create(&labels).set(share);
        let mut shown = self.arms_shown.lock();
        if !shown.contains(&labels) {
            shown.push(labels);
        }
    }

    /// Arms that are not played any more are not shown any more.
    pub fn keep_arms(&self, is_played: impl Fn(&str, &str, &str) -> bool) {
        self.arms_shown.lock().retain(|labels| {
            let stays = is_played(&labels.class, &labels.regime, &labels.arm);
            if !stays {
                self.plays.remove(labels);
                self.shares.remove(labels);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;

    #[test]
    fn what_is_over_is_not_shown() {
        let mut registry = Registry::default();
        let metrics = BalanceMetrics::register(&mut registry);
        metrics.weights("c", "low", [("spot-risk", 0.25), ("warm-first", 0.75)].into_iter());
        metrics.weights("c", "low", [("spot-risk", 1.0)].into_iter());
        metrics.arm("c", "low", "pack~3", 7, 0.1);
        metrics.keep_arms(|_, _, arm| arm != "pack~3");
        metrics.arm("c", "low", "pack", 9, 0.9);
        metrics.rollbacks("worse", 2);
        metrics.rollbacks("worse", 2);
        metrics.regime("low", &["low", "high"]);
        metrics.gain("c", "low", 0.2, 0.05);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        let weight = "gapless_balance_weight{class=\"c\",regime=\"low\",policy=\"spot-risk\"} 1.0";
        assert!(shown.contains(weight), "{shown}");
        assert!(!shown.contains("warm-first") && !shown.contains("pack~3"), "{shown}");
        assert!(
            shown.contains("gapless_balance_arm_plays{class=\"c\",regime=\"low\",arm=\"pack\"} 9")
        );
        assert!(shown.contains("gapless_balance_rollbacks_total{reason=\"worse\"} 2"), "{shown}");
        assert!(shown.contains("gapless_balance_regime{regime=\"high\"} 0"), "{shown}");
    }
}
