//! What was learned, as metrics.

use gapless_placement::balance::{ContextReport, Regime, Report, Rollback};
use gapless_telemetry::Metrics;

/// Shows what was learned as metrics.
pub(super) fn tell(metrics: &Metrics, report: &Report) {
    let balance = &metrics.balance;
    for reason in Rollback::ALL {
        let count = report.rollbacks.get(reason.as_str()).copied().unwrap_or(0);
        balance.rollbacks(reason.as_str(), count);
    }
    balance.regime(report.regime.as_str(), &Regime::ALL.map(Regime::as_str));
    for context in report.contexts.iter().filter(|c| c.windows > 0 || c.regime == report.regime) {
        let (class, regime) = (context.class_name(), context.regime.as_str());
        balance.gain(&class, regime, f64::from(context.gain), f64::from(context.gain_ci95));
        let shares = context.weights.shares();
        balance.weights(
            &class,
            regime,
            shares.iter().map(|(name, share)| (*name, f64::from(*share))),
        );
        for arm in &context.arms {
            balance.arm(&class, regime, &arm.name, arm.plays, f64::from(arm.share));
        }
    }
    balance.keep_arms(|class, regime, arm| {
        let is_it = |c: &&ContextReport| c.class_name() == class && c.regime.as_str() == regime;
        let context = report.contexts.iter().find(is_it);
        context.is_some_and(|context| context.arms.iter().any(|known| known.name == arm))
    });
}
