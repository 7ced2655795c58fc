//! `gapless lab balance --tune`: makes the prior that is shipped.
//!
//! 1. For each mix it may be tuned on and each cluster: a search over weights.
//! 2. Searches for weights that are good on all of these cells, and on those in one regime.
//! 3. Of what was found, the few vectors that together serve all of these cells best.
//! 4. For each vector, what it was worth in each regime, against the default weights, to
//!    all classes together and to each, over all cells: the prior's rows. Measured in
//!    runs in which it alone was played: what a few instances gain by playing it among
//!    others is something else.
//!
//! Seeds are others than those that anything is measured with.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use gapless_placement::Profile;
use gapless_placement::balance::{Class, Prior, PriorArm, PriorRow, REGIME_COUNT, Regime, Weights};
use gapless_sim::placing::Outcome;

use super::contenders::{by_hand, kubernetes};
use super::mixes::MIXES;
use super::play::{Cell, WARM_UP, on_threads};
use super::search::search;

/// Seeds of the search; what is measured has seeds below.
const SEED_TUNE: u64 = 1_000;
/// Arms of the prior.
const ARMS: usize = 7;
/// Seeds by which arms are chosen and rows are filled.
const SEEDS: u64 = 3;
/// Instances of a context in a cell before it says anything.
const INSTANCES_MIN: f64 = 100.0;
/// The share of a run that a regime must take for the run to say anything of it.
const GOOD_PART: f64 = 0.25;
/// The share of a run that makes a cell one of a regime.
const MOST: f64 = 0.7;
/// The least that a row's gain differs between workloads.
const DEVIATION_MIN: f32 = 0.03;

/// What is known after the search.
struct Found {
    name: String,
    weights: Weights,
}

/// Makes a prior; none if stopped.
pub(crate) fn tune(generations: usize, threads: usize, stop: &AtomicBool) -> Result<Option<Prior>> {
    let tuned_on: Vec<_> = MIXES.into_iter().filter(|mix| mix.is_tuned_on).collect();
    let cells = Cell::all(&tuned_on);
    let base = Profile::balanced();
    let Some(found) = on_threads(threads, &cells, stop, |cell| {
        let weights = best_of(cell, &base, generations, SEED_TUNE);
        eprintln!("  {}: searched", cell.name());
        Found { name: format!("{}-{}", cell.mix.name, cell.world.name), weights }
    })?
    else {
        return Ok(None);
    };
    let mut candidates = found;
    for (name, its) in groups(&cells, &base) {
        let Some(weights) = general(&its, &base, generations, threads, stop)? else {
            return Ok(None);
        };
        eprintln!("  {name}, {} cells: searched", its.len());
        candidates.push(Found { name, weights });
    }
    candidates.extend(
        by_hand().into_iter().map(|(name, weights)| Found { name: name.to_owned(), weights }),
    );
    let Some(costs) = matrix(&cells, &candidates, &base, threads, stop)? else { return Ok(None) };
    let chosen = choose(&costs);
    let arms: Vec<PriorArm> = chosen
        .iter()
        .map(|at| PriorArm {
            name: candidates[*at].name.as_str().into(),
            weights: candidates[*at].weights.clone(),
        })
        .collect();
    let Some(rows) = rows(&cells, &arms, &base, threads, stop)? else { return Ok(None) };
    if rows.is_empty() {
        bail!("no context had enough instances");
    }
    let mixes: Vec<&str> = tuned_on.iter().map(|mix| mix.name).collect();
    let made_by = format!(
        "gapless lab balance --tune --generations {generations}: separable CMA-ES over the mixes \
         {} on 3 clusters, seeds {SEED_TUNE} to {}",
        mixes.join(", "),
        SEED_TUNE + SEEDS - 1
    );
    Ok(Some(Prior { made_by, arms, rows }))
}

/// The best weights that a search finds for a cell with one seed, beginning with the best
/// of those that are known.
pub(crate) fn best_of(cell: &Cell, base: &Profile, generations: usize, seed: u64) -> Weights {
    let cost = |weights: &Weights| cell.fixed(base, weights, seed).over(WARM_UP, 1.0).objective();
    let mut starts: Vec<Weights> = by_hand().into_iter().map(|(_, weights)| weights).collect();
    starts.extend([Weights::default_profile(), kubernetes()]);
    let mut best = (starts[0].clone(), f64::INFINITY);
    for start in starts {
        let found = cost(&start);
        if found < best.1 {
            best = (start, found);
        }
    }
    let (found, least) =
        search(&best.0, generations, seed, |asked| asked.iter().map(cost).collect());
    if least < best.1 { found } else { best.0 }
}

/// All cells, and those that are in one regime for most of a run.
fn groups(cells: &[Cell], base: &Profile) -> Vec<(String, Vec<Cell>)> {
    let regime_of = |cell: &Cell| {
        let outcome = cell.fixed(base, &Weights::default_profile(), SEED_TUNE);
        let mut counts = [0.0; REGIME_COUNT];
        for ((_, regime), (count, _)) in &outcome.contexts {
            counts[regime.index()] += count;
        }
        let all: f64 = counts.iter().sum();
        Regime::ALL.into_iter().find(|regime| counts[regime.index()] > MOST * all)
    };
    let regimes: Vec<Option<Regime>> = cells.iter().map(regime_of).collect();
    let mut groups = vec![("general".to_owned(), cells.to_vec())];
    for regime in Regime::ALL {
        let its = cells.iter().zip(&regimes).filter(|(_, of)| **of == Some(regime));
        let its: Vec<Cell> = its.map(|(cell, _)| cell.clone()).collect();
        if its.len() > 1 {
            groups.push((format!("general-{regime}"), its));
        }
    }
    groups
}

/// Weights that are good on all cells, by a search with one seed.
fn general(
    cells: &[Cell],
    base: &Profile,
    generations: usize,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Weights>> {
    let runs = |weights: &[Weights]| -> Option<Vec<f64>> {
        let jobs: Vec<(&Weights, &Cell)> =
            weights.iter().flat_map(|w| cells.iter().map(move |cell| (w, cell))).collect();
        let cost = |(weights, cell): &(&Weights, &Cell)| {
            cell.fixed(base, weights, SEED_TUNE).over(WARM_UP, 1.0).objective()
        };
        on_threads(threads, &jobs, stop, cost).ok().flatten()
    };
    let Some(usual) = runs(&[Weights::default_profile()]) else { return Ok(None) };
    let relative = |asked: &[Weights]| -> Vec<f64> {
        let costs = runs(asked).unwrap_or_default();
        let share = |row: &[f64]| row.iter().zip(&usual).map(|(cost, usual)| cost / usual).sum();
        costs.chunks(cells.len()).map(share).collect()
    };
    let starts: Vec<Weights> = by_hand().into_iter().map(|(_, weights)| weights).collect();
    let costs = relative(&starts);
    let best = costs.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
    let Some(best) = best else { return Ok(None) };
    let (found, _) = search(&starts[best], generations, SEED_TUNE, relative);
    Ok((!stop.load(std::sync::atomic::Ordering::Relaxed)).then_some(found))
}

/// The cost of each candidate in each cell, as a share of the least there.
fn matrix(
    cells: &[Cell],
    candidates: &[Found],
    base: &Profile,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Vec<Vec<f64>>>> {
    let jobs: Vec<(usize, usize)> = (0..cells.len())
        .flat_map(|cell| (0..candidates.len()).map(move |candidate| (cell, candidate)))
        .collect();
    let costs = on_threads(threads, &jobs, stop, |(cell, candidate)| {
        let of = |seed| {
            let weights = &candidates[*candidate].weights;
            cells[*cell].fixed(base, weights, seed).over(WARM_UP, 1.0).objective()
        };
        (SEED_TUNE..SEED_TUNE + SEEDS).map(of).sum::<f64>()
    })?;
    Ok(costs.map(|costs| {
        let rows = costs.chunks(candidates.len());
        rows.map(|row| {
            let least = row.iter().copied().fold(f64::INFINITY, f64::min);
            row.iter().map(|cost| cost / least).collect()
        })
        .collect()
    }))
}

/// Candidates that together serve the cells best, one after the other.
fn choose(costs: &[Vec<f64>]) -> Vec<usize> {
    let count = costs.first().map_or(0, Vec::len);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < ARMS.min(count) {
        let with = |one: &usize| {
            let best = |row: &Vec<f64>| {
                chosen.iter().chain([one]).map(|at| row[*at]).fold(f64::INFINITY, f64::min)
            };
            costs.iter().map(best).sum::<f64>()
        };
        let left = (0..count).filter(|at| !chosen.contains(at));
        let Some(next) = left.min_by(|a, b| with(a).total_cmp(&with(b))) else { break };
        chosen.push(next);
    }
    chosen
}

/// What each arm was worth in each context, by runs in which it alone was played.
fn rows(
    cells: &[Cell],
    arms: &[PriorArm],
    base: &Profile,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Vec<PriorRow>>> {
    let jobs: Vec<(&Cell, u64)> =
        cells.iter().flat_map(|cell| (0..SEEDS).map(move |n| (cell, SEED_TUNE + n))).collect();
    let gains = on_threads(threads, &jobs, stop, |(cell, seed)| {
        let default = cell.fixed(base, &Weights::default_profile(), *seed);
        let gains_of = |arm: &PriorArm| gains(&cell.fixed(base, &arm.weights, *seed), &default);
        arms.iter().map(gains_of).collect::<Vec<_>>()
    })?;
    let Some(gains) = gains else { return Ok(None) };
    let mut by_row: BTreeMap<(Option<Class>, Regime, usize), Vec<f64>> = BTreeMap::new();
    for run in &gains {
        for (arm, contexts) in run.iter().enumerate() {
            for ((class, regime), gain) in contexts {
                by_row.entry((*class, *regime, arm)).or_default().push(*gain);
            }
        }
    }
    let row = |((class, regime, arm), gains): (&(Option<Class>, Regime, usize), &Vec<f64>)| {
        let count = gains.len() as f64;
        let mean = gains.iter().sum::<f64>() / count;
        let squares = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>();
        let deviation = (squares / count).sqrt() as f32;
        // Few cells say less than many.
        let few = 0.15 / (count as f32).sqrt();
        PriorRow {
            class: *class,
            regime: *regime,
            arm: arms[*arm].name.clone(),
            gain: (mean * 1e4).round() as f32 / 1e4,
            deviation: ((deviation.max(DEVIATION_MIN).hypot(few)) * 1e4).round() / 1e4,
        }
    };
    Ok(Some(by_row.iter().map(row).collect()))
}

/// The gains of one run over another with the same workload: of all classes together in
/// the regimes that were there for a good part of both, and of each class.
fn gains(own: &Outcome, default: &Outcome) -> Vec<((Option<Class>, Regime), f64)> {
    let mut gains = Vec::new();
    let all: f64 = own.contexts.values().map(|(count, _)| count).sum();
    let whole = 1.0 - own.over(WARM_UP, 1.0).objective() / default.over(WARM_UP, 1.0).objective();
    for regime in Regime::ALL {
        let count = |of: &Outcome| -> f64 {
            let its = of.contexts.iter().filter(|((_, in_regime), _)| *in_regime == regime);
            its.map(|(_, (count, _))| count).sum()
        };
        if count(own).min(count(default)) >= GOOD_PART * all {
            gains.push(((None, regime), whole));
        }
    }
    for (context, (count, cost)) in &own.contexts {
        let Some((default_count, default_cost)) = default.contexts.get(context) else { continue };
        if count.min(*default_count) >= INSTANCES_MIN {
            gains.push(((Some(context.0), context.1), 1.0 - cost / default_cost));
        }
    }
    gains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_chosen_for_what_they_add() {
        // The first is good everywhere, the third best in the last cell, the second a
        // little better than the first in the first.
        let costs = vec![vec![1.02, 1.0, 2.0], vec![1.0, 1.1, 2.0], vec![1.3, 1.4, 1.0]];
        assert_eq!(choose(&costs)[..2], [0, 2]);
    }
}
