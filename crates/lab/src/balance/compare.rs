//! Everybody on every cell, with every seed; what it comes to.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use gapless_placement::Profile;
use gapless_placement::balance::{Balancer, Prior, Report, Rollback, Weights};
use gapless_sim::placing::{Costs, Outcome};
use serde::Serialize;

use super::contenders::{by_chance, by_hand, equal, kubernetes, singles};
use super::play::{Cell, WARM_UP, balancer};
use super::tune::best_of;
use crate::start::lab::{Mean, mean};

/// Seeds that the oracle searches with, of those that are measured: it has hindsight.
const ORACLE_SEEDS: u64 = 4;

/// One contender on one cell.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) mix: &'static str,
    pub(crate) cluster: &'static str,
    /// Whether the mix was not used to make the prior.
    pub(crate) is_held_out: bool,
    /// Whether something changes halfway.
    pub(crate) changes: bool,
    pub(crate) contender: String,
    /// The objective after warm-up; lower is better.
    pub(crate) objective: Mean,
    pub(crate) slowdown: f64,
    pub(crate) interference: f64,
    pub(crate) node_hours: f64,
    pub(crate) failures: f64,
    pub(crate) exposure: f64,
    /// Better than Kubernetes' default weights, as a share of theirs, seed by seed.
    pub(crate) gain_vs_kubernetes: Mean,
    /// The same against the default profile.
    pub(crate) gain_vs_default: Mean,
    /// Worse than the oracle, as a share of its.
    pub(crate) gap_to_oracle: Mean,
    #[serde(skip)]
    pub(crate) by_seed: Vec<f64>,
    /// Means over seeds of the objective, by stretch of the run.
    #[serde(skip)]
    pub(crate) over_time: Vec<f64>,
}

/// What a balancer did on one cell, over all seeds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Learned {
    pub(crate) mix: &'static str,
    pub(crate) cluster: &'static str,
    /// Share of placements that did not play the leader.
    pub(crate) explored: f64,
    pub(crate) rollbacks: u64,
    /// Placements that a filter would not have allowed.
    pub(crate) infeasible: u64,
    /// What was known in the end, with the first seed.
    pub(crate) report: Report,
}

/// One cell, finished.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    pub(crate) rows: Vec<Row>,
    pub(crate) learned: Learned,
    pub(crate) oracle: Weights,
}

/// What is compared besides the singles.
pub(crate) const OURS: &str = "balancer";
/// The same without knowing anything of its arms.
pub(crate) const FROM_NOTHING: &str = "balancer, no prior";
pub(crate) const KUBERNETES: &str = "kubernetes";
pub(crate) const DEFAULT: &str = "default profile";
pub(crate) const ORACLE: &str = "oracle";

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) seeds: u64,
    pub(crate) generations: usize,
    /// Whether each single policy is run too.
    pub(crate) has_singles: bool,
}

/// Everybody on one cell; none if stopped.
pub(crate) fn compare(
    cell: &Cell,
    prior: &Prior,
    effort: Effort,
    stop: &AtomicBool,
) -> Option<Compared> {
    let base = Profile::balanced();
    let mut contenders: Vec<(String, Weights)> = vec![
        (KUBERNETES.to_owned(), kubernetes()),
        (DEFAULT.to_owned(), Weights::default_profile()),
        ("equal weights".to_owned(), equal()),
    ];
    if effort.has_singles {
        contenders.extend(singles().into_iter().map(|(name, w)| (format!("only {name}"), w)));
    }
    let arms = prior.arms.iter().map(|arm| (format!("arm {}", arm.name), arm.weights.clone()));
    contenders.extend(arms);
    let mut starts: Vec<Weights> = by_hand().into_iter().map(|(_, weights)| weights).collect();
    starts.extend([kubernetes(), Weights::default_profile()]);
    starts.extend(prior.arms.iter().map(|arm| arm.weights.clone()));
    let searched_with: Vec<u64> = (0..effort.seeds.min(ORACLE_SEEDS)).collect();
    let searched = best_of(cell, &base, &starts, effort.generations, &searched_with);
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    contenders.push(("found by search".to_owned(), searched));
    let seeds = 0..effort.seeds;
    let mut all: Vec<(String, Vec<Outcome>)> = Vec::new();
    for (name, weights) in &contenders {
        all.push((
            name.clone(),
            each(seeds.clone(), stop, |seed| cell.fixed(&base, weights, seed))?,
        ));
    }
    // With hindsight, the oracle is the best of all that never change.
    let best = (0..all.len()).min_by(|a, b| total(&all[*a].1).total_cmp(&total(&all[*b].1)));
    let best = best.unwrap_or(0);
    all.push((ORACLE.to_owned(), all[best].1.clone()));
    let oracle = contenders[best].1.clone();
    let by_chance = |seed| cell.fixed(&base, &by_chance(seed), seed);
    all.push(("random weights".to_owned(), each(seeds.clone(), stop, by_chance)?));
    let blank = prior.clone().without_knowledge();
    let nothing = |seed| cell.balanced(balancer(&blank, seed), seed).0;
    all.push((FROM_NOTHING.to_owned(), each(seeds.clone(), stop, nothing)?));
    let ours = each(seeds, stop, |seed| cell.balanced(balancer(prior, seed), seed))?;
    let learned = learned(cell, &ours);
    all.push((OURS.to_owned(), ours.into_iter().map(|(outcome, _)| outcome).collect()));
    Some(Compared { rows: rows(cell, &all), learned, oracle })
}

/// One run per seed; none if stopped.
fn each<T>(mut seeds: Range<u64>, stop: &AtomicBool, run: impl Fn(u64) -> T) -> Option<Vec<T>> {
    seeds.try_fold(Vec::new(), |mut runs, seed| {
        runs.push((!stop.load(Ordering::Relaxed)).then(|| run(seed))?);
        Some(runs)
    })
}

fn after(outcome: &Outcome) -> Costs {
    outcome.over(WARM_UP, 1.0)
}

fn total(runs: &[Outcome]) -> f64 {
    runs.iter().map(|outcome| after(outcome).objective()).sum()
}

fn learned(cell: &Cell, ours: &[(Outcome, Balancer)]) -> Learned {
    let share = |outcome: &Outcome| outcome.explored as f64 / outcome.placed.max(1) as f64;
    let rollbacks = |balancer: &Balancer| -> u64 {
        Rollback::ALL.iter().map(|reason| balancer.rollbacks(*reason)).sum()
    };
    Learned {
        mix: cell.mix.name,
        cluster: cell.world.name,
        explored: ours.iter().map(|(outcome, _)| share(outcome)).sum::<f64>() / ours.len() as f64,
        rollbacks: ours.iter().map(|(_, balancer)| rollbacks(balancer)).sum(),
        infeasible: ours.iter().map(|(outcome, _)| outcome.infeasible).sum(),
        report: ours[0].1.report(),
    }
}

fn rows(cell: &Cell, all: &[(String, Vec<Outcome>)]) -> Vec<Row> {
    let by_seed = |name: &str| -> Vec<f64> {
        let runs = all.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, runs)| runs);
        runs.iter().map(|outcome| after(outcome).objective()).collect()
    };
    let (kubernetes, default, oracle) = (by_seed(KUBERNETES), by_seed(DEFAULT), by_seed(ORACLE));
    let row = |(contender, runs): &(String, Vec<Outcome>)| {
        let costs: Vec<Costs> = runs.iter().map(after).collect();
        let own: Vec<f64> = costs.iter().map(Costs::objective).collect();
        let against =
            |others: &[f64]| mean(own.iter().zip(others).map(|(own, other)| 1.0 - own / other));
        let part = |of: fn(&Costs) -> f64| costs.iter().map(of).sum::<f64>() / costs.len() as f64;
        let stretches = runs[0].stretches.len();
        let at = |stretch: usize| {
            let seen = runs.iter().map(|outcome| &outcome.stretches[stretch]);
            seen.map(Costs::objective).sum::<f64>() / runs.len() as f64
        };
        let gap = against(&oracle);
        Row {
            mix: cell.mix.name,
            cluster: cell.world.name,
            is_held_out: !cell.is_tuned_on,
            changes: cell.mix.changes(),
            contender: contender.clone(),
            objective: mean(own.iter().copied()),
            slowdown: part(|c| c.slowdown),
            interference: part(|c| c.interference),
            node_hours: part(|c| c.node_hours),
            failures: part(|c| c.failures),
            exposure: part(|c| c.exposure),
            gain_vs_kubernetes: against(&kubernetes),
            gain_vs_default: against(&default),
            gap_to_oracle: Mean { mean: -gap.mean, ci95: gap.ci95 },
            over_time: (0..stretches).map(at).collect(),
            by_seed: own,
        }
    };
    all.iter().map(row).collect()
}
