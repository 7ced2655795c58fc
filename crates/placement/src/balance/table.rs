//! [`Table`]: which weights are played, as decisions read it. Immutable: a new one is
//! made off the hot path and takes the place of the old one between two decisions. A
//! decision draws an arm by its share, which costs a look-up of a short row.

use std::sync::Arc;

use smallvec::SmallVec;

use super::class::{CLASS_COUNT, Class};
use super::regime::Regime;
use crate::profile::Profile;

/// A weight vector that is being played, by a number that is never used again.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct ArmId(pub u32);

impl ArmId {
    /// The weights of the shape's own profile.
    pub const DEFAULT: ArmId = ArmId(0);
}

/// What an instance was placed by: kept with it, so that what comes of it is counted
/// for whom it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// The arm.
    pub arm: ArmId,
    /// For which class.
    pub class: Class,
    /// In which regime.
    pub regime: Regime,
}

/// The share of decisions that one arm takes.
#[derive(Clone, Debug)]
pub struct Share {
    /// The arm.
    pub arm: ArmId,
    /// Its weights; of no meaning for the default arm.
    pub profile: Arc<Profile>,
    /// Its share, of 1.
    pub share: f32,
}

#[derive(Clone, Debug)]
struct Slot {
    arm: ArmId,
    profile: Arc<Profile>,
    /// Random numbers below this, and not below the one before, are its.
    below: u32,
}

/// Which arms are played for each class, in the regime the cluster is in.
#[derive(Clone, Debug)]
pub struct Table {
    regime: Regime,
    rows: [SmallVec<[Slot; 4]>; CLASS_COUNT],
}

impl Table {
    /// A table in which every class plays its own profile.
    pub fn new(regime: Regime) -> Self {
        Table { regime, rows: Default::default() }
    }

    /// Sets what a class plays. What is left of 1 is the default arm's.
    pub fn set(&mut self, class: Class, shares: &[Share]) {
        let mut below = 0.0_f64;
        let row = shares.iter().filter(|share| share.arm != ArmId::DEFAULT).map(|share| {
            below += f64::from(share.share.clamp(0.0, 1.0));
            let profile = Arc::clone(&share.profile);
            Slot { arm: share.arm, profile, below: (below * f64::from(u32::MAX)) as u32 }
        });
        self.rows[class.index()] = row.collect();
    }

    /// The regime it is for.
    pub fn regime(&self) -> Regime {
        self.regime
    }

    /// The arm of one decision; `None` is the default arm.
    #[inline]
    pub fn draw(&self, class: Class, random: u32) -> Option<(ArmId, &Arc<Profile>)> {
        let row = &self.rows[class.index()];
        let slot = row.iter().find(|slot| random < slot.below)?;
        Some((slot.arm, &slot.profile))
    }

    /// The arm with the largest share; `None` is the default arm.
    #[inline]
    pub fn leader(&self, class: Class) -> Option<(ArmId, &Arc<Profile>)> {
        let row = &self.rows[class.index()];
        let mut before = 0;
        let mut best: Option<(u32, &Slot)> = None;
        for slot in row {
            let share = slot.below - before;
            before = slot.below;
            if best.is_none_or(|(most, _)| share > most) {
                best = Some((share, slot));
            }
        }
        let (share, slot) = best?;
        (share >= u32::MAX - before).then_some((slot.arm, &slot.profile))
    }

    /// Whether some class plays this arm with these very weights.
    pub(crate) fn plays(&self, arm: ArmId, profile: &Arc<Profile>) -> bool {
        let slots = self.rows.iter().flatten();
        slots.into_iter().any(|slot| slot.arm == arm && Arc::ptr_eq(&slot.profile, profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_drawn_by_their_shares_and_the_rest_is_the_default() {
        let profile = Arc::new(Profile::balanced());
        let share = |arm, share| Share { arm: ArmId(arm), profile: Arc::clone(&profile), share };
        let mut table = Table::new(Regime::Low);
        let class = Class::new(true, false, false, false);
        table.set(class, &[share(7, 0.25), share(9, 0.5), share(0, 0.25)]);
        let drawn = |random: f64| {
            let random = (random * f64::from(u32::MAX)) as u32;
            table.draw(class, random).map_or(0, |(arm, _)| arm.0)
        };
        assert_eq!([0.1, 0.3, 0.74, 0.76, 1.0].map(drawn), [7, 9, 9, 0, 0]);
        assert_eq!(table.leader(class).unwrap().0, ArmId(9));
        let other = Class::new(false, false, false, false);
        assert!(table.draw(other, 0).is_none() && table.leader(other).is_none());
        assert!(table.plays(ArmId(7), &profile) && !table.plays(ArmId(8), &profile));
    }
}
