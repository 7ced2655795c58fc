//! [`Outlook`]: what the prior expects of its arms where the cluster is now, and how that
//! moves what contexts believe.
//!
//! What is believed of an arm is what is expected of it and what was learned on top. When
//! the situation changes, the former changes at once; the latter stays. So after a change
//! of workload nothing is learned anew that was known of such workloads.

use super::balancer::{Arm, Balancer, Key};
use super::estimate::UNKNOWN_DEVIATION;
use super::regime::Regime;
use super::table::ArmId;

/// How much of what is known in one regime is believed of the same class in another.
const BORROWED: f32 = 0.7;
/// Another arm must be expected to gain so much more before it takes over: what was placed
/// by the one is in the way of the other.
const FAVOUR_MARGIN: f32 = 0.005;

/// What the prior expects of its arms in the present situation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outlook {
    /// Gains over the default with their deviations, by arm.
    pub(crate) gains: Vec<(ArmId, (f32, f32))>,
    /// Who is to lead for all together, unless what is learned is against it.
    pub(crate) favourite: Option<ArmId>,
}

impl Outlook {
    fn of(&self, arm: ArmId) -> Option<(f32, f32)> {
        self.gains.iter().find(|(id, _)| *id == arm).map(|(_, gain)| *gain)
    }

    /// Who is favoured with these gains: the best, but whoever is now by a margin; the
    /// default where nothing is expected to gain.
    fn favoured(&self, gains: &[(ArmId, (f32, f32))]) -> Option<ArmId> {
        let margin = |id: ArmId| if self.favourite == Some(id) { FAVOUR_MARGIN } else { 0.0 };
        let worth = |(id, (gain, _)): &(ArmId, (f32, f32))| gain + margin(*id);
        let best = gains.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
        Some(if best.1.0 > 0.0 { best.0 } else { ArmId::DEFAULT })
    }
}

impl Balancer {
    /// What is known of an arm in a context that was not played yet: by the prior, else
    /// by the same class in other regimes, believed less.
    pub(crate) fn known(&self, arm: &Arm, (class, regime): Key) -> Option<(f32, f32)> {
        let outlook = &self.outlook[usize::from(regime.has_spot())];
        if let Some((gain, deviation)) = outlook.of(arm.id) {
            // What all together gain says less of each.
            let of_class = if class.is_some() { UNKNOWN_DEVIATION / 2.0 } else { 0.0 };
            return Some((gain, deviation.hypot(of_class)));
        }
        let learned = |other: Regime| {
            let context = self.contexts.get(&(class, other)).filter(|c| c.windows > 0)?;
            let (default, of) = (context.estimate(ArmId::DEFAULT)?, context.estimate(arm.id)?);
            let variance = default.variance + of.variance;
            Some((of.mean - default.mean, variance.sqrt()))
        };
        let mut found: Vec<(f32, f32)> = alike(regime).filter_map(learned).collect();
        if found.is_empty() {
            found = Regime::ALL.into_iter().filter_map(learned).collect();
        }
        let count = found.len() as f32;
        let mean = found.iter().map(|(mean, _)| mean).sum::<f32>() / count;
        let deviation = found.iter().map(|(_, deviation)| deviation).sum::<f32>() / count;
        (count > 0.0).then(|| (BORROWED * mean, deviation.hypot(UNKNOWN_DEVIATION / 2.0)))
    }

    /// The same for one that was just read back.
    pub(crate) fn look_anew(&mut self, has_spot: bool) {
        self.outlook[usize::from(has_spot)] = Outlook::default();
        self.look(has_spot);
    }

    /// Sees what the prior expects of the present situation, and has every context believe
    /// that much more or less of its arms. Whether another arm is to lead for all together.
    pub(crate) fn look(&mut self, has_spot: bool) -> bool {
        let likeness = &self.likeness[usize::from(has_spot)];
        let Some(gains) = likeness.expected(&self.prior, self.situation.as_ref()) else {
            return false;
        };
        let is_shared = |arm: &&Arm| arm.home.is_none();
        let arms: Vec<ArmId> = self.arms.iter().filter(is_shared).map(|arm| arm.id).collect();
        let now: Vec<_> = arms.into_iter().zip(gains).collect();
        let before = &self.outlook[usize::from(has_spot)];
        let favourite = before.favoured(&now);
        let more: Vec<(ArmId, f32)> = now
            .iter()
            .map(|(id, (gain, _))| (*id, gain - before.of(*id).map_or(*gain, |(gain, _)| gain)))
            .collect();
        let has_changed = favourite != before.favourite;
        self.outlook[usize::from(has_spot)] = Outlook { gains: now, favourite };
        let its = self.contexts.iter_mut().filter(|((_, regime), _)| regime.has_spot() == has_spot);
        for ((class, _), context) in its {
            context.shift(&more);
            if let (true, None, Some(favourite)) = (has_changed, class, favourite) {
                context.prefer(favourite);
            }
        }
        if has_changed {
            let followed: Vec<Regime> = self
                .contexts
                .keys()
                .filter(|(class, regime)| class.is_none() && regime.has_spot() == has_spot)
                .map(|(_, regime)| *regime)
                .collect();
            followed.into_iter().for_each(|regime| self.follow(regime));
        }
        has_changed
    }
}

/// The regimes in which the same nodes are more or less full.
fn alike(regime: Regime) -> impl Iterator<Item = Regime> {
    Regime::ALL.into_iter().filter(move |other| other.has_spot() == regime.has_spot())
}
