//! When costs are not to be trusted, and when a context goes back to the default.
//!
//! The leader is compared with the default arm in every window. Three things send a
//! context back, each within [`Config::windows`](super::Config::windows) windows:
//! the leader is worse than the default by more than the bound; its instances fail
//! more often, whatever their costs say; or the costs themselves cannot be what they
//! are said to be (not numbers, below zero, all the same).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::balancer::Config;
use super::window::{Tally, Window};

/// How many standard deviations tell worse from bad luck.
const WORSE_DEVIATIONS: f32 = 2.0;
const FAILING_DEVIATIONS: f32 = 3.0;
/// Failures more than the default has, before anything is made of them.
const FAILING_MORE: f32 = 0.01;
/// The share of costs that may be nonsense.
const NONSENSE_MAX: f32 = 0.1;

/// Why a context went back to the default arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollback {
    /// Worse than the default.
    Worse,
    /// Failing more often than the default.
    Failing,
    /// Costs are no numbers, negative, or all the same.
    Nonsense,
}

impl Rollback {
    /// Every reason.
    pub const ALL: [Rollback; 3] = [Rollback::Worse, Rollback::Failing, Rollback::Nonsense];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rollback::Worse => "worse",
            Rollback::Failing => "failing",
            Rollback::Nonsense => "nonsense",
        }
    }
}

/// What the guard remembers of one context: the latest windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guard {
    /// Leader against default, of each window: the difference and its variance.
    differences: VecDeque<(f32, f32)>,
    /// Windows in a row whose costs were nonsense.
    nonsense: u32,
    /// Windows in which the leader failed more, less those in which it did not.
    failing: u32,
    leader: Rate,
    default: Rate,
}

/// Failures among instances, older ones fading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rate {
    failed: f32,
    all: f32,
}

impl Rate {
    fn add(&mut self, tally: &Tally, keep: f32) {
        self.failed = self.failed * keep + tally.failed as f32;
        self.all = self.all * keep + tally.count as f32;
    }

    fn share(&self) -> f32 {
        // One failure in a hundred is assumed, so that few instances prove little.
        (self.failed + 0.1) / (self.all + 10.0)
    }

    fn variance(&self) -> f32 {
        self.share() * (1.0 - self.share()) / (self.all + 10.0)
    }
}

impl Guard {
    /// Another arm leads.
    pub(crate) fn reset(&mut self) {
        *self = Guard { nonsense: self.nonsense, ..Guard::default() };
    }

    /// Looks at a window that has ended. `difference` is how much better the leader was
    /// than the default, with its variance, where both were played.
    pub(crate) fn judge(
        &mut self,
        window: &Window,
        leader: Option<(&Tally, &Tally)>,
        difference: Option<(f32, f32)>,
        config: &Config,
    ) -> Option<Rollback> {
        self.nonsense = if is_nonsense(window) { self.nonsense + 1 } else { 0 };
        if self.nonsense >= config.windows {
            return Some(Rollback::Nonsense);
        }
        let (leads, default) = leader?;
        let keep = 0.5_f32.powf(1.0 / config.windows.max(1) as f32 / 4.0);
        self.leader.add(leads, keep);
        self.default.add(default, keep);
        let more = self.leader.share() - self.default.share();
        let deviation = (self.leader.variance() + self.default.variance()).sqrt();
        // A node that is lost takes all at once that was on it: one misfortune, in a window
        // or two, whoever put them there. What fails by its own doing goes on failing.
        let is_more = more > FAILING_MORE + FAILING_DEVIATIONS * deviation;
        self.failing = match is_more && leads.failed > 0 {
            true => self.failing + 1,
            false => self.failing.saturating_sub(1),
        };
        if self.failing >= config.windows {
            return Some(Rollback::Failing);
        }
        self.differences.push_back(difference?);
        if self.differences.len() > config.windows as usize {
            self.differences.pop_front();
        }
        let precision: f32 = self.differences.iter().map(|(_, v)| 1.0 / v).sum();
        let mean = self.differences.iter().map(|(d, v)| d / v).sum::<f32>() / precision;
        let is_worse = mean + WORSE_DEVIATIONS / precision.sqrt() < -config.bound;
        (is_worse && self.differences.len() >= config.windows as usize).then_some(Rollback::Worse)
    }

    /// Whether the last windows' costs were nonsense.
    pub(crate) fn distrusts(&self) -> bool {
        self.nonsense > 0
    }
}

/// Costs that cannot be costs: too many are no numbers, or all are the same to the last
/// digit, which no measurement is.
fn is_nonsense(window: &Window) -> bool {
    let all = window.count() + window.rejected;
    window.rejected as f32 > NONSENSE_MAX * all as f32
        || (window.count() >= 16 && window.lowest == window.highest)
}
