//! The workloads of the lab, and what they run on. A new one is an entry in [`ALL`].

use std::time::Duration;

use anyhow::Result;
use gapless_sim::{Config, KeepAlive, StartModel};
use gapless_types::StartMode;
use gapless_workload::{
    Generator, Input, Pattern, ReadOptions, ServiceTime, Shape, Workload, read,
};

/// One day of Azure Functions 2019 folded into five minutes; see `traces/README.md`.
const AZURE_244: &[u8] = include_bytes!("../../../../traces/azure2019-244fn.csv");

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

/// Starts at a time on our nodes in the burst.
const BURST_TURNS: u32 = 8;
const OVERLOAD_INSTANCES: u32 = 50;
const OVERLOAD_SERVICE_MS: u64 = 50;
/// How long a request may wait in the overload.
pub(crate) const OVERLOAD_WAIT: Duration = Duration::from_secs(2);
/// What the instances of the overload can serve, per second.
pub(crate) const OVERLOAD_CAPACITY: f64 =
    OVERLOAD_INSTANCES as f64 * 1000.0 / OVERLOAD_SERVICE_MS as f64;

/// A workload and what it runs on.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) workload: fn(u64) -> Result<Workload>,
    start: &'static str,
    nodes: u32,
    warm_up: u64,
    adjust: fn(&mut Config),
    /// Whether it runs for minutes, so only when it is asked for.
    pub(crate) is_long: bool,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Scenario {
    /// Under a planner.
    pub(crate) fn config(&self, planner: StartMode, keep_alive: KeepAlive, seed: u64) -> Config {
        let mut config = Config {
            nodes: self.nodes,
            start: model(self.start),
            warm_up: S(self.warm_up),
            planner,
            keep_alive,
            seed,
            ..Config::default()
        };
        // Turns are our node's; other systems' nodes start whatever they are told to.
        if !matches!(planner, StartMode::Planned | StartMode::Async) {
            config.starts_at_once = u32::MAX;
        }
        (self.adjust)(&mut config);
        config
    }
}

/// A published start model, which is known to exist.
pub(crate) fn model(name: &str) -> StartModel {
    name.parse().expect("the lab names published models")
}

const fn scenario(
    name: &'static str,
    about: &'static str,
    workload: fn(u64) -> Result<Workload>,
    (start, nodes, warm_up): (&'static str, u32, u64),
) -> Scenario {
    Scenario { name, about, workload, start, nodes, warm_up, adjust: |_| {}, is_long: false }
}

/// Every scenario.
pub(crate) const ALL: &[Scenario] = &[
    scenario(
        "azure244",
        "244 functions of Azure 2019, a day folded into five minutes; the first is warm-up",
        azure_244,
        ("contended", 20, 60),
    ),
    scenario(
        "day",
        "a generated day: 1,000 functions, 2 million invocations; the first hour is warm-up",
        |seed| generated(1000, 2_000_000, seed),
        ("contended", 200, 3600),
    ),
    scenario(
        "day-slow",
        "a generated day of 400 functions where a start takes 1 to 3 s",
        |seed| generated(400, 800_000, seed),
        ("knative", 100, 3600),
    ),
    Scenario {
        is_long: true,
        ..scenario(
            "day-full",
            "a generated day: 10,000 functions, 20 million invocations on 2,000 nodes",
            |seed| generated(10_000, 20_000_000, seed),
            ("contended", 2000, 3600),
        )
    },
    Scenario {
        adjust: |config| {
            config.cpu_per_request = 0.0;
            // Only ours take turns.
            config.starts_at_once = match config.starts_at_once {
                u32::MAX => u32::MAX,
                _ => BURST_TURNS,
            };
        },
        ..scenario(
            "burst",
            "1,000 at once of a cold function, five times, on 20 nodes whose starts slow each \
             other down; 8 starts at a time on ours",
            |seed| bursts(Duration::ZERO, seed),
            ("contended", 20, 0),
        )
    },
    Scenario {
        adjust: |config| (config.cpu_per_request, config.starts_at_once) = (0.0, u32::MAX),
        ..scenario(
            "burst-easy",
            "1,000 within 100 ms, five times, where starts do not slow each other down",
            |seed| bursts(MS(100), seed),
            ("uncontended", 20, 0),
        )
    },
    scenario(
        "steady",
        "200 a second of one function of 100 ms",
        |seed| one(Pattern::Poisson { rate_per_s: 200.0 }, 100, 300, 1, seed),
        ("contended", 20, 60),
    ),
    scenario(
        "ramp",
        "from nothing to 1,000 a second in two minutes",
        |seed| one(Pattern::Ramp { from_per_s: 0.0, to_per_s: 1000.0 }, 50, 120, 1, seed),
        ("contended", 20, 0),
    ),
    Scenario {
        adjust: |config| {
            config.instances_max = OVERLOAD_INSTANCES;
            config.queue_wait = OVERLOAD_WAIT;
            config.cpu_per_request = 0.0;
        },
        ..scenario(
            "overload",
            "3,000 a second for a minute of a function whose 50 instances serve 1,000 a second; \
             nobody waits longer than 2 s",
            |seed| {
                let pattern = Pattern::Poisson { rate_per_s: 3.0 * OVERLOAD_CAPACITY };
                one(pattern, OVERLOAD_SERVICE_MS, 60, 1, seed)
            },
            ("contended", 20, 0),
        )
    },
    scenario(
        "diurnal",
        "five functions that swing by ten every ten minutes",
        |seed| {
            let (mean_per_s, peak_to_trough, period) = (50.0, 10.0, S(600));
            one(Pattern::Diurnal { mean_per_s, peak_to_trough, period }, 100, 1800, 5, seed)
        },
        ("contended", 20, 300),
    ),
    scenario(
        "keep-alive-gap",
        "20 functions, each invoked five seconds after a keep-alive of a minute",
        |seed| {
            let pattern = Pattern::KeepAliveGap { keep_alive: S(60), margin: S(5) };
            one(pattern, 50, 3600, 20, seed)
        },
        ("contended", 20, 600),
    ),
    scenario(
        "alternating",
        "200 functions in turn, one each 500 ms",
        |seed| one(Pattern::Alternating { gap: MS(500) }, 50, 1800, 200, seed),
        ("contended", 20, 300),
    ),
];

fn azure_244(seed: u64) -> Result<Workload> {
    let input = Input::bytes("azure2019-244fn.csv", AZURE_244);
    Ok(read(vec![input], &ReadOptions { seed, ..ReadOptions::default() })?)
}

/// A generated day.
pub(crate) fn generated(functions: u32, invocations: u64, seed: u64) -> Result<Workload> {
    Ok(Generator::new(functions).with_invocations(invocations).seeded(seed).workload()?)
}

fn bursts(spread: Duration, seed: u64) -> Result<Workload> {
    let burst =
        Pattern::Burst { concurrent: 1000, at: Duration::ZERO, spread, every: Some(S(200)) };
    let shape = Shape::new(burst, ServiceTime::Fixed(MS(50)));
    Ok(shape.lasting(S(1000)).seeded(seed).workload()?)
}

/// One pattern over some functions, with exponential service times.
pub(crate) fn one(
    pattern: Pattern,
    service_ms: u64,
    span_s: u64,
    functions: u32,
    seed: u64,
) -> Result<Workload> {
    let service = ServiceTime::Exponential { mean: MS(service_ms) };
    let shape = Shape::new(pattern, service).lasting(S(span_s)).over(functions).seeded(seed);
    Ok(shape.workload()?)
}
