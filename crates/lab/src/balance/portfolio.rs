//! A few weight vectors that together serve many cells: searched, chosen, and searched on.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use gapless_placement::Profile;
use gapless_placement::balance::Weights;

use super::play::{Cell, WARM_UP, on_threads};
use super::search::search;

/// Seeds of searches begin here; what is measured has seeds below.
pub(crate) const SEED_TUNE: u64 = 1_000;
/// Seeds by which vectors are chosen and cases are measured begin here.
pub(crate) const SEED_CHOOSE: u64 = 9_000;
/// Of a group's cells, a generation is run on so many: each time on others.
const BATCH: usize = 10;
/// Candidates of a group that are looked at on more than one seed.
const FINALISTS: usize = 4;

/// A vector that may become an arm.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) weights: Weights,
}

pub(crate) fn objective(cell: &Cell, base: &Profile, weights: &Weights, seed: u64) -> f64 {
    cell.fixed(base, weights, seed).over(WARM_UP, 1.0).objective()
}

/// Cells, and what runs on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) base: &'a Profile,
    pub(crate) threads: usize,
    pub(crate) stop: &'a AtomicBool,
}

impl Group<'_> {
    /// Each vector's cost on each of some cells, as a share of the default weights' with
    /// the same workload; nothing if stopped.
    fn shares(&self, asked: &[Weights], cells: &[usize], seed: u64) -> Vec<Vec<f64>> {
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
        rows.map(|row| row.iter().zip(usual).map(|(cost, usual)| cost / usual).collect()).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.cells.len()).collect()
    }

    /// The best of these on all cells: all of them by one seed, the best few by more.
    fn best(&self, among: &[Weights]) -> Option<Weights> {
        let sums = |among: &[Weights], seed: u64| -> Vec<f64> {
            let shares = self.shares(among, &self.all(), seed);
            shares.iter().map(|row| row.iter().sum()).collect()
        };
        let first = sums(among, SEED_TUNE);
        let mut order: Vec<usize> = (0..first.len()).collect();
        order.sort_by(|a, b| first[*a].total_cmp(&first[*b]));
        order.truncate(FINALISTS);
        let finalists: Vec<Weights> = order.iter().map(|at| among[*at].clone()).collect();
        let (second, third) = (sums(&finalists, SEED_TUNE + 1), sums(&finalists, SEED_TUNE + 2));
        let total = |at: usize| Some(first[order[at]] + second.get(at)? + third.get(at)?);
        let totals: Option<Vec<f64>> = (0..finalists.len()).map(total).collect();
        let totals = totals?;
        let least = (0..totals.len()).min_by(|a, b| totals[*a].total_cmp(&totals[*b]))?;
        Some(finalists[least].clone())
    }

    /// Weights that are good on all cells. Each generation has another seed and, where
    /// there are many cells, others of them. None if stopped.
    pub(crate) fn search(&self, starts: &[Weights], generations: usize) -> Option<Weights> {
        let start = self.best(starts)?;
        let count = self.cells.len();
        let batch = BATCH.min(count);
        let found = search(&start, generations, SEED_TUNE, |generation, asked| {
            let cells: Vec<usize> =
                (0..batch).map(|at| (generation * batch + at) % count).collect();
            let shares = self.shares(asked, &cells, SEED_TUNE + generation as u64);
            shares.iter().map(|row| row.iter().sum()).collect()
        });
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        self.best(&[start, found.luckiest, found.middle])
    }

    /// The cost of each candidate on each cell over so many seeds, as a share of the
    /// default weights': rows are cells. None if stopped.
    pub(crate) fn matrix(&self, candidates: &[Candidate], seeds: u64) -> Option<Vec<Vec<f64>>> {
        let asked: Vec<Weights> = candidates.iter().map(|one| one.weights.clone()).collect();
        let mut sums = vec![vec![0.0; candidates.len()]; self.cells.len()];
        for seed in SEED_CHOOSE..SEED_CHOOSE + seeds {
            let shares = self.shares(&asked, &self.all(), seed);
            if shares.len() < asked.len() {
                return None;
            }
            for (candidate, row) in shares.iter().enumerate() {
                for (cell, share) in row.iter().enumerate() {
                    sums[cell][candidate] += share / seeds as f64;
                }
            }
        }
        Some(sums)
    }

    /// So many vectors that together serve all cells best, beginning with some that are
    /// kept: chosen, each searched on for the cells that fall to it, and chosen again.
    pub(crate) fn portfolio(
        &self,
        mut candidates: Vec<Candidate>,
        kept: &[&str],
        arms: usize,
        (rounds, generations): (usize, usize),
    ) -> Result<Option<Vec<Candidate>>> {
        let keep = |candidates: &[Candidate]| -> Vec<usize> {
            let is_kept = |at: &usize| kept.contains(&&*candidates[*at].name);
            (0..candidates.len()).filter(is_kept).collect()
        };
        for round in 1..=rounds {
            let Some(costs) = self.matrix(&candidates, 1) else { return Ok(None) };
            let chosen = choose(&costs, keep(&candidates), arms);
            for (place, at) in chosen.iter().enumerate() {
                let falls = |row: &Vec<f64>| {
                    let least = chosen.iter().min_by(|a, b| row[**a].total_cmp(&row[**b]));
                    least == Some(at)
                };
                let its: Vec<Cell> = self
                    .cells
                    .iter()
                    .zip(&costs)
                    .filter(|(_, row)| falls(row))
                    .map(|(cell, _)| cell.clone())
                    .collect();
                if its.len() < BATCH / 2 {
                    continue;
                }
                let own = Group { cells: &its, ..*self };
                let start = [candidates[*at].weights.clone()];
                let Some(weights) = own.search(&start, generations) else { return Ok(None) };
                eprintln!(
                    "  round {round}, {}: searched on {} cells",
                    candidates[*at].name,
                    its.len()
                );
                candidates
                    .push(Candidate { name: format!("special-{round}{}", letter(place)), weights });
            }
        }
        let Some(costs) = self.matrix(&candidates, 2) else { return Ok(None) };
        let chosen = choose(&costs, keep(&candidates), arms);
        Ok(Some(chosen.iter().map(|at| candidates[*at].clone()).collect()))
    }
}

fn letter(place: usize) -> char {
    char::from(b'a' + (place % 26) as u8)
}

/// Candidates that together with those already chosen serve the cells best, one after
/// the other.
fn choose(costs: &[Vec<f64>], mut chosen: Vec<usize>, arms: usize) -> Vec<usize> {
    let count = costs.first().map_or(0, Vec::len);
    while chosen.len() < arms.min(count) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_chosen_for_what_they_add() {
        // The first is good everywhere, the third best in the last cell, the second a
        // little better than the first in the first.
        let costs = vec![vec![1.02, 1.0, 2.0], vec![1.0, 1.1, 2.0], vec![1.3, 1.4, 1.0]];
        assert_eq!(choose(&costs, Vec::new(), 2), [0, 2]);
        assert_eq!(choose(&costs, vec![1], 2), [1, 2]);
    }
}
