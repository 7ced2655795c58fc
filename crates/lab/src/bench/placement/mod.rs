//! `gapless bench placement`: the real placement core on a modelled cluster, at any
//! size, beside the same policies asked the plain way: for every instance every node,
//! one by one. Nothing is started; what is measured is deciding.

mod balance;
mod churn;
mod quality;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use gapless_placement::{
    Batch, Cluster, Config, Held, Load, Outcome, Profile, Request, ShapeId, plain,
};
use gapless_types::{InstanceId, Time};
use serde_json::{Value, json};

use super::table::{Findings, Goal, median, quantile};
use world::Draw;

/// Single decisions that are timed.
const SINGLES: u64 = 1_000;
/// Nodes that change between two of them.
const CHANGED: u64 = 100;
/// Decisions of the plain way that are timed; it is the same each time.
const PLAIN_DECISIONS: u64 = 200;

const EXAMPLES: &str = "\
Examples:
  gapless bench placement
  gapless bench placement --nodes 100000 --shapes 1000 --workers 2
  gapless bench placement --policies least-allocated,topology-spread --json
  gapless bench placement --churn --hours 24";

/// Where instances go, how fast and how well
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Nodes
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(super) nodes: u64,
    /// Instances placed at once
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) instances: u64,
    /// Different shapes among them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) shapes: u64,
    /// Policies: all, default, or names with commas
    #[arg(long, default_value = "all")]
    pub(super) policies: String,
    /// Threads that propose placements
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(super) workers: u64,
    /// What everything random follows from
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Times it is measured; medians are printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) rounds: u64,
    /// Start and stop 5,000 instances a second, in simulated time, and look for leaks and drift
    #[arg(long)]
    pub(super) churn: bool,
    /// Simulated hours of churn
    #[arg(long, default_value_t = 0.25)]
    pub(super) hours: f64,
    /// Leave out the plain way
    #[arg(long)]
    pub(super) no_baseline: bool,
}

impl Args {
    fn config(&self) -> Config {
        Config { seed: self.seed, ..Config::default() }
    }
}

/// Runs it. A core has no threads: this is where they are.
pub(super) fn run(args: &Args) -> Result<Findings> {
    let name = if args.churn { "placement, churn" } else { "placement" };
    let mut findings = Findings::of(name);
    let profile =
        Arc::new(world::profile(&args.policies).map_err(|why| anyhow!("--policies: {why}"))?);
    let rss_before = rss_bytes();
    let cluster = world::cluster(args.nodes, args.config());
    findings.row("nodes", "count", args.nodes as f64);
    findings.row("policies that are on", "count", profile.policies().count() as f64);
    if args.churn {
        churn::run(args, cluster, &profile, &mut findings);
        return Ok(findings);
    }
    findings.row("instances", "count", args.instances as f64);
    findings.row("shapes", "count", args.shapes as f64);
    let with_nodes = rss_bytes();
    batch(args, &profile, &mut findings);
    let quality = quality::of(args, &cluster, &profile);
    findings.goal("quality", "share", quality.mean, Goal::AtLeast(0.99));
    findings.row("quality, worst", "share", quality.worst);
    let per_instance = instance_bytes(args, &cluster, &profile);
    findings.goal("memory per instance", "B", per_instance, Goal::AtMost(1024.0));
    singles(args, &cluster, &profile, &mut findings);
    balance::measure(args, &cluster, &mut findings);
    if !args.no_baseline {
        baseline(args, &cluster, &profile, &mut findings);
    }
    findings.row("rss", "MiB", rss_bytes() / f64::from(1 << 20));
    findings.summary = summary(args, &profile, &findings);
    findings.row("rss of the nodes", "MiB", (with_nodes - rss_before) / f64::from(1 << 20));
    Ok(findings)
}

/// The figures under fixed names.
fn summary(args: &Args, profile: &Profile, findings: &Findings) -> Value {
    let value = |name| findings.value(name);
    json!({
        "placements_per_s": value("placements per second"),
        "elapsed_ms": value("elapsed"),
        "per_decision_us": {
            "p50": value("one decision after churn, p50"),
            "p99": value("one decision after churn, p99"),
        },
        "first_decision_us": value("first decision"),
        "unplaced": value("unplaced"),
        "violations": value("violations"),
        "quality": value("quality"),
        "rss_mib": value("rss"),
        "baseline_elapsed_ms": value("plain way, all instances (from that)"),
        "nodes": args.nodes,
        "instances": args.instances,
        "shapes": args.shapes,
        "workers": args.workers,
        "seed": args.seed,
        "policies": profile.policies().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// The batch: times, and what came of the last.
fn batch(args: &Args, profile: &Arc<Profile>, findings: &mut Findings) {
    let (mut elapsed, mut conflicts) = (Vec::new(), 0);
    let (mut unplaced, mut violations) = (0, Vec::new());
    for round in 0..args.rounds {
        // A cluster of its own: a copy would share its chunks and pay for parting.
        let mut cluster = world::cluster(args.nodes, args.config());
        let shapes = world::shapes(&mut cluster, args.shapes, profile);
        let requests = requests(&shapes, args.instances, round << 32);
        let (took, placed, collided) = place(&mut cluster, &requests, args.workers as usize);
        elapsed.push(took.as_secs_f64() * 1e3);
        conflicts = collided;
        unplaced = placed.outcomes.iter().filter(|o| matches!(o, Outcome::Unplaced(_))).count();
        violations = plain::audit(&cluster);
    }
    let ms = median(&elapsed);
    let placed = args.instances as f64 - unplaced as f64;
    findings.row("elapsed", "ms", ms);
    findings.row("elapsed, best", "ms", quantile(&elapsed, 0.0));
    findings.row("placements per second", "1/s", placed / (ms / 1e3));
    findings.row("unplaced", "count", unplaced as f64);
    findings.goal("violations", "count", violations.len() as f64, Goal::AtMost(0.0));
    findings.wrong.extend(violations.into_iter().take(5));
    if args.workers > 1 {
        findings.row("conflicts between workers", "count", conflicts as f64);
    }
}

/// Places a batch, with threads if there are several workers.
fn place(cluster: &mut Cluster, requests: &[Request], workers: usize) -> (Duration, Batch, usize) {
    let begun = Instant::now();
    if workers <= 1 {
        let batch = cluster.place(requests, Time::ZERO);
        return (begun.elapsed(), batch, 0);
    }
    let prepared = cluster.prepare(requests);
    let proposals: Vec<_> = std::thread::scope(|scope| {
        let spawn = |worker| {
            let prepared = &prepared;
            scope.spawn(move || prepared.propose(worker, workers))
        };
        let threads: Vec<_> = (0..workers).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let (batch, conflicts) = cluster.commit(prepared, &proposals, Time::ZERO);
    (begun.elapsed(), batch, conflicts)
}

fn requests(shapes: &[ShapeId], instances: u64, first: u64) -> Vec<Request> {
    let request = |index: u64| Request {
        instance: InstanceId(first + index),
        shape: shapes[(index % shapes.len() as u64) as usize],
        group: None,
    };
    (0..instances).map(request).collect()
}

/// One instance at a time, after a hundred nodes have changed; and the very first of a
/// shape, of which nothing is kept.
fn singles(args: &Args, cluster: &Cluster, profile: &Arc<Profile>, findings: &mut Findings) {
    let mut cluster = cluster.clone();
    let shapes = world::shapes(&mut cluster, 1, profile);
    let mut draw = Draw::new(args.seed);
    let mut next = 1;
    let mut one = |cluster: &mut Cluster| {
        let requests = requests(&shapes, 1, next);
        next += 1;
        let begun = Instant::now();
        let batch = cluster.place(&requests, Time::ZERO);
        std::hint::black_box(&batch);
        begun.elapsed().as_secs_f64() * 1e6
    };
    findings.row("first decision", "us", one(&mut cluster));
    // Until the shape has earned its index.
    for _ in 0..64 + args.nodes / 100 {
        one(&mut cluster);
    }
    let mut took = Vec::new();
    for _ in 0..SINGLES {
        for _ in 0..CHANGED.min(args.nodes) {
            change(&mut cluster, args.nodes, &mut draw);
        }
        took.push(one(&mut cluster));
    }
    findings.row("one decision after churn, p50", "us", median(&took));
    findings.goal(
        "one decision after churn, p99",
        "us",
        quantile(&took, 0.99),
        Goal::AtMost(200.0),
    );
}

/// Something about some node changes.
fn change(cluster: &mut Cluster, nodes: u64, draw: &mut Draw) {
    let node = gapless_placement::NodeIndex(draw.below(nodes) as u32);
    match draw.below(3) {
        0 => {
            let cpu = draw.below(1000) as f32 / 1000.0;
            cluster.set_load(node, Load { cpu, memory: 0.5, cpu_deviation: 0.1 });
        }
        1 => {
            let name = draw.below(100).to_string();
            let is_held = draw.below(2) == 0;
            cluster.set_held(node, Held::Snapshot, &name, is_held).expect("a few things");
        }
        _ => cluster.note_failure(node),
    }
}

/// The plain way, on fewer instances where it would take too long.
fn baseline(args: &Args, cluster: &Cluster, profile: &Arc<Profile>, findings: &mut Findings) {
    let mut cluster = cluster.clone();
    let shapes = world::shapes(&mut cluster, args.shapes, profile);
    let decisions = args.instances.min(PLAIN_DECISIONS);
    let requests = requests(&shapes, decisions, 1);
    let begun = Instant::now();
    let placed = plain::place(&mut cluster, &requests, Time::ZERO);
    let each = begun.elapsed().as_secs_f64() / decisions as f64;
    std::hint::black_box(placed);
    findings.row("plain way, one decision", "us", each * 1e6);
    findings.row("plain way, placements per second", "1/s", 1.0 / each);
    let all = each * args.instances as f64 * 1e3;
    findings.row("plain way, all instances (from that)", "ms", all);
    if let Some(ours) = findings.value("elapsed") {
        findings.row("plain way over ours", "x", all / ours);
    }
}

/// What an instance adds to the process, in bytes.
fn instance_bytes(args: &Args, cluster: &Cluster, profile: &Arc<Profile>) -> f64 {
    let mut cluster = cluster.clone();
    let shapes = world::shapes(&mut cluster, args.shapes, profile);
    let count = args.instances.max(10_000);
    let requests = requests(&shapes, count, 1);
    let before = cluster.heap_bytes();
    cluster.place(&requests, Time::ZERO);
    (cluster.heap_bytes() - before) as f64 / count as f64
}

/// The process's memory, in bytes.
fn rss_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = status.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * rustix::param::page_size() as f64
}
