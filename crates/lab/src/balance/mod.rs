//! `gapless lab balance`: weights against each other, fixed and learned, in placement
//! episodes with the real cluster and the real balancer.
//!
//! | part | where |
//! |---|---|
//! | workloads and clusters | [`mixes`], [`worlds`] |
//! | one run | [`play`] |
//! | weights that never change | [`contenders`] |
//! | searching weights | [`search`] |
//! | making the prior that is shipped | [`tune`], [`portfolio`] |
//! | everybody against everybody | [`compare`], [`summary`] |
//! | regret over time | [`plots`] |
//! | which scores pull against which | [`conflicts`] |

mod compare;
mod conflicts;
mod contenders;
mod mixes;
mod play;
mod plots;
mod portfolio;
mod search;
mod summary;
mod tune;
mod worlds;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use gapless_placement::balance::{Prior, Report};
use parking_lot::Mutex;
use serde_json::json;

use crate::bench::number;
use crate::interrupt::on_a_thread;
use crate::start::sim::stop_on_interrupt;
use compare::{Compared, Effort, OURS, Row};
use mixes::{LabMix, MIXES};
use play::Cell;
use summary::Summary;

/// Compare weights of placement policies, fixed and learned, by simulation
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Only these mixes [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    mix: Vec<String>,
    /// Only these clusters [default: even, mixed, spot]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cluster: Vec<String>,
    /// Seeds per figure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=1000))]
    seeds: u64,
    /// Generations of the search for the hindsight oracle, and of --tune
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    generations: u64,
    /// Threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// Leave out the runs of each policy alone
    #[arg(long)]
    no_singles: bool,
    /// Another prior than the shipped one (a file that --tune printed)
    #[arg(long, value_name = "FILE")]
    prior: Option<PathBuf>,
    /// Write plots of regret over time (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Instead: search weights on the mixes for tuning and print the prior that is shipped
    #[arg(long)]
    tune: bool,
    /// With --tune: keep the arms of the prior, and only measure anew what each is worth where
    #[arg(long, requires = "tune")]
    keep_arms: bool,
    /// Instead: which scores pull against which, over the candidates of real decisions
    #[arg(long)]
    conflicts: bool,
    /// List mixes and clusters and do nothing else
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it and prints what came of it. Whether it came to its end.
pub async fn run(args: Args) -> Result<bool> {
    if args.list {
        list();
        return Ok(true);
    }
    let cells = chosen(&args)?;
    let prior = read_prior(&args)?;
    let stop = Arc::new(AtomicBool::new(false));
    let is_told = Arc::clone(&stop);
    if args.conflicts {
        let is_json = args.json;
        let work = on_a_thread(move || Ok(conflicts::measure(&cells, &is_told)));
        let found = stop_on_interrupt(&stop, work).await?;
        conflicts::print(&found, is_json);
        return Ok(!stop.load(Ordering::Relaxed));
    }
    if args.tune {
        let (generations, threads) = (args.generations as usize, args.threads as usize);
        let kept = args.keep_arms.then_some(prior);
        let work = on_a_thread(move || tune::tune(generations, kept, threads, &is_told));
        let Some(prior) = stop_on_interrupt(&stop, work).await? else { return Ok(false) };
        print!("{}", tune::written(&prior)?);
        return Ok(true);
    }
    let effort = Effort {
        seeds: args.seeds,
        generations: args.generations as usize,
        has_singles: !args.no_singles,
    };
    let threads = args.threads as usize;
    let work = on_a_thread(move || {
        // What was finished is shown also when it is interrupted.
        let finished = Mutex::new(BTreeMap::new());
        let numbered: Vec<(usize, &Cell)> = cells.iter().enumerate().collect();
        play::on_threads(threads, &numbered, &is_told, |(number, cell)| {
            eprintln!("{}: {}", cell.name(), cell.mix.about);
            if let Some(compared) = compare::compare(cell, &prior, effort, &is_told) {
                finished.lock().insert(*number, compared);
            }
        })?;
        Ok(finished.into_inner().into_values().collect::<Vec<Compared>>())
    });
    let done = stop_on_interrupt(&stop, work).await?;
    let is_partial = stop.load(Ordering::Relaxed);
    if done.is_empty() {
        bail!("interrupted before anything was finished");
    }
    print(&args, &done, is_partial)?;
    Ok(!is_partial)
}

fn list() {
    for mix in MIXES {
        let kind = if mix.is_tuned_on { "the prior was made with it" } else { "held out" };
        println!("{:14} {} ({kind})", mix.name, (mix.make)().about);
    }
    for world in worlds::worlds() {
        println!("{:14} a cluster of {} nodes", world.name, world.machines.len());
    }
}

fn read_prior(args: &Args) -> Result<Prior> {
    let Some(path) = &args.prior else { return Ok(Prior::shipped()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--prior: cannot read {}", path.display()))?;
    Prior::read(&text).with_context(|| format!("--prior {}", path.display()))
}

fn chosen(args: &Args) -> Result<Vec<Cell>> {
    let all = || MIXES.iter().map(|mix| mix.name).collect::<Vec<_>>().join(", ");
    let mut mixes: Vec<LabMix> = MIXES.to_vec();
    if !args.mix.is_empty() {
        for name in &args.mix {
            if !mixes.iter().any(|mix| mix.name == name) {
                bail!("--mix: there is no {name:?}; there are {}", all());
            }
        }
        mixes.retain(|mix| args.mix.iter().any(|name| name == mix.name));
    }
    let mut cells = Cell::all(&mixes);
    if !args.cluster.is_empty() {
        let known: Vec<&str> = worlds::worlds().iter().map(|world| world.name).collect();
        for name in &args.cluster {
            if !known.contains(&&**name) {
                bail!("--cluster: there is no {name:?}; there are {}", known.join(", "));
            }
        }
        cells.retain(|cell| args.cluster.iter().any(|name| name == cell.world.name));
    }
    Ok(cells)
}

fn print(args: &Args, done: &[Compared], is_partial: bool) -> Result<()> {
    let summary = Summary::of(done);
    let all = plots::curves(done.iter());
    let changing = plots::curves(done.iter().filter(|cell| cell.rows[0].changes));
    if let Some(folder) = &args.plots {
        plots::draw(folder, "regret", "all mixes, all clusters", &all)?;
        plots::draw(folder, "regret-change", "mixes that change halfway", &changing)?;
    }
    let goals = summary.goals();
    if args.json {
        let rows: Vec<&Row> = done.iter().flat_map(|cell| &cell.rows).collect();
        let learned: Vec<_> = done.iter().map(|cell| &cell.learned).collect();
        let oracles: Vec<_> = done
            .iter()
            .map(|cell| json!({"mix": cell.rows[0].mix, "cluster": cell.rows[0].cluster, "weights": cell.oracle}))
            .collect();
        let document = json!({
            "seeds": args.seeds, "rows": rows, "summary": summary, "learned": learned,
            "oracles": oracles, "regret": all, "regret_change": changing, "goals": goals,
            "is_partial": is_partial,
        });
        println!("{document:#}");
        return Ok(());
    }
    for cell in done {
        table(cell);
    }
    println!("{}", goals.table());
    if is_partial {
        println!("PARTIAL: it was interrupted; what is not above was not run");
    }
    Ok(())
}

fn table(cell: &Compared) {
    let first = &cell.rows[0];
    let kind = if first.is_held_out { ", held out" } else { "" };
    println!(
        "\n{} on {}{kind}\n  {:34} {:>14} {:>9} {:>7} {:>9} {:>8} {:>9} {:>10} {:>10}",
        first.mix,
        first.cluster,
        "weights",
        "objective",
        "slowdown",
        "nodes",
        "failures",
        "exposed",
        "vs kube",
        "vs default",
        "vs oracle"
    );
    let mut rows: Vec<&Row> = cell.rows.iter().collect();
    rows.sort_by(|a, b| a.objective.mean.total_cmp(&b.objective.mean));
    for row in rows {
        let mark = if row.contender == OURS { "* " } else { "  " };
        println!(
            "{mark}{:34} {:>14} {:>9.3} {:>7.3} {:>9.4} {:>8.3} {:>+8.1}% {:>+9.1}% {:>+9.1}%",
            row.contender,
            format!("{} +-{}", number(row.objective.mean), number(row.objective.ci95)),
            row.slowdown,
            row.node_hours,
            row.failures,
            row.exposure,
            row.gain_vs_kubernetes.mean * 100.0,
            row.gain_vs_default.mean * 100.0,
            row.gap_to_oracle.mean * 100.0,
        );
    }
    if let Some((first, again)) = summary::times(cell) {
        println!(
            "  near the oracle after {:.0}% of the half that follows the change; knowing nothing at \
             first, {:.0}%",
            again * 100.0,
            first * 100.0
        );
    }
    println!("{}", words(&cell.learned.report));
}

/// What was learned, in words.
fn words(report: &Report) -> String {
    let mut text = String::from("  learned:");
    for context in report.contexts.iter().filter(|context| context.windows > 0) {
        let shares = context.weights.shares();
        let heaviest: Vec<String> = shares
            .iter()
            .take(4)
            .map(|(name, share)| format!("{name} {:.0}%", share * 100.0))
            .collect();
        text += &format!(
            "\n    {} in {}: {} ({:+.1}% +-{:.1} against the default, {} windows): {}",
            context.class_name(),
            context.regime,
            context.leader,
            context.gain * 100.0,
            context.gain_ci95 * 100.0,
            context.windows,
            heaviest.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_lab_says_everything_and_the_same_each_time() {
        let mixes: Vec<LabMix> = MIXES.into_iter().filter(|mix| mix.name == "inference").collect();
        let mut cells = Cell::all(&mixes);
        cells.truncate(1);
        let effort = Effort { seeds: 2, generations: 1, has_singles: false };
        let stop = AtomicBool::new(false);
        let prior = Prior::shipped();
        let run = || compare::compare(&cells[0], &prior, effort, &stop).unwrap();
        let (one, other) = (run(), run());
        let summary = Summary::of(std::slice::from_ref(&one));
        assert_eq!(one.rows.len(), other.rows.len());
        for (one, other) in one.rows.iter().zip(&other.rows) {
            assert_eq!(one.by_seed, other.by_seed, "{}", one.contender);
        }
        assert_eq!(summary.infeasible, 0);
        let oracle = one.rows.iter().find(|row| row.contender == "oracle").unwrap();
        let fixed = one.rows.iter().filter(|row| !row.contender.starts_with("balancer"));
        for row in fixed.filter(|row| row.contender != "random weights") {
            assert!(row.objective.mean >= oracle.objective.mean - 1e-9, "{}", row.contender);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(compare::compare(&cells[0], &prior, effort, &stop).is_none());
    }

    #[test]
    fn unknown_names_are_refused_with_those_there_are() {
        let args = Args {
            mix: vec!["nope".to_owned()],
            cluster: Vec::new(),
            seeds: 2,
            generations: 1,
            threads: 1,
            no_singles: true,
            prior: None,
            plots: None,
            tune: false,
            keep_arms: false,
            conflicts: false,
            list: false,
            json: false,
        };
        assert!(chosen(&args).unwrap_err().to_string().contains("there are web, idle-night"));
        let args = Args { mix: Vec::new(), cluster: vec!["x".to_owned()], ..args };
        assert!(chosen(&args).unwrap_err().to_string().contains("even, mixed, spot"));
    }
}
