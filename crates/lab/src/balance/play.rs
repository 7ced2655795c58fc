//! One cell of the lab: a mix on a cluster, and runs of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use gapless_placement::Profile;
use gapless_placement::balance::{Balancer, Config, Prior, Weights};
use gapless_sim::placing::world::{Mix, World};
use gapless_sim::placing::{Episode, Outcome, Playing};
use parking_lot::Mutex;

use super::mixes::LabMix;
use super::worlds::worlds;

/// Simulated seconds of a run.
pub(crate) const SECONDS: f64 = 1500.0;
/// The share of a run that is warm-up: what counts is what comes after.
pub(crate) const WARM_UP: f64 = 0.25;

/// A mix on a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) mix: Mix,
    pub(crate) world: World,
    /// Whether the shipped prior was made with the mix.
    pub(crate) is_tuned_on: bool,
}

impl Cell {
    /// Every cluster under these mixes.
    pub(crate) fn all(mixes: &[LabMix]) -> Vec<Cell> {
        let of = |lab: &LabMix| {
            let (mix, is_tuned_on) = ((lab.make)(), lab.is_tuned_on);
            worlds().map(|world| Cell { mix: mix.clone(), world, is_tuned_on })
        };
        mixes.iter().flat_map(of).collect()
    }

    pub(crate) fn name(&self) -> String {
        format!("{} on {}", self.mix.name, self.world.name)
    }

    /// A run with the same weights throughout.
    pub(crate) fn fixed(&self, base: &Profile, weights: &Weights, seed: u64) -> Outcome {
        let profile = Arc::new(base.weighted("fixed", weights));
        let playing = Playing::Fixed(profile);
        Episode::new(&self.world, &self.mix, seed, SECONDS, playing).run(None).0
    }

    /// A run with a balancer; also what it knows in the end.
    pub(crate) fn balanced(&self, balancer: Balancer, seed: u64) -> (Outcome, Balancer) {
        let playing = Playing::Balanced(Box::new(balancer));
        let run = Episode::new(&self.world, &self.mix, seed, SECONDS, playing).run(None);
        match run {
            (outcome, Playing::Balanced(balancer)) => (outcome, *balancer),
            (_, Playing::Fixed(_)) => unreachable!("a run gives back what it was given"),
        }
    }
}

/// A balancer with a prior.
pub(crate) fn balancer(prior: &Prior, seed: u64) -> Balancer {
    Balancer::new(Config { seed, ..Config::default() }, prior.clone())
}

/// Does jobs on so many threads, in the order of their outcomes as given; none if stopped.
pub(crate) fn on_threads<J: Sync, T: Send>(
    threads: usize,
    jobs: &[J],
    stop: &AtomicBool,
    work: impl Fn(&J) -> T + Sync,
) -> Result<Option<Vec<T>>> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<T>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let outcome = work(job);
                    outcomes.lock()[index] = Some(outcome);
                }
            });
        }
    });
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    Ok(Some(outcomes.into_inner().into_iter().flatten().collect()))
}
