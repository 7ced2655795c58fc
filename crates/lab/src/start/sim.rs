//! `gapless sim`: one workload on modelled nodes, under one start planner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gapless_sim::{Config, KeepAlive, PUBLISHED, Progress, Report, Simulation, StartModel};
use gapless_types::{Bytes, StartMode};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::workload_args::{WorkloadArgs, span};
use crate::bench::number;
use crate::interrupt::on_a_thread;

/// What a cold start is worth when keep-alive is learned and nothing else is said, as
/// in the platform.
pub(crate) const WORTH: Duration = Duration::from_secs(1200);

/// Run a workload on modelled nodes, with the platform's own cores
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What is random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What arrives before this is served and not counted
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = span)]
    warm_up: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the published start models with their sources, and do nothing else
    #[arg(long)]
    list_start_models: bool,
}

/// What is modelled.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ClusterArgs {
    /// Nodes, all alike
    #[arg(long, default_value_t = 20)]
    nodes: u32,
    /// Cores of each
    #[arg(long, default_value_t = 16)]
    cores: u32,
    /// Memory of each
    #[arg(long, default_value = "64Gi")]
    memory: Bytes,
    /// Start planner: planned, async, sync, window, dirigent or emergency
    #[arg(long, default_value = "planned")]
    planner: StartMode,
    /// How long starts take: a published model by name, or a time such as 120ms
    #[arg(long, default_value = "contended", value_name = "MODEL")]
    start_model: StartModel,
    /// How long idle instances stay: a time, auto (learned), or auto:WORTH, where WORTH is what a
    /// cold start is worth in time that 128 MiB are kept idle [default: auto for planned, else 60s]
    #[arg(long, value_name = "SPAN|auto[:WORTH]")]
    keep_alive: Option<String>,
    /// Starts that a node makes at a time [default: twice its cores]
    #[arg(long)]
    starts_at_once: Option<u32>,
    /// Cores that a request uses while it is served
    #[arg(long, default_value_t = 0.2)]
    cpu_per_request: f64,
    /// Requests of a function that may wait
    #[arg(long, default_value_t = 10_000)]
    queue_size: u32,
    /// How long one may wait
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    queue_wait: Duration,
    /// Slots of an instance
    #[arg(long, default_value_t = 1)]
    concurrency: u32,
    /// Instances of a function at the most
    #[arg(long, default_value_t = 100_000)]
    instances_max: u32,
    /// The share of starts that fail, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    start_failures: f64,
    /// How often each node fails, on average; it is back after a minute
    #[arg(long, value_name = "SPAN", value_parser = span)]
    node_failures: Option<Duration>,
}

impl ClusterArgs {
    pub(crate) fn config(&self, seed: u64, warm_up: Duration) -> Result<Config> {
        Ok(Config {
            nodes: self.nodes,
            cores: self.cores,
            memory: self.memory,
            planner: self.planner,
            start: self.start_model.clone(),
            keep_alive: self.keep_alive()?,
            starts_at_once: self.starts_at_once.unwrap_or(self.cores.saturating_mul(2)),
            cpu_per_request: self.cpu_per_request,
            queue_size: self.queue_size,
            queue_wait: self.queue_wait,
            concurrency: self.concurrency,
            instances_max: self.instances_max,
            start_failures: self.start_failures,
            node_failures: self.node_failures.unwrap_or_default(),
            warm_up,
            seed,
            ..Config::default()
        })
    }

    fn keep_alive(&self) -> Result<KeepAlive> {
        let is_ours = matches!(self.planner, StartMode::Planned | StartMode::Auto);
        let read =
            |text: &str| span(text).map_err(|error| anyhow::anyhow!("--keep-alive: {error}"));
        Ok(match self.keep_alive.as_deref() {
            None if is_ours => KeepAlive::Learned { worth: WORTH },
            None => KeepAlive::For(Duration::from_secs(60)),
            Some("auto") => KeepAlive::Learned { worth: WORTH },
            Some(text) => match text.strip_prefix("auto:") {
                Some(worth) => KeepAlive::Learned { worth: read(worth)? },
                None => KeepAlive::For(read(text)?),
            },
        })
    }
}

/// Runs it and prints what came of it. Whether it came to its end.
pub async fn run(args: Args) -> Result<bool> {
    if args.list_start_models {
        print_models(args.json);
        return Ok(true);
    }
    let config = args.cluster.config(args.seed, args.warm_up)?;
    let mut workload = args.workload.workload(args.seed)?;
    let (about, name) = (workload.about().clone(), args.workload.name(&workload));
    about.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let simulation = Simulation::new(config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (is_told, begun) = (stop.clone(), Instant::now());
    let span = about.span;
    let work = on_a_thread(move || {
        let said = AtomicU64::new(0);
        let report = simulation.run(&mut workload, &is_told, |at| say(&said, begun, at, span));
        Ok(report?)
    });
    let report = stop_on_interrupt(&stop, work).await?;
    let wall_s = begun.elapsed().as_secs_f64();
    let rss_mib = peak_resident_mib()?;
    if args.json {
        let mut document = serde_json::to_value(&report)?;
        let fields = document.as_object_mut().context("a report is an object")?;
        fields.insert("workload".to_owned(), json!(name));
        fields.insert("wall_s".to_owned(), json!(wall_s));
        fields.insert("rss_mib".to_owned(), json!(rss_mib));
        println!("{document:#}");
    } else {
        println!("{name}\n{}", table(&report));
        println!("  simulated in        {:.2} s, {rss_mib:.0} MiB", wall_s);
    }
    Ok(!report.is_partial)
}

/// Lets `work` know when somebody interrupts, and waits for what it has by then.
pub(crate) async fn stop_on_interrupt<T>(
    stop: &AtomicBool,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = std::pin::pin!(work);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    stop.store(true, Ordering::Relaxed);
    eprintln!("interrupted: this is what came of it until now");
    work.await
}

/// Says how far it is, each second that it takes.
fn say(said: &AtomicU64, begun: Instant, at: Progress, span: Option<Duration>) {
    let second = begun.elapsed().as_secs();
    if said.swap(second, Ordering::Relaxed) < second {
        let share = span.map(|span| at.now.as_secs_f64() / span.as_secs_f64() * 100.0);
        let share = share.map_or_else(String::new, |share| format!(" ({share:.0}%)"));
        let now = at.now.as_secs_f64();
        eprintln!("  {second} s: {} requests, {now:.0} s simulated{share}", at.arrived);
    }
}

/// The most memory this process ever had resident.
pub(crate) fn peak_resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// A report for people.
pub(crate) fn table(report: &Report) -> String {
    let setting = &report.setting;
    let mut text = format!(
        "  {} on {} nodes, starts {}, keep-alive {}, seed {}\n",
        setting.planner, setting.nodes, setting.start, setting.keep_alive, setting.seed
    );
    if report.is_partial {
        text.push_str("  PARTIAL: it was interrupted\n");
    }
    let mut row = |name: &str, value: String| text.push_str(&format!("  {name:18}  {value}\n"));
    row("invocations", format!("{} in {:.0} s", report.invocations, report.simulated_s));
    let percentiles = |of: &gapless_sim::Percentiles| {
        let [p50, p99, p999, max] = [of.p50, of.p99, of.p999, of.max].map(number);
        format!("p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}")
    };
    row("slowdown", percentiles(&report.slowdown));
    row("latency, ms", percentiles(&report.latency_ms));
    row("wait, ms", percentiles(&report.wait_ms));
    row("cold", format!("{:.2}%", report.cold_ratio * 100.0));
    let (failed, dropped) = (report.starts_failed, report.starts_dropped);
    row("starts", format!("{}, {failed} failed; {dropped} dropped in time", report.starts));
    let (sheds, timeouts) = (report.sheds, report.timeouts);
    row("refused", format!("{sheds} queue full, {timeouts} too late, {} failed", report.failed));
    let memory = &report.memory_gb_s;
    let idle = memory.idle / memory.total().max(1e-9) * 100.0;
    row("memory, GiB s", format!("{:.0}, {idle:.0}% of it idle", memory.total()));
    text.trim_end().to_owned()
}

fn print_models(is_json: bool) {
    if is_json {
        let all = PUBLISHED
            .iter()
            .map(|published| json!({"model": published.model(), "source": published.source}));
        println!("{:#}", all.collect::<Value>());
        return;
    }
    for published in PUBLISHED {
        let model = published.model();
        println!(
            "{:16}  first {} ms, then {} ms, each other {:.1}%, control path {} ms\n{:18}{}",
            model.name,
            model.first_ms,
            model.again_ms,
            model.each * 100.0,
            model.control_ms,
            "",
            published.source
        );
    }
    println!(
        "\nSpreads are assumed, as are the slope for each other start and a control path of 10 ms \
         where the source does not say."
    );
}
