//! `gapless lab start`: start planners against each other, over workloads and seeds.
//!
//! A planner alone says little: with more memory every planner is fast. So each other
//! planner is run as it is, and `planned` with several prices of memory; what counts
//! is its slowdown where it holds no more memory than the other did. Each figure is
//! the mean over seeds with the half width of its 95% confidence interval.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gapless_sim::{KeepAlive, Report, Simulation};
use gapless_types::StartMode;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use super::scenarios::{ALL, Scenario};
use super::sim::stop_on_interrupt;
use super::{goals, plots, real};
use crate::bench::number;
use crate::interrupt::on_a_thread;

/// Prices of memory that `planned` is run with: seconds of 128 MiB that a cold start
/// is worth.
const WORTHS: [u64; 16] = [
    10, 30, 60, 150, 300, 600, 1200, 2500, 5000, 10_000, 20_000, 40_000, 80_000, 160_000, 400_000,
    1_000_000,
];
/// Keep-alives that planners without one of their own are run with.
const KEPT: [u64; 2] = [60, 600];

/// Compare start planners by simulation, or the simulator with the platform
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only these scenarios; `all` for the long ones too [default: all but the long ones]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Seeds per figure
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Write plots (SVG) into this folder; takes some more minutes
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Instead: run scenarios on the real platform too, and say how far the simulator is off
    #[arg(long)]
    real: bool,
    /// List the scenarios and do nothing else
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A mean over seeds, and the half width of its 95% confidence interval.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    pub(crate) ci95: f64,
}

/// One planner on one workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) planner: &'static str,
    pub(crate) keep_alive: String,
    #[serde(skip)]
    pub(crate) mode: StartMode,
    pub(crate) slowdown_p50: Mean,
    pub(crate) slowdown_p99: Mean,
    pub(crate) slowdown_p999: Mean,
    pub(crate) latency_ms_p99: Mean,
    pub(crate) cold_ratio: Mean,
    pub(crate) starts: Mean,
    pub(crate) refused: Mean,
    pub(crate) timeouts: Mean,
    pub(crate) served_per_s: Mean,
    pub(crate) wait_ms_p99: Mean,
    pub(crate) memory_gb_s: Mean,
    pub(crate) idle_ratio: Mean,
    /// For another planner: `planned` with no more memory, if it can do with that.
    pub(crate) planned: Option<Versus>,
}

/// `planned` against another planner, with no more memory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Versus {
    pub(crate) keep_alive: String,
    pub(crate) slowdown_p99: f64,
    pub(crate) memory_gb_s: f64,
    /// Its p99 over the other's.
    pub(crate) ratio: f64,
    /// The part above 1, which nobody can avoid, over the other's.
    pub(crate) excess_ratio: f64,
}

/// What is run: a planner and how it keeps idle instances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) mode: StartMode,
    pub(crate) keep_alive: KeepAlive,
}

/// Every contender.
pub(crate) fn contenders() -> Vec<Contender> {
    let kept = |mode| {
        KEPT.map(|kept| Contender { mode, keep_alive: KeepAlive::For(Duration::from_secs(kept)) })
    };
    let mut all = Vec::from(kept(StartMode::Sync));
    all.extend(kept(StartMode::Async));
    for mode in [StartMode::Window, StartMode::Dirigent, StartMode::Emergency] {
        // They decide themselves how long idle instances stay.
        all.push(kept(mode)[0]);
    }
    let planned = |worth| Contender {
        mode: StartMode::Planned,
        keep_alive: KeepAlive::Learned { worth: Duration::from_secs(worth) },
    };
    all.extend(WORTHS.map(planned));
    all
}

/// Runs it and prints what came of it. Whether it came to its end.
pub async fn run(args: Args) -> Result<bool> {
    if args.list {
        for scenario in ALL {
            let long = if scenario.is_long { " (long)" } else { "" };
            println!("{:16}  {}{long}", scenario.name, scenario.about);
        }
        return Ok(true);
    }
    if args.seeds == 0 {
        bail!("--seeds: found 0, allowed is at least 1");
    }
    if args.real {
        return real::run(args.seeds, args.json).await;
    }
    let scenarios = chosen(&args.scenario)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (is_told, seeds, plots) = (stop.clone(), args.seeds, args.plots.clone());
    let work = on_a_thread(move || {
        let mut rows = Vec::new();
        for scenario in scenarios {
            if is_told.load(Ordering::Relaxed) {
                break;
            }
            rows.extend(compare(scenario, seeds, &is_told)?);
        }
        let curves = match plots {
            Some(folder) if !is_told.load(Ordering::Relaxed) => {
                plots::draw(&folder, seeds.min(3), &is_told)?
            }
            _ => Vec::new(),
        };
        Ok((rows, curves))
    });
    let (rows, curves) = stop_on_interrupt(&stop, work).await?;
    let is_partial = stop.load(Ordering::Relaxed);
    let goals = goals::of(&rows);
    if args.json {
        let document = json!({
            "seeds": args.seeds, "rows": rows, "curves": curves, "goals": goals,
            "is_partial": is_partial,
        });
        println!("{document:#}");
    } else {
        print(&rows);
        println!("{}", goals.table());
        if is_partial {
            println!("PARTIAL: it was interrupted; what is not above was not run");
        }
    }
    Ok(!is_partial)
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(ALL.iter().filter(|scenario| !scenario.is_long).copied().collect());
    }
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| {
        ALL.iter().find(|scenario| scenario.name == name).copied().with_context(|| {
            let all: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
            format!("--scenario: there is no {name:?}; there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Every contender on one scenario.
fn compare(scenario: Scenario, seeds: u64, stop: &AtomicBool) -> Result<Vec<Row>> {
    eprintln!("{}: {}", scenario.name, scenario.about);
    let contenders = contenders();
    let jobs: Vec<(Contender, u64)> =
        contenders.iter().flat_map(|one| (0..seeds).map(|seed| (*one, seed))).collect();
    let reports = in_parallel(&jobs, stop, |(contender, seed)| {
        let config = scenario.config(contender.mode, contender.keep_alive, *seed);
        let mut workload = (scenario.workload)(*seed)?;
        Ok(Simulation::new(config)?.run(&mut workload, stop, |_| {})?)
    })?;
    let Some(reports) = reports else { return Ok(Vec::new()) };
    let mut rows: Vec<Row> = contenders
        .iter()
        .zip(reports.chunks(seeds as usize))
        .map(|(contender, reports)| row(scenario.name, contender.mode, reports))
        .collect();
    let ours: Vec<Row> =
        rows.iter().filter(|row| row.mode == StartMode::Planned).cloned().collect();
    for row in &mut rows {
        if row.mode != StartMode::Planned {
            row.planned = versus(row, &ours);
        }
    }
    Ok(rows)
}

/// Does jobs on every core, in the order of their outcomes as given; none if stopped.
pub(crate) fn in_parallel<J: Sync, T: Send>(
    jobs: &[J],
    stop: &AtomicBool,
    work: impl Fn(&J) -> Result<T> + Sync,
) -> Result<Option<Vec<T>>> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<Result<T>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(jobs.len()) {
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
    outcomes.into_inner().into_iter().flatten().collect::<Result<Vec<T>>>().map(Some)
}

fn row(scenario: &'static str, mode: StartMode, reports: &[Report]) -> Row {
    let over = |figure: fn(&Report) -> f64| mean(reports.iter().map(figure));
    Row {
        scenario,
        planner: mode.as_str(),
        keep_alive: reports[0].setting.keep_alive.clone(),
        mode,
        slowdown_p50: over(|report| report.slowdown.p50),
        slowdown_p99: over(|report| report.slowdown.p99),
        slowdown_p999: over(|report| report.slowdown.p999),
        latency_ms_p99: over(|report| report.latency_ms.p99),
        cold_ratio: over(|report| report.cold_ratio),
        starts: over(|report| report.starts as f64),
        refused: over(|report| (report.sheds + report.timeouts + report.failed) as f64),
        timeouts: over(|report| report.timeouts as f64),
        wait_ms_p99: over(|report| report.wait_ms.p99),
        served_per_s: over(|report| report.served as f64 / report.simulated_s.max(1e-9)),
        memory_gb_s: over(|report| report.memory_gb_s.total()),
        idle_ratio: over(|report| report.memory_gb_s.idle / report.memory_gb_s.total().max(1e-9)),
        planned: None,
    }
}

/// Mean and confidence interval (Student's t).
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Mean {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    if values.len() < 2 {
        return Mean { mean, ci95: f64::NAN };
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    Mean { mean, ci95: t95(values.len() - 1) * deviation / count.sqrt() }
}

/// The 97.5th percentile of Student's t.
fn t95(freedom: usize) -> f64 {
    const TABLE: [f64; 15] =
        [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13];
    TABLE.get(freedom.saturating_sub(1)).copied().unwrap_or(2.0)
}

/// The best of ours with no more memory than the other.
fn versus(other: &Row, ours: &[Row]) -> Option<Versus> {
    let affordable = ours.iter().filter(|row| row.memory_gb_s.mean <= other.memory_gb_s.mean);
    let best = affordable.min_by(|a, b| a.slowdown_p99.mean.total_cmp(&b.slowdown_p99.mean))?;
    let (our_p99, other_p99) = (best.slowdown_p99.mean, other.slowdown_p99.mean);
    Some(Versus {
        keep_alive: best.keep_alive.clone(),
        slowdown_p99: our_p99,
        memory_gb_s: best.memory_gb_s.mean,
        ratio: our_p99 / other_p99,
        excess_ratio: (our_p99 - 1.0).max(0.0) / (other_p99 - 1.0).max(1e-3),
    })
}

fn print(rows: &[Row]) {
    let mut last = "";
    for row in rows {
        if row.scenario != last {
            last = row.scenario;
            println!(
                "\n{last}\n  {:9} {:22} {:>6} {:>16} {:>8} {:>9} {:>7} {:>9} {:>9} {:>5} {:>8}   \
                 planned with no more memory",
                "planner",
                "keep-alive",
                "p50",
                "slowdown p99",
                "p99.9",
                "p99 ms",
                "cold %",
                "starts",
                "GiB s",
                "idle",
                "refused"
            );
        }
        let with = |of: Mean| match of.ci95.is_nan() {
            true => number(of.mean),
            false => format!("{} +-{}", number(of.mean), number(of.ci95)),
        };
        let versus = row.planned.as_ref().map_or_else(String::new, |versus| {
            let memory = versus.memory_gb_s / row.memory_gb_s.mean * 100.0;
            format!(
                "{} ({:.2}x) in {memory:.0}% of the memory",
                number(versus.slowdown_p99),
                versus.ratio
            )
        });
        let line = format!(
            "  {:9} {:22} {:>6} {:>16} {:>8} {:>9} {:>7.2} {:>9.0} {:>9.0} {:>4.0}% {:>8.0}   {versus}",
            row.planner,
            row.keep_alive,
            number(row.slowdown_p50.mean),
            with(row.slowdown_p99),
            number(row.slowdown_p999.mean),
            number(row.latency_ms_p99.mean),
            row.cold_ratio.mean * 100.0,
            row.starts.mean,
            row.memory_gb_s.mean,
            row.idle_ratio.mean * 100.0,
            row.refused.mean,
        );
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_have_their_confidence_interval() {
        let of = mean([1.0, 2.0, 3.0].into_iter());
        assert_eq!(of.mean, 2.0);
        assert!((of.ci95 - 4.30 / 3f64.sqrt()).abs() < 1e-9);
        assert!(mean([7.0].into_iter()).ci95.is_nan());
    }

    #[test]
    fn scenarios_are_found_by_name_and_run() {
        assert!(chosen(&["nope".to_owned()]).unwrap_err().to_string().contains("azure244"));
        let stop = AtomicBool::new(false);
        let rows = compare(chosen(&["burst-easy".to_owned()]).unwrap()[0], 2, &stop).unwrap();
        assert_eq!(rows.len(), contenders().len());
        let sync = rows.iter().find(|row| row.planner == "sync").unwrap();
        assert_eq!(sync.starts.mean, 5000.0);
        let versus = sync.planned.as_ref().expect("planned holds less");
        assert!(versus.memory_gb_s <= sync.memory_gb_s.mean);
        stop.store(true, Ordering::Relaxed);
        assert!(compare(ALL[0], 1, &stop).unwrap().is_empty());
    }
}
