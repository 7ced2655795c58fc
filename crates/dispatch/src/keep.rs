//! The keeper: how long an idle instance stays, and when one is started before
//! anybody asks for it.
//!
//! Either a fixed time, or learned per revision as one cost model with the start
//! plan. What is learned is the distribution of *gaps*: from the moment an instance
//! has nothing to do until the revision needs it again. A gap is seen when an idle
//! instance is used, and also when one is needed that was given back: the times at
//! which given-back instances fell idle are remembered for a while, last first,
//! as the stack of instances would have used them (a ghost list, as caches keep).
//!
//! With gaps known, keeping an instance through the next stretch of time `dt` costs
//! `dt` of memory if it is still idle then, and saves a cold start with the
//! probability that the gap ends there. A cold start is worth `worth` seconds of
//! idle memory, less where the work itself takes long beside it ([`Times`]). So each
//! stretch has a value, `worth x P(gap ends in it) - dt x P(gap is longer)`; an
//! instance is kept for the prefix with the largest sum, and if a later stretch, such
//! as around a timer's period, is worth more than a start, one is started ahead of it
//! (as the hybrid histogram policy does with percentiles: Shahrad et al., *Serverless
//! in the Wild*, ATC'20; the worth of keeping per unit of memory is Greedy-Dual's:
//! FaasCache, ASPLOS'21).
//!
//! Why not a fixed keep-alive: whatever it is, it is too short for a timer and too
//! long for a burst's instances, and it pays for every function alike. A fixed one
//! is what a declaration says, and then nothing is learned.

mod gaps;

use std::collections::VecDeque;
use std::time::Duration;

use gapless_types::{Bytes, Time};

use gaps::{Gaps, Stay};

/// Given-back instances that are remembered.
const GHOSTS_MAX: usize = 64;
/// The shortest learned stay: below, an instance would go and come within one burst.
const STAY_MIN: Duration = Duration::from_secs(1);

/// How long idle instances stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeepAlive {
    /// This long.
    For(Duration),
    /// As long as is worth it by what was learned, where a cold start is worth this
    /// much time of an idle instance.
    Learned {
        /// What a cold start is worth, in time that an instance is kept idle.
        worth: Duration,
    },
}

/// The memory for which `worth` is stated.
const MEMORY_USUAL: Bytes = Bytes(128 << 20);
/// No instance counts as smaller than this part of that, or larger than its inverse.
const MEMORY_PART_MIN: f64 = 1.0 / 16.0;

impl KeepAlive {
    /// The same for instances of `memory`: what is worth ten minutes of 128 MiB is
    /// worth five of 256.
    #[must_use]
    pub fn for_memory(self, memory: Bytes) -> Self {
        let part = MEMORY_USUAL.0 as f64 / memory.0.max(1) as f64;
        match self {
            KeepAlive::For(_) => self,
            KeepAlive::Learned { worth } => {
                let part = part.clamp(MEMORY_PART_MIN, 1.0 / MEMORY_PART_MIN);
                KeepAlive::Learned { worth: worth.mul_f64(part) }
            }
        }
    }
}

/// How steeply a cold start's worth falls with its share; `docs/lab.md` has what other
/// values do.
const WEIGHT_POWER: i32 = 2;
/// A change of a cold start's worth by less than this share changes nothing.
const WEIGHT_STEP: f64 = 0.2;

/// How long a cold start takes, and a service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) start: Duration,
    /// Once one was seen.
    pub(crate) service: Option<Duration>,
}

impl Times {
    /// How much of a cold start's worth counts: the share of a cold request's time that
    /// it makes, squared, since it is the most delayed that a tail is made of. Who waits for
    /// a minute of work hardly notices a start before it. All of it counts as long as
    /// nothing is known.
    fn weight(self) -> f64 {
        let start = self.start.as_secs_f64();
        match self.service {
            Some(service) if start > 0.0 => {
                (start / (start + service.as_secs_f64())).powi(WEIGHT_POWER)
            }
            _ => 1.0,
        }
    }
}

/// What one revision's keeper knows.
#[derive(Debug)]
pub(crate) struct Keeper {
    policy: KeepAlive,
    /// Made when the first gap is seen.
    gaps: Option<Box<Gaps>>,
    stay: Stay,
    /// When given-back instances fell idle, latest last.
    ghosts: VecDeque<Time>,
    /// Until when an instance that was started ahead is kept.
    ahead_until: Option<Time>,
    /// The weight that a cold start's worth had when `stay` was found.
    weight: f64,
}

impl Keeper {
    pub(crate) fn new(policy: KeepAlive) -> Self {
        let mut keeper = Keeper {
            policy,
            gaps: None,
            stay: Stay::default(),
            ghosts: VecDeque::new(),
            ahead_until: None,
            weight: 0.0,
        };
        keeper.learn(Times::default());
        keeper
    }

    /// Changes the policy; what was learned stays.
    pub(crate) fn set_policy(&mut self, policy: KeepAlive, times: Times) {
        self.policy = policy;
        self.learn(times);
    }

    /// An instance fell idle: what is known of its times may have changed what its
    /// cold start is worth.
    pub(crate) fn fell_idle(&mut self, times: Times) {
        if !self.is_fixed() && (times.weight() - self.weight).abs() > WEIGHT_STEP * self.weight {
            self.learn(times);
        }
    }

    /// How long an instance stays idle.
    pub(crate) fn stay(&self) -> Duration {
        match self.policy {
            KeepAlive::For(span) => span,
            KeepAlive::Learned { .. } => self.stay.keep.max(STAY_MIN),
        }
    }

    /// Until when an instance that is idle since `unused_since` stays; `is_unused`
    /// when it never served.
    pub(crate) fn until(&self, unused_since: Time, is_unused: bool) -> Time {
        match self.ahead_until {
            Some(until) if is_unused => until,
            _ => unused_since + self.stay(),
        }
    }

    /// An instance that was idle since then is used.
    pub(crate) fn was_used(&mut self, idle_since: Time, now: Time, times: Times) {
        if !self.is_fixed() {
            self.saw(now - idle_since, times);
        }
    }

    /// An instance is used for the first time. If it was started ahead, that ends the
    /// gap of the one it stands for.
    pub(crate) fn was_met(&mut self, now: Time, times: Times) {
        if self.ahead_until.take().is_some() {
            self.was_missed(now, times);
        }
    }

    /// An instance was needed and none was there.
    pub(crate) fn was_missed(&mut self, now: Time, times: Times) {
        if self.ahead_until.is_none()
            && let Some(fell_idle) = self.ghosts.pop_back()
        {
            self.saw(now - fell_idle, times);
        }
    }

    /// An instance that was idle since then is given back.
    pub(crate) fn gave_back(&mut self, unused_since: Time, is_unused: bool) {
        if self.is_fixed() {
            return;
        }
        if is_unused && self.ahead_until.take().is_some() {
            // It stood for one that is remembered already.
            return;
        }
        if self.ghosts.len() == GHOSTS_MAX {
            self.ghosts.pop_front();
        }
        self.ghosts.push_back(unused_since);
    }

    /// The stretch for which an instance is to be had ready, now that there is none.
    pub(crate) fn ahead(&self) -> Option<(Time, Time)> {
        let fell_idle = *self.ghosts.back()?;
        let ahead = self.stay.ahead?;
        Some((fell_idle + ahead.from, fell_idle + ahead.to))
    }

    /// An instance is started ahead: it is kept until its stretch is over.
    pub(crate) fn starts_ahead(&mut self, until: Time) {
        self.ahead_until = Some(until);
    }

    /// Whether an instance that was started ahead is still waited for at `now`.
    pub(crate) fn is_ahead(&self, now: Time) -> bool {
        self.ahead_until.is_some_and(|until| until > now)
    }

    fn is_fixed(&self) -> bool {
        matches!(self.policy, KeepAlive::For(_))
    }

    fn saw(&mut self, gap: Duration, times: Times) {
        let gaps = self.gaps.get_or_insert_default();
        gaps.add(gap);
        if gaps.look() {
            self.learn(times);
        }
    }

    fn learn(&mut self, times: Times) {
        if let KeepAlive::Learned { worth } = self.policy {
            self.weight = times.weight();
            let prior = Gaps::default();
            let gaps = self.gaps.as_deref().unwrap_or(&prior);
            self.stay = gaps.stay(worth.mul_f64(self.weight), times.start);
        }
    }
}
