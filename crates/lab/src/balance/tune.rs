//! `gapless lab balance --tune`: makes the prior that is shipped.
//!
//! 1. Cells: the mixes it may be tuned on and as many drawn at random as it takes to have
//!    seen something like the next one, each on every cluster.
//! 2. A search for weights that are good on all cells whose nodes last, and one on those
//!    where some may be taken away. They begin with the best of what is known: by hand, or
//!    shipped until now.
//! 3. The few vectors that together serve all cells best. Each cell falls to the one that
//!    serves it best, each vector is searched on for its own cells, and again: clusters of
//!    cells as k-means has them, with a search where that has a mean.
//! 4. For each cell, what each vector was worth against the default weights, and what of
//!    the cell a platform could have seen: the prior's cases. Measured in runs in which a
//!    vector alone was played: what a few instances gain by playing it among others is
//!    something else.
//!
//! Each generation of a search is run with another seed and on other cells, as what is
//! best with one is made for its troubles: one that meets few failures teaches that they
//! do not matter. What is chosen is measured with seeds no search has had, and neither are
//! those that anything is compared with.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use gapless_placement::Profile;
use gapless_placement::balance::{FEATURE_NAMES, Prior, PriorArm, PriorCase, Situation, Weights};
use gapless_sim::placing::Outcome;

use super::contenders::{by_hand, kubernetes};
use super::mixes::{MIXES, drawn};
use super::play::{Cell, WARM_UP, on_threads};
use super::portfolio::{Candidate, Group, SEED_CHOOSE, SEED_TUNE, objective};
use super::search::search;
use super::worlds::worlds;

/// Mixes drawn at random that weights are searched with.
const DRAWN: u64 = 40;
/// The same that cases are measured on: a case costs less than a search, and what is like
/// no case is not known.
const DRAWN_CASES: u64 = 70;
/// Arms of the prior.
const ARMS: usize = 8;
/// The general vectors: of cells whose nodes last, and of those where some are taken away.
const GENERAL_NAMES: [&str; 2] = ["general", "general-spot"];
/// Generations of the search for a general vector, for each of a special one's.
const GENERAL: usize = 3;
/// How often special vectors are searched on.
const ROUNDS: usize = 1;

/// Seeds by which cases are measured begin here.
const SEED_CASE: u64 = 9_500;
/// How many of these where nodes last, and where some may be taken away: few losses cost
/// much, so that luck decides a run.
const CASE_SEEDS: u64 = 3;
const CASE_SEEDS_SPOT: u64 = 8;
/// The share of a run after a change in which nothing is what it was or will be.
const CHANGING: f64 = 0.05;

/// The vectors of a prior; none if stopped.
pub(crate) fn arms(
    generations: usize,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Vec<PriorArm>>> {
    let (cells, base) = (cells(DRAWN), Profile::balanced());
    let mut candidates: Vec<Candidate> = known();
    let starts: Vec<Weights> = candidates.iter().map(|one| one.weights.clone()).collect();
    for (name, its) in groups(&cells) {
        let group = Group { cells: &its, base: &base, threads, stop };
        let Some(weights) = group.search(&starts, GENERAL * generations) else { return Ok(None) };
        eprintln!("  {name}, {} cells: searched", its.len());
        candidates.push(Candidate { name: name.to_owned(), weights });
    }
    let all = Group { cells: &cells, base: &base, threads, stop };
    let effort = (ROUNDS, generations);
    let Some(chosen) = all.portfolio(candidates, &GENERAL_NAMES, ARMS, effort)? else {
        return Ok(None);
    };
    let arm = |one: Candidate| PriorArm { name: one.name.as_str().into(), weights: one.weights };
    // The default is there without being an arm of the prior.
    let others = chosen.into_iter().filter(|one| one.name != "default");
    Ok(Some(others.map(arm).collect()))
}

/// Makes a prior: with these arms, or with arms it searches. None if stopped.
pub(crate) fn tune(
    generations: usize,
    kept: Option<Prior>,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Prior>> {
    let (arms, how) = match kept {
        Some(prior) => (prior.arms, prior.made_by),
        None => {
            let Some(arms) = arms(generations, threads, stop)? else { return Ok(None) };
            (arms, format!("arms by gapless lab balance --tune --generations {generations}"))
        }
    };
    let mixes: Vec<&str> = MIXES.iter().filter(|m| m.is_tuned_on).map(|m| m.name).collect();
    let Some(cases) = cases(&arms, threads, stop)? else { return Ok(None) };
    let made_by = format!(
        "{}: separable CMA-ES over {} and {DRAWN} mixes drawn at random, on 3 clusters, seeds from \
         {SEED_TUNE} on; chosen with seeds from {SEED_CHOOSE} on; cases on {DRAWN_CASES} drawn \
         mixes with {CASE_SEEDS} seeds from {SEED_CASE} on, {CASE_SEEDS_SPOT} where nodes may be \
         taken away",
        how.split(':').next().unwrap_or_default(),
        mixes.join(", "),
    );
    let features = FEATURE_NAMES.map(str::to_owned).to_vec();
    Ok(Some(Prior { made_by, arms, features, cases }))
}

/// A prior as it is shipped: a line for each arm and each case.
pub(crate) fn written(prior: &Prior) -> Result<String> {
    let lines =
        |all: Result<Vec<String>, serde_json::Error>| Ok::<_, anyhow::Error>(all?.join(",\n  "));
    let arms = lines(prior.arms.iter().map(serde_json::to_string).collect())?;
    let cases = lines(prior.cases.iter().map(serde_json::to_string).collect())?;
    let (made_by, features) =
        (serde_json::to_string(&prior.made_by)?, serde_json::to_string(&prior.features)?);
    Ok(format!(
        "{{\n\"madeBy\": {made_by},\n\"arms\": [\n  {arms}\n],\n\"features\": {features},\n\
         \"cases\": [\n  {cases}\n]\n}}\n"
    ))
}

/// What each arm was worth on each cell in runs in which it alone was played, and what was
/// seen of the cell meanwhile. Where something changes halfway there are two cases.
pub(crate) fn cases(
    arms: &[PriorArm],
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Vec<PriorCase>>> {
    let (cells, base) = (cells(DRAWN_CASES), Profile::balanced());
    let found = on_threads(threads, &cells, stop, |cell| cases_of(cell, arms, &base))?;
    Ok(found.map(|found| found.into_iter().flatten().collect()))
}

fn cases_of(cell: &Cell, arms: &[PriorArm], base: &Profile) -> Vec<PriorCase> {
    let seeds = SEED_CASE..SEED_CASE + if has_spot(cell) { CASE_SEEDS_SPOT } else { CASE_SEEDS };
    let runs = |weights: &Weights| -> Vec<Outcome> {
        seeds.clone().map(|seed| cell.fixed(base, weights, seed)).collect()
    };
    let default = runs(&Weights::default_profile());
    let own: Vec<Vec<Outcome>> = arms.iter().map(|arm| runs(&arm.weights)).collect();
    let parts: &[(f64, f64, &str)] = match cell.mix.changes() {
        true => &[(WARM_UP, 0.5, ", first"), (0.5 + CHANGING, 1.0, ", then")],
        false => &[(WARM_UP, 1.0, "")],
    };
    let of = |(from, to, part): &(f64, f64, &str)| {
        let cost = |runs: &[Outcome]| -> f64 {
            runs.iter().map(|run| run.over(*from, *to).objective()).sum()
        };
        let gain = |runs: &Vec<Outcome>| {
            (((1.0 - cost(runs) / cost(&default)) * 1e4).round() / 1e4) as f32
        };
        // As it is seen while something that is likely to lead leads.
        let seen = own.first().unwrap_or(&default)[0].situation(*from, *to)?;
        Some(PriorCase {
            name: format!("{}{part} on {}", cell.mix.name, cell.world.name).as_str().into(),
            situation: Situation(seen.0.map(|number| (number * 1e3).round() / 1e3)),
            gains: own.iter().map(gain).collect(),
        })
    };
    parts.iter().filter_map(of).collect()
}

/// What the prior is made with: mixes written down and drawn, on every cluster.
pub(crate) fn cells(drawn_mixes: u64) -> Vec<Cell> {
    let written: Vec<_> = MIXES.into_iter().filter(|mix| mix.is_tuned_on).collect();
    let mut cells = Cell::all(&written);
    for mix in (0..drawn_mixes).map(drawn) {
        cells.extend(worlds().map(|world| Cell { mix: mix.clone(), world, is_tuned_on: true }));
    }
    cells
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

fn has_spot(cell: &Cell) -> bool {
    cell.world.machines.iter().any(|machine| machine.spot_risk > 0.0)
}

/// Cells whose nodes last, and those where some may be taken away: with the names of
/// their general vectors.
fn groups(cells: &[Cell]) -> [(&'static str, Vec<Cell>); 2] {
    let (spot, lasting) = cells.iter().cloned().partition(has_spot);
    let [of_lasting, of_spot] = GENERAL_NAMES;
    [(of_lasting, lasting), (of_spot, spot)]
}
