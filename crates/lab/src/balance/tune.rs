//! `gapless lab balance --tune`: makes the prior that is shipped.
//!
//! 1. A search for weights that are good on all cells (mixes it may be tuned on, on each
//!    cluster) whose nodes last, and one on those where some may be taken away. They begin
//!    with the best of what is known: by hand, or shipped until now.
//! 2. For each cell a search that begins with the best of those.
//! 3. Of what was found, the few vectors that together serve all of these cells best.
//! 4. For each vector, what it was worth in each regime, against the default weights, to
//!    all classes together and to each, over all cells: the prior's rows. Measured in
//!    runs in which it alone was played: what a few instances gain by playing it among
//!    others is something else.
//!
//! Each generation of a search is run with another seed, as what is best with one is
//! made for its troubles: one that meets few failures teaches that they do not matter.
//! What is chosen is measured with seeds no search has had, and neither are those that
//! anything is compared with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use gapless_placement::Profile;
use gapless_placement::balance::{Class, Prior, PriorArm, PriorRow, Regime, Weights};
use gapless_sim::placing::Outcome;

use super::contenders::{by_hand, kubernetes};
use super::mixes::MIXES;
use super::play::{Cell, WARM_UP, on_threads};
use super::search::search;

/// Seeds of searches begin here; what is measured has seeds below.
const SEED_TUNE: u64 = 1_000;
/// Seeds by which arms are chosen and rows are filled begin here.
const SEED_CHOOSE: u64 = 9_000;
/// How many of these.
const SEEDS: u64 = 3;
/// Arms of the prior.
const ARMS: usize = 7;
/// Of all cells, a generation is run on so many: each time on others.
const BATCH: usize = 8;
/// The general vectors: of cells whose nodes last, and of those where some are taken away.
const GENERAL_NAMES: [&str; 2] = ["general", "general-spot"];
/// Generations of the search for a general vector, for each of a cell's own.
const GENERAL: usize = 6;
/// Instances of a context in a cell before it says anything.
const INSTANCES_MIN: f64 = 100.0;
/// The share of a run that a regime must take for the run to say anything of it.
const GOOD_PART: f64 = 0.25;
/// The least that a row's gain differs between workloads.
const DEVIATION_MIN: f32 = 0.03;

/// A vector that may become an arm.
struct Candidate {
    name: String,
    weights: Weights,
}

/// Makes a prior; none if stopped.
pub(crate) fn tune(generations: usize, threads: usize, stop: &AtomicBool) -> Result<Option<Prior>> {
    let tuned_on: Vec<_> = MIXES.into_iter().filter(|mix| mix.is_tuned_on).collect();
    let cells = Cell::all(&tuned_on);
    let base = Profile::balanced();
    let mut candidates: Vec<Candidate> = known();
    for (name, its) in groups(&cells) {
        let starts: Vec<Weights> = candidates.iter().map(|one| one.weights.clone()).collect();
        let group = Group { cells: &its, base: &base, threads, stop };
        let Some(weights) = group.search(&starts, GENERAL * generations)? else {
            return Ok(None);
        };
        eprintln!("  {name}, {} cells: searched", its.len());
        candidates.push(Candidate { name: name.to_owned(), weights });
    }
    let starts: Vec<Weights> = candidates.iter().map(|one| one.weights.clone()).collect();
    let Some(found) = on_threads(threads, &cells, stop, |cell| {
        let seeds: Vec<u64> = (SEED_TUNE..SEED_TUNE + SEEDS).collect();
        let weights = best_of(cell, &base, &starts, generations, &seeds);
        eprintln!("  {}: searched", cell.name());
        Candidate { name: format!("{}-{}", cell.mix.name, cell.world.name), weights }
    })?
    else {
        return Ok(None);
    };
    candidates.extend(found);
    let Some(costs) = matrix(&cells, &candidates, &base, threads, stop)? else { return Ok(None) };
    let is_general = |one: &Candidate| GENERAL_NAMES.contains(&&*one.name);
    let general = (0..candidates.len()).filter(|at| is_general(&candidates[*at])).collect();
    let chosen = choose(&costs, general);
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
         {} on 3 clusters, seeds from {SEED_TUNE} on; chosen with seeds {SEED_CHOOSE} to {}",
        mixes.join(", "),
        SEED_CHOOSE + SEEDS - 1
    );
    Ok(Some(Prior { made_by, arms, rows }))
}

/// What a search may begin with: what was written down by hand, and the prior until now.
fn known() -> Vec<Candidate> {
    let candidate = |(name, weights): (&str, Weights)| Candidate { name: name.to_owned(), weights };
    let mut known: Vec<Candidate> = by_hand().into_iter().map(candidate).collect();
    for arm in Prior::shipped().arms {
        let stem = arm.name.split("-before").next().unwrap_or_default();
        let is_taken = |name: &String| known.iter().any(|one| one.name == *name);
        let numbered = (2..).map(|number| format!("{stem}-before-{number}"));
        let name = std::iter::once(format!("{stem}-before")).chain(numbered).find(|n| !is_taken(n));
        known.push(Candidate { name: name.unwrap_or_default(), weights: arm.weights });
    }
    known.extend(
        [("default", Weights::default_profile()), ("kubernetes", kubernetes())].map(candidate),
    );
    known
}

fn objective(cell: &Cell, base: &Profile, weights: &Weights, seed: u64) -> f64 {
    cell.fixed(base, weights, seed).over(WARM_UP, 1.0).objective()
}

/// The best weights that a search finds for a cell with some seeds, beginning with the
/// best of `starts`. One generation has one of the seeds.
pub(crate) fn best_of(
    cell: &Cell,
    base: &Profile,
    starts: &[Weights],
    generations: usize,
    seeds: &[u64],
) -> Weights {
    let cost = |weights: &Weights, seed: u64| objective(cell, base, weights, seed);
    // A seed with a hard workload is not to count for more than one with an easy one.
    let usual: Vec<f64> =
        seeds.iter().map(|seed| cost(&Weights::default_profile(), *seed)).collect();
    let best = |among: &[Weights]| -> Weights {
        let of = |weights: &Weights| -> f64 {
            seeds.iter().zip(&usual).map(|(seed, usual)| cost(weights, *seed) / usual).sum()
        };
        let costs: Vec<f64> = among.iter().map(of).collect();
        let least = (0..among.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b]));
        among[least.unwrap_or(0)].clone()
    };
    let start = best(starts);
    let found = search(&start, generations, seeds[0], |generation, asked| {
        let at = generation % seeds.len();
        asked.iter().map(|weights| cost(weights, seeds[at]) / usual[at]).collect()
    });
    best(&[start, found.luckiest, found.middle])
}

/// Cells whose nodes last, and those where some may be taken away: with the names of
/// their general vectors.
fn groups(cells: &[Cell]) -> [(&'static str, Vec<Cell>); 2] {
    let has_spot = |cell: &Cell| cell.world.machines.iter().any(|machine| machine.spot_risk > 0.0);
    let (spot, lasting) = cells.iter().cloned().partition(has_spot);
    let [of_lasting, of_spot] = GENERAL_NAMES;
    [(of_lasting, lasting), (of_spot, spot)]
}

/// Cells that one vector is to be good on.
struct Group<'a> {
    cells: &'a [Cell],
    base: &'a Profile,
    threads: usize,
    stop: &'a AtomicBool,
}

impl Group<'_> {
    /// Each vector's cost, as a share of the default weights' with the same workload,
    /// over some cells and one seed; nothing if stopped.
    fn costs(&self, asked: &[Weights], cells: &[usize], seed: u64) -> Vec<f64> {
        let mut all = vec![Weights::default_profile()];
        all.extend_from_slice(asked);
        let jobs: Vec<(&Weights, usize)> =
            all.iter().flat_map(|w| cells.iter().map(move |cell| (w, *cell))).collect();
        let cost = |(weights, cell): &(&Weights, usize)| {
            objective(&self.cells[*cell], self.base, weights, seed)
        };
        let runs = on_threads(self.threads, &jobs, self.stop, cost).ok().flatten();
        let runs = runs.unwrap_or_default();
        let mut rows = runs.chunks(cells.len());
        let Some(usual) = rows.next() else { return Vec::new() };
        let share = |row: &[f64]| row.iter().zip(usual).map(|(cost, usual)| cost / usual).sum();
        rows.map(share).collect()
    }

    /// The best of these on all cells; none if stopped.
    fn best(&self, among: &[Weights]) -> Option<Weights> {
        let all: Vec<usize> = (0..self.cells.len()).collect();
        let mut sums = vec![0.0; among.len()];
        for seed in SEED_TUNE..SEED_TUNE + SEEDS {
            let costs = self.costs(among, &all, seed);
            if costs.len() < among.len() {
                return None;
            }
            sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
        }
        let least = (0..among.len()).min_by(|a, b| sums[*a].total_cmp(&sums[*b]))?;
        Some(among[least].clone())
    }

    /// Weights that are good on all cells. Each generation has another seed and, where
    /// there are many cells, others of them.
    fn search(&self, starts: &[Weights], generations: usize) -> Result<Option<Weights>> {
        let Some(start) = self.best(starts) else { return Ok(None) };
        let count = self.cells.len();
        let batch = BATCH.min(count);
        let found = search(&start, generations, SEED_TUNE, |generation, asked| {
            let cells: Vec<usize> =
                (0..batch).map(|at| (generation * batch + at) % count).collect();
            self.costs(asked, &cells, SEED_TUNE + generation as u64)
        });
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(self.best(&[start, found.luckiest, found.middle]))
    }
}

/// The cost of each candidate in each cell, as a share of the least there.
fn matrix(
    cells: &[Cell],
    candidates: &[Candidate],
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
            objective(&cells[*cell], base, weights, seed)
        };
        (SEED_CHOOSE..SEED_CHOOSE + SEEDS).map(of).sum::<f64>()
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

/// Candidates that together with those already chosen serve the cells best, one after
/// the other.
fn choose(costs: &[Vec<f64>], mut chosen: Vec<usize>) -> Vec<usize> {
    let count = costs.first().map_or(0, Vec::len);
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
        cells.iter().flat_map(|cell| (0..SEEDS).map(move |n| (cell, SEED_CHOOSE + n))).collect();
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
        assert_eq!(choose(&costs, Vec::new())[..2], [0, 2]);
        assert_eq!(choose(&costs, vec![1])[..2], [1, 2]);
    }
}
