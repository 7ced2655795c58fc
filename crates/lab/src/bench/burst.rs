//! `bench burst`: many calls at once of a function that has no instance.
//!
//! With a model, the ideal is known: one start, then every instance busy until
//! the queue is empty. With a real Python program it is not, so the burst is
//! paired with the same burst at a function that starts all its instances as it
//! is deployed, measured from that deploy.

use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::peers::find;
use super::table::{Findings, Goal, median};
use crate::load::{self, Load, Report, expect_body};
use crate::platform::{Code, Platform};

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

fn spec(requests: u32, min: u32) -> Value {
    json!({
        "concurrency": 1,
        "scale": {"min": min, "max": INSTANCES},
        "queue": {"size": requests.max(1000) * 2, "wait": "60s"},
        "resources": {"cpu": "10m", "memory": "64Mi"},
    })
}

async fn fake(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("burst fake");
    let platform = Platform::start(&["--fake-nodes", "1"]).await?;
    let code = Code::fake(START_MS, SERVICE_MS);
    let mut rounds = Rounds::default();
    for round in 0..args.rounds {
        let name = format!("burst{round}");
        platform.deploy(&name, &code, spec(args.requests, 0)).await?;
        let started = starts(&platform).await?;
        let load = Load::new(platform.get(&name), accept_any()).noting();
        let report = load::burst(&load, args.requests as usize).await?;
        let started = starts(&platform).await? - started;
        let total_ms = report.elapsed.as_secs_f64() * 1e3;
        rounds.add(&mut findings, &report, total_ms, started);
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

async fn python(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("burst python");
    if find("python3").is_none() {
        findings.note("skipped: there is no python3; `apt-get install python3`");
        return Ok(findings);
    }
    let platform = Platform::start(&[]).await?;
    let code = Code::command(&["python3", "sleeper.py"], &[("sleeper.py", SLEEPER)])?;
    platform.api().await?.upload(&code).await?;
    let (mut cold, mut at_once) = (Rounds::default(), Rounds::default());
    for round in 0..args.rounds {
        for turn in 0..2 {
            let is_cold = (round + turn) % 2 == 0;
            let side = if is_cold { &mut cold } else { &mut at_once };
            let kind = if is_cold { "cold" } else { "all-at-once" };
            let name = format!("{kind}{round}");
            python_round(&platform, args.requests, &name, &code, is_cold, side, &mut findings)
                .await
                .with_context(|| name.clone())?;
        }
    }
    let pairs = cold.total_ms.iter().zip(&at_once.total_ms);
    let slower = median(&pairs.map(|(cold, at_once)| cold / at_once).collect::<Vec<_>>());
    findings.row("requests", "count", f64::from(args.requests));
    findings.goal("errors", "count", cold.errors, Goal::AtMost(0.0));
    findings.row("all answered after, median", "ms", median(&cold.total_ms));
    let name = format!("starting all {INSTANCES} at once: all answered after");
    findings.row(name, "ms", median(&at_once.total_ms));
    findings.goal("over starting all at once", "x", slower, Goal::AtMost(1.0));
    cold.add_to(&mut findings);
    findings.note("all at once: scale.min, measured from the deploy");
    platform.stop().await?;
    Ok(findings)
}

async fn python_round(
    platform: &Platform,
    requests: u32,
    name: &str,
    code: &Code,
    is_cold: bool,
    side: &mut Rounds,
    findings: &mut Findings,
) -> Result<()> {
    let started = starts(platform).await?;
    let mut api = platform.api().await?;
    let load = Load::new(platform.get(name), expect_body(b"hello\n")).noting();
    let min = if is_cold { 0 } else { INSTANCES };
    let prepared = load::prepare(&load, requests as usize);
    let (report, total) = if is_cold {
        api.declare(name, code, spec(requests, min)).await?;
        api.wait_until_ready(name).await?;
        let burst = prepared.await?;
        let begun = Instant::now();
        (burst.fire().await, begun)
    } else {
        let burst = prepared.await?;
        let begun = Instant::now();
        api.declare(name, code, spec(requests, min)).await?;
        (burst.fire().await, begun)
    };
    let total_ms = total.elapsed().as_secs_f64() * 1e3;
    let started = starts(platform).await? - started;
    side.add(findings, &report, total_ms, started);
    api.delete(name).await
}

async fn starts(platform: &Platform) -> Result<f64> {
    platform.api().await?.metric("gapless_node_starts_total").await
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
    fn add(&mut self, findings: &mut Findings, report: &Report, total_ms: f64, started: f64) {
        findings.check("burst", report);
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
