//! [`Window`]: what was seen of a context's arms between two updates of what is believed.

use serde::{Deserialize, Serialize};

use super::table::ArmId;

/// A cost counts as at most so many times the usual one.
const COST_SPAN: f32 = 30.0;

/// What was seen of one arm in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) count: u32,
    pub(crate) failed: u32,
    /// Sum of costs, less what is usual for the shape.
    excess: f64,
}

impl Tally {
    pub(crate) fn mean(&self) -> f32 {
        (self.excess / f64::from(self.count.max(1))) as f32
    }
}

/// What was seen in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    tallies: Vec<(ArmId, Tally)>,
    cost: f64,
    squares: f64,
    pub(crate) lowest: f32,
    pub(crate) highest: f32,
    /// Costs that could not be costs.
    pub(crate) rejected: u32,
}

impl Window {
    pub(crate) fn count(&self) -> u32 {
        self.tallies.iter().map(|(_, tally)| tally.count).sum()
    }

    pub(crate) fn of(&self, arm: ArmId) -> Tally {
        let found = self.tallies.iter().find(|(id, _)| *id == arm);
        found.map_or_else(Tally::default, |(_, tally)| *tally)
    }

    /// One cost, where costs are about `level`. `usual` is what is usual for the shape, if
    /// known.
    pub(crate) fn observe(
        &mut self,
        arm: ArmId,
        cost: f32,
        usual: Option<f32>,
        level: f32,
        failed: bool,
    ) {
        if !(cost.is_finite() && cost >= 0.0) {
            self.rejected += 1;
            return;
        }
        let tally = match self.tallies.iter().position(|(id, _)| *id == arm) {
            Some(at) => &mut self.tallies[at].1,
            None => {
                self.tallies.push((arm, Tally::default()));
                &mut self.tallies.last_mut().expect("pushed above").1
            }
        };
        let excess = (cost - usual.unwrap_or(level)).clamp(-COST_SPAN * level, COST_SPAN * level);
        tally.count += 1;
        tally.failed += u32::from(failed);
        tally.excess += f64::from(excess);
        self.squares += f64::from(excess) * f64::from(excess);
        self.cost += f64::from(cost.min(COST_SPAN * level));
        let is_first = self.tallies.len() == 1 && self.tallies[0].1.count == 1;
        self.lowest = if is_first { cost } else { self.lowest.min(cost) };
        self.highest = if is_first { cost } else { self.highest.max(cost) };
    }

    /// The mean cost, if there was any.
    pub(crate) fn mean(&self) -> Option<f32> {
        let count = f64::from(self.count());
        (count > 0.0).then(|| (self.cost / count) as f32)
    }

    /// The variance of a cost around what is usual for its shape, as a share of the square
    /// of the level of costs.
    pub(crate) fn spread(&self, level: f32) -> f32 {
        let level = f64::from(level);
        (self.squares / f64::from(self.count().max(1)) / (level * level)) as f32
    }
}
