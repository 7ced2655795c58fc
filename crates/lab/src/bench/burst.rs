//! `bench burst`: many calls at once of a function that has no instance.
//!
//! With a model, the ideal is known: one start, then every instance busy until
//! the queue is empty. With a real Python program it is not, so the burst is
//! compared, in rounds that rotate the order, with two ways of starting all the
//! instances at once, and judged by the faster of the two:
//!
//! - `start.mode: sync`: every waiting call asks for an instance of its own. The
//!   calls set it off, as they do the platform's choice, so this is like with like;
//! - `scale.min`: all start because the function is deployed. It is measured from
//!   that deploy, whose own cost (a few milliseconds) it carries.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::peers::find;
use super::table::{Findings, Goal, median};
use crate::api::Code;
use crate::load::{self, Load, Report, expect_body};
use crate::platform::Platform;

const INSTANCES: u32 = 50;
const START_MS: u32 = 5;
const SERVICE_MS: u32 = 20;
/// How much longer than ideal is still work-conserving.
const SLACK: f64 = 1.15;
const SLEEPER: &[u8] = include_bytes!("sleeper.py");

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the function is made of
    #[arg(long, value_enum, default_value = "fake")]
    pub(super) kind: Kind,
    /// Calls at once
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) requests: u32,
    /// How many bursts, each at a function of its own
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
}

/// What the function is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A model: 5 ms to start, 20 ms to answer
    Fake,
    /// A Python HTTP server that sleeps 20 ms
    Python,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    match args.kind {
        Kind::Fake => fake(args).await,
        Kind::Python => python(args).await,
    }
}

/// A function that may have [`INSTANCES`], with `changes` to the usual fields.
fn spec(requests: u32, changes: &[(&str, Value)]) -> Value {
    let mut spec = json!({
        "concurrency": 1,
        "scale": {"max": INSTANCES},
        "queue": {"size": requests.max(1000) * 2, "wait": "60s"},
        "resources": {"cpu": "10m", "memory": "64Mi"},
    });
    for (field, value) in changes {
        spec[*field] = value.clone();
    }
    spec
}

async fn fake(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("burst fake");
    let platform = Platform::start(&["--fake-nodes", "1"]).await?;
    let code = Code::fake(START_MS, SERVICE_MS);
    let mut rounds = Rounds::default();
    for round in 0..args.rounds {
        let name = format!("burst{round}");
        platform.deploy(&name, &code, spec(args.requests, &[])).await?;
        let started = platform.starts().await?;
        let load = Load::new(platform.get(&name, "/"), accept_any()).noting();
        let report = load::burst(&load, args.requests as usize).await?;
        let started = platform.starts().await? - started;
        rounds.add(&mut findings, &report, report.elapsed, started);
        platform.api().await?.delete(&name).await?;
    }
    let waves = f64::from(args.requests.div_ceil(INSTANCES));
    let ideal_ms = f64::from(START_MS) + waves * f64::from(SERVICE_MS);
    let total_ms = median(&rounds.total_ms);
    findings.row("requests", "count", f64::from(args.requests));
    findings.goal("errors", "count", rounds.errors, Goal::AtMost(0.0));
    findings.row("ideal", "ms", ideal_ms);
    let limit_ms = (ideal_ms * SLACK).round();
    findings.goal("all answered after, median", "ms", total_ms, Goal::AtMost(limit_ms));
    findings.row("over ideal", "x", total_ms / ideal_ms);
    rounds.add_to(&mut findings);
    platform.stop().await?;
    Ok(findings)
}

/// A model answers 200 with a body of its own.
fn accept_any() -> load::Check {
    std::sync::Arc::new(|answer| match answer.status {
        200 => Ok(()),
        _ => Err(answer.describe()),
    })
}

/// How the instances of a round come to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the platform chooses.
    Planned,
    /// One for each waiting call.
    Sync,
    /// All of them, as the function is deployed.
    Minimum,
}

const WAYS: [Way; 3] = [Way::Planned, Way::Sync, Way::Minimum];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Planned => "planned",
            Way::Sync => "all at once (start.mode: sync)",
            Way::Minimum => "all at once (scale.min)",
        }
    }

    fn changes(self) -> Vec<(&'static str, Value)> {
        match self {
            Way::Planned => Vec::new(),
            Way::Sync => vec![("start", json!({"mode": "sync"}))],
            Way::Minimum => vec![("scale", json!({"min": INSTANCES, "max": INSTANCES}))],
        }
    }
}

async fn python(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("burst python");
    if find("python3").is_none() {
        findings.note("skipped: there is no python3; `apt-get install python3`");
        return Ok(findings);
    }
    let platform = Platform::start(&[]).await?;
    let code = Code::command(&["python3", "sleeper.py"], &[("sleeper.py", SLEEPER)])?;
    let mut sides: [Rounds; WAYS.len()] = Default::default();
    for round in 0..args.rounds as usize {
        for turn in 0..WAYS.len() {
            let way = (round + turn) % WAYS.len();
            let name = format!("burst{round}-{way}");
            eprintln!("  round {round}, {}:", WAYS[way].name());
            let (report, total, started) =
                python_round(&platform, args.requests, &name, &code, WAYS[way])
                    .await
                    .with_context(|| name.clone())?;
            sides[way].add(&mut findings, &report, total, started);
        }
    }
    let [planned, baselines @ ..] = &sides;
    findings.row("requests", "count", f64::from(args.requests));
    findings.goal("errors", "count", planned.errors, Goal::AtMost(0.0));
    findings.row("all answered after, median", "ms", median(&planned.total_ms));
    planned.add_to(&mut findings);
    let mut slower = 0.0_f64;
    for (way, side) in WAYS[1..].iter().zip(baselines) {
        findings.row(format!("{}: all answered after", way.name()), "ms", median(&side.total_ms));
        findings.row(format!("{}: instances started", way.name()), "count", median(&side.started));
        let pairs = planned.total_ms.iter().zip(&side.total_ms);
        let ratio = median(&pairs.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>());
        findings.row(format!("over {}", way.name()), "x", ratio);
        slower = slower.max(ratio);
    }
    findings.goal("over the faster of the two", "x", slower, Goal::AtMost(1.0));
    platform.stop().await?;
    Ok(findings)
}

/// One burst at a function of its own: its report, from when to when it is
/// measured, and how many instances were started.
async fn python_round(
    platform: &Platform,
    requests: u32,
    name: &str,
    code: &Code,
    way: Way,
) -> Result<(Report, Duration, f64)> {
    let before = platform.starts().await?;
    let mut api = platform.api().await?;
    // Each round's function is deleted, and with it code that nothing else uses.
    api.upload(code).await?;
    let load = Load::new(platform.get(name, "/"), expect_body(b"hello\n")).noting();
    let spec = spec(requests, &way.changes());
    let (report, total) = if way == Way::Minimum {
        let burst = load::prepare(&load, requests as usize).await?;
        let begun = Instant::now();
        api.declare(name, code, spec).await?;
        let declared_after = begun.elapsed();
        let report = burst.fire().await;
        let total = declared_after + report.elapsed;
        (report, total)
    } else {
        api.declare(name, code, spec).await?;
        api.wait_until_ready(name).await?;
        let report = load::burst(&load, requests as usize).await?;
        let total = report.elapsed;
        (report, total)
    };
    let started = platform.starts().await? - before;
    api.delete(name).await?;
    Ok((report, total, started))
}

/// The bursts' figures.
#[derive(Debug, Default)]
struct Rounds {
    total_ms: Vec<f64>,
    started: Vec<f64>,
    /// Instances started that answered nothing.
    unused: Vec<f64>,
    queued_p50_ms: Vec<f64>,
    queued_p99_ms: Vec<f64>,
    errors: f64,
}

impl Rounds {
    fn add(&mut self, findings: &mut Findings, report: &Report, total: Duration, started: f64) {
        findings.check("burst", report);
        let total_ms = total.as_secs_f64() * 1e3;
        let used = report.instances.len() as f64;
        eprintln!("  {total_ms:.0} ms, {started} instances started, {used} answered");
        self.total_ms.push(total_ms);
        self.started.push(started);
        self.unused.push((started - used).max(0.0));
        self.queued_p50_ms.push(report.queued_ms(0.5));
        self.queued_p99_ms.push(report.queued_ms(0.99));
        self.errors += report.errors() as f64;
    }

    fn add_to(&self, findings: &mut Findings) {
        findings.row("instances started, median", "count", median(&self.started));
        let unused = median(&self.unused);
        findings.goal("started but answered nothing", "count", unused, Goal::AtMost(0.0));
        findings.row("time queued, p50", "ms", median(&self.queued_p50_ms));
        findings.row("time queued, p99", "ms", median(&self.queued_p99_ms));
    }
}
