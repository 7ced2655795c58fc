//! Work that slows other work down: egalitarian processor sharing.
//!
//! With `n` jobs each proceeds at a rate that depends on `n` only. So there is one
//! virtual clock, which runs at that rate; a job that needs `w` seconds alone ends
//! when the virtual clock has gone `w` further. Load changes move the clock and not
//! the jobs, and an event costs a heap operation however many jobs there are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_types::Time;

/// How fast each of `n` jobs proceeds, 1 being alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// Jobs use `demand` cores each of `cores`.
    Cores {
        /// There are.
        cores: f64,
        /// Each uses.
        demand: f64,
    },
    /// A job takes longer by this share of its own time for each other one.
    Each {
        /// The share.
        share: f64,
    },
}

impl Rate {
    fn of(self, jobs: usize) -> f64 {
        let jobs = jobs as f64;
        match self {
            Rate::Cores { cores, demand } => (cores / (jobs * demand)).min(1.0),
            Rate::Each { share } => 1.0 / (1.0 + share * (jobs - 1.0).max(0.0)),
        }
    }
}

/// Jobs that share something.
#[derive(Debug)]
pub(crate) struct Sharing {
    rate: Rate,
    /// Seconds of work done by a job that was here from the beginning.
    done: f64,
    at: Time,
    /// By the virtual second at which each ends, as ordered bits.
    jobs: BinaryHeap<Reverse<(u64, u64)>>,
    /// Taken out before their end.
    removed: HashSet<u64, FixedState>,
    /// Changes whenever the next end may have.
    version: u32,
}

/// Slack for rounding, in seconds.
const EPSILON_S: f64 = 1e-9;

impl Sharing {
    pub(crate) fn new(rate: Rate) -> Self {
        Sharing {
            rate,
            done: 0.0,
            at: Time::ZERO,
            jobs: BinaryHeap::new(),
            removed: HashSet::default(),
            version: 0,
        }
    }

    /// Jobs under way.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len() - self.removed.len()
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// A job begins that takes `work` alone.
    pub(crate) fn add(&mut self, now: Time, job: u64, work: Duration) {
        self.advance(now);
        let end = self.done + work.as_secs_f64();
        self.jobs.push(Reverse((end.to_bits(), job)));
        self.version = self.version.wrapping_add(1);
    }

    /// A job is given up.
    pub(crate) fn remove(&mut self, now: Time, job: u64) {
        self.advance(now);
        self.removed.insert(job);
        self.version = self.version.wrapping_add(1);
        self.drop_removed();
    }

    /// A job that has ended by `now`.
    pub(crate) fn pop_ended(&mut self, now: Time) -> Option<u64> {
        self.advance(now);
        let Reverse((end, job)) = *self.jobs.peek()?;
        if f64::from_bits(end) > self.done + EPSILON_S {
            return None;
        }
        self.jobs.pop();
        self.version = self.version.wrapping_add(1);
        self.drop_removed();
        Some(job)
    }

    /// When the next job ends if nothing changes.
    pub(crate) fn next_end(&self) -> Option<Time> {
        let Reverse((end, _)) = *self.jobs.peek()?;
        let left = (f64::from_bits(end) - self.done).max(0.0) / self.rate.of(self.len());
        Some(self.at + Duration::from_secs_f64(left))
    }

    /// Every job, all given up.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        self.version = self.version.wrapping_add(1);
        let removed = std::mem::take(&mut self.removed);
        let mut jobs: Vec<u64> = self.jobs.drain().map(|Reverse((_, job))| job).collect();
        jobs.retain(|job| !removed.contains(job));
        jobs.sort_unstable();
        jobs
    }

    fn advance(&mut self, now: Time) {
        let count = self.len();
        if count > 0 {
            self.done += (now - self.at).as_secs_f64() * self.rate.of(count);
        } else {
            // Nobody is here to whom the virtual clock means anything.
            self.done = 0.0;
        }
        self.at = now;
    }

    fn drop_removed(&mut self) {
        while let Some(Reverse((_, job))) = self.jobs.peek()
            && self.removed.remove(job)
        {
            self.jobs.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn ends(sharing: &mut Sharing) -> Vec<(u64, u64)> {
        let mut ends = Vec::new();
        while let Some(at) = sharing.next_end() {
            let job = sharing.pop_ended(at).expect("it was said to end");
            ends.push((job, (at.as_nanos() + 500_000) / 1_000_000));
        }
        ends
    }

    #[test]
    fn jobs_beyond_the_cores_share_them() {
        let mut sharing = Sharing::new(Rate::Cores { cores: 2.0, demand: 1.0 });
        (0..4).for_each(|job| sharing.add(at(0), job, SECOND));
        // Four at half speed; at one second each has done half.
        sharing.add(at(1000), 9, SECOND / 4);
        // Five at 0.4: the short one ends after 0.625 s with 0.25 s left of the others.
        assert_eq!(ends(&mut sharing), [(9, 1625), (0, 2125), (1, 2125), (2, 2125), (3, 2125)]);
    }

    #[test]
    fn each_other_start_costs_its_share_and_one_given_up_costs_no_more() {
        let mut sharing = Sharing::new(Rate::Each { share: 0.5 });
        (0..3).for_each(|job| sharing.add(at(0), job, SECOND));
        sharing.remove(at(1000), 1);
        assert_eq!(sharing.len(), 2);
        // Half done at 1 s, the rest at 1 / 1.5.
        assert_eq!(ends(&mut sharing), [(0, 1750), (2, 1750)]);
        assert_eq!(sharing.len(), 0);
    }
}
