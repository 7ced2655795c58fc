//! `gapless lab start --real`: the same workloads in the simulator and on a real
//! platform, and how far the one is off.
//!
//! The platform is a child process with everything real but the instances: gateway,
//! queues, planners, control, placement, nodes and timers are what users run, HTTP
//! goes over sockets, and instances are the modelled ones of `--fake-nodes`, whose
//! start and service take a known time. So both sides are given the same start and
//! service times, and what is held against each other is everything in between.

use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use gapless_sim::{Config, KeepAlive, Simulation, StartModel};
use gapless_types::StartMode;
use gapless_workload::{Pattern, ServiceTime, Shape, Workload};
use serde::Serialize;
use serde_json::json;

use crate::api::Code;
use crate::bench::{Findings, Goal, number};
use crate::interrupt::or_interrupted;
use crate::platform::Platform;
use crate::replay::drive::{InFlight, Options, drive, in_flight_max};

/// Nodes of both sides.
const NODES: u32 = 4;
/// How far the simulator may be off.
const OFF_MAX: f64 = 0.25;
/// How long an answer may take beyond its service time.
const PATIENCE: Duration = Duration::from_secs(60);

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A workload for both sides.
struct Case {
    name: &'static str,
    mode: StartMode,
    start_ms: u32,
    service_ms: u32,
    keep_alive: Duration,
    functions: u32,
    pattern: Pattern,
    span: Duration,
}

/// What both sides found.
#[derive(Clone, Debug, Serialize)]
struct Row {
    case: &'static str,
    planner: &'static str,
    seed: u64,
    requests: u64,
    p50_ms: Both,
    p99_ms: Both,
    cold_ratio: Both,
    starts: Both,
    /// How late the driver sent, at the 99th percentile: what both sides cannot share.
    driver_late_ms: f64,
}

/// A figure of each side.
#[derive(Clone, Copy, Debug, Serialize)]
struct Both {
    real: f64,
    simulated: f64,
}

impl Both {
    /// How far the simulator is off, as a share of the real figure.
    fn off(self) -> f64 {
        (self.simulated - self.real).abs() / self.real.max(1e-9)
    }
}

fn cases() -> Vec<Case> {
    let burst = |concurrent, spread| {
        let (at, every) = (MS(200), Some(Duration::from_secs(4)));
        Pattern::Burst { concurrent, at, spread, every }
    };
    let case = |name, mode, (start_ms, service_ms), (functions, span_s), pattern| Case {
        name,
        mode,
        start_ms,
        service_ms,
        keep_alive: Duration::from_secs(2),
        functions,
        pattern,
        span: Duration::from_secs(span_s),
    };
    let (planned, sync, window) = (StartMode::Planned, StartMode::Sync, StartMode::Window);
    vec![
        case("burst", planned, (200, 100), (1, 8), burst(200, MS(200))),
        case("burst", sync, (200, 100), (1, 8), burst(200, MS(200))),
        case(
            "ramp",
            planned,
            (300, 80),
            (1, 8),
            Pattern::Ramp { from_per_s: 5.0, to_per_s: 100.0 },
        ),
        case("window", window, (200, 100), (1, 12), Pattern::Poisson { rate_per_s: 40.0 }),
        case(
            "rare",
            planned,
            (150, 60),
            (20, 12),
            Pattern::KeepAliveGap { keep_alive: Duration::from_secs(2), margin: MS(700) },
        ),
        case("busy", planned, (250, 50), (10, 8), Pattern::Poisson { rate_per_s: 150.0 }),
    ]
}

impl Case {
    fn workload(&self, seed: u64) -> Result<Workload> {
        let service = ServiceTime::Fixed(MS(self.service_ms.into()));
        let shape = Shape::new(self.pattern.clone(), service);
        Ok(shape.lasting(self.span).over(self.functions).seeded(seed).workload()?)
    }

    fn config(&self, seed: u64) -> Config {
        Config {
            nodes: NODES,
            planner: self.mode,
            keep_alive: KeepAlive::For(self.keep_alive),
            start: StartModel::fixed(MS(self.start_ms.into())),
            stop: Duration::ZERO,
            cpu_per_request: 0.0,
            starts_at_once: u32::MAX,
            seed,
            ..Config::default()
        }
    }

    async fn run(&self, platform: &Platform, seed: u64) -> Result<Row> {
        let simulation = Simulation::new(self.config(seed))?;
        let stop = AtomicBool::new(false);
        let simulated = simulation.run(&mut self.workload(seed)?, &stop, |_| {})?;

        let spec = json!({
            "concurrency": 1,
            "start": {"mode": self.mode.as_str()},
            "scale": {"max": 1000, "keepAlive": format!("{}ms", self.keep_alive.as_millis())},
            "queue": {"size": 10_000, "wait": "60s"},
            "resources": {"cpu": "10m", "memory": "16Mi"},
        });
        let name = |function: usize| format!("lab-{seed}-{}-{function}", self.mode.as_str());
        let code = Code::fake(self.start_ms, self.service_ms);
        for function in 0..self.functions as usize {
            platform.deploy(&name(function), &code, spec.clone()).await?;
        }
        let begun = platform.starts().await?;
        let options = Options {
            speed: 1.0,
            path: Rc::new(|_| "/".to_owned()),
            check: Rc::new(|_, _| Ok(())),
            in_flight_max: in_flight_max(),
            patience: PATIENCE,
            in_flight: InFlight::default(),
            progress: None,
        };
        let workload = self.workload(seed)?;
        let host_of = |function: usize| platform.host(&name(function));
        let never = std::future::pending();
        let outcome = drive(platform.gateway(), host_of, workload, options, never).await?;
        let starts = platform.starts().await? - begun;
        let mut api = platform.api().await?;
        for function in 0..self.functions as usize {
            api.delete(&name(function)).await?;
        }
        let tally = &outcome.tally;
        anyhow::ensure!(
            tally.served == simulated.invocations,
            "{}: {} of {} requests were answered: {:?}",
            self.name,
            tally.served,
            simulated.invocations,
            tally.complaints
        );
        let latency = tally.latency_ms();
        let both = |real, simulated| Both { real, simulated };
        Ok(Row {
            case: self.name,
            planner: self.mode.as_str(),
            seed,
            requests: tally.served,
            p50_ms: both(latency.p50, simulated.latency_ms.p50),
            p99_ms: both(latency.p99, simulated.latency_ms.p99),
            cold_ratio: both(tally.cold_ratio(), simulated.cold_ratio),
            starts: both(starts, simulated.starts as f64),
            driver_late_ms: tally.late_ms().p99,
        })
    }
}

/// Runs every case on both sides and prints what they found. Whether it came to its end.
pub(super) async fn run(seeds: u64, is_json: bool) -> Result<bool> {
    let rows = or_interrupted(rows(seeds)).await?;
    let mut findings = Findings::of("simulator against the platform");
    for case in cases() {
        let mode = case.mode.as_str();
        let of = rows.iter().filter(|row| row.case == case.name && row.planner == mode);
        let of: Vec<&Row> = of.collect();
        // The median over seeds: a machine's hiccup is no property of the simulator.
        let median = |figure: fn(&Row) -> f64| {
            let mut offs: Vec<f64> = of.iter().map(|row| figure(row)).collect();
            offs.sort_by(f64::total_cmp);
            offs.get(offs.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let name = format!("{} {mode}", case.name);
        let off = Goal::AtMost(OFF_MAX);
        findings.goal(format!("{name}: p50 off by"), "x", median(|row| row.p50_ms.off()), off);
        findings.goal(format!("{name}: p99 off by"), "x", median(|row| row.p99_ms.off()), off);
    }
    if is_json {
        println!("{:#}", json!({"rows": rows, "findings": findings}));
    } else {
        print(&rows);
        println!("\n{}", findings.table());
    }
    Ok(true)
}

async fn rows(seeds: u64) -> Result<Vec<Row>> {
    let nodes = NODES.to_string();
    let platform = Platform::start(&["--fake-nodes", &nodes]).await.context("no platform")?;
    let mut rows = Vec::new();
    for seed in 0..seeds {
        for case in cases() {
            eprintln!("{} under {}, seed {seed}", case.name, case.mode.as_str());
            rows.push(case.run(&platform, seed).await?);
        }
    }
    platform.stop().await?;
    Ok(rows)
}

fn print(rows: &[Row]) {
    println!(
        "{:8} {:8} {:>4} {:>8}   {:>16} {:>16} {:>16} {:>14} {:>11}",
        "case", "planner", "seed", "requests", "p50 ms", "p99 ms", "cold", "starts", "driver late"
    );
    println!("{:33}{:>16} {:>16} {:>16} {:>14}", "", "real / simulated", "", "", "");
    for row in rows {
        let both = |of: Both| format!("{} / {}", number(of.real), number(of.simulated));
        let line = format!(
            "{:8} {:8} {:>4} {:>8}   {:>16} {:>16} {:>16} {:>14} {:>8} ms",
            row.case,
            row.planner,
            row.seed,
            row.requests,
            both(row.p50_ms),
            both(row.p99_ms),
            both(row.cold_ratio),
            both(row.starts),
            number(row.driver_late_ms)
        );
        println!("{line}");
    }
}
