//! `gapless bench`: what the platform costs, next to what it is compared with.
//!
//! Every bench starts a platform of its own, checks every answer, and reports
//! rows. Load, platform and peer share the machine, so peers are measured in
//! alternating rounds and compared pair by pair. What always holds: a missed
//! goal is shown and is not a failure; a wrong answer is a failure.

mod burst;
mod cold;
mod declare;
mod dispatch;
mod generator;
mod idle;
mod overload;
mod peers;
mod placement;
mod table;
mod up;
mod warm;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

pub(crate) use peers::find;
pub(crate) use table::{Findings, Goal, number};

use crate::interrupt::{on_a_thread, or_interrupted};

/// The component that the benches call.
const HELLO: &[u8] = include_bytes!("../../../../guests/dist/hello.wasm");
/// What it answers.
const HELLO_ANSWER: &[u8] = b"hello\n";

/// Measure the platform on this machine
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand, Debug)]
enum Bench {
    /// Warm calls, against `wasmtime serve` or an nginx reverse proxy
    Warm(warm::Args),
    /// First calls of functions that were never called
    Cold(cold::Args),
    /// Many calls at once of a cold function
    Burst(burst::Args),
    /// Twice the load there is capacity for, or more
    Overload(overload::Args),
    /// Many deployed functions that nobody calls
    Idle(idle::Args),
    /// From the start of the program until it is ready
    Up(up::Args),
    /// Declaring many functions: durable writes, watches, lists, restarts
    Declare(declare::Args),
    /// What deciding costs under each start planner, per event
    Dispatch(dispatch::Args),
    /// Where instances go: decisions per second, and how good they are
    Placement(placement::Args),
    /// The load generator itself, against wrk
    Generator(generator::Args),
    /// A short version of everything
    All(peers::Args),
}

/// The least and the most that one measurement may take.
const SECONDS_MIN: f64 = 0.1;
const SECONDS_MAX: f64 = 3600.0;

/// What a function is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A component
    Wasm,
    /// A program that serves HTTP
    Http,
}

/// Runs the benches and prints what they found. Whether every answer was right.
pub async fn run(args: Args) -> Result<bool> {
    let findings = or_interrupted(measure(args.bench)).await?;
    if args.json {
        let document =
            json!({"version": env!("CARGO_PKG_VERSION"), "cores": cores(), "benches": findings});
        println!("{document:#}");
    } else {
        for found in &findings {
            println!("{}", found.table());
        }
    }
    Ok(findings.iter().all(|found| found.wrong.is_empty()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

async fn measure(bench: Bench) -> Result<Vec<Findings>> {
    Ok(match bench {
        Bench::Warm(args) => vec![warm::run(&args).await?],
        Bench::Cold(args) => vec![cold::run(&args).await?],
        Bench::Burst(args) => vec![burst::run(&args).await?],
        Bench::Overload(args) => vec![overload::run(&args).await?],
        Bench::Idle(args) => vec![idle::run(&args).await?],
        Bench::Up(args) => vec![up::run(&args).await?],
        Bench::Declare(args) => vec![declare::run(&args).await?],
        Bench::Dispatch(args) => {
            vec![on_a_thread(move || Ok(dispatch::run(&args))).await?]
        }
        Bench::Placement(args) => {
            vec![on_a_thread(move || placement::run(&args)).await?]
        }
        Bench::Generator(args) => vec![generator::run(&args).await?],
        Bench::All(peers) => all(&peers).await?,
    })
}

/// Every bench, shortened. One that fails is reported and the others go on.
async fn all(peers: &peers::Args) -> Result<Vec<Findings>> {
    let mut found = Vec::new();
    let mut add = |name: &str, outcome: Result<Findings>| {
        found.push(outcome.unwrap_or_else(|error| {
            let mut findings = Findings::of(name);
            findings.wrong.push(format!("{error:#}"));
            findings
        }));
    };
    add("up", up::run(&up::Args { times: 10, functions: 1000 }).await);
    for kind in [Kind::Wasm, Kind::Http] {
        let args = cold::Args { kind, functions: 100 };
        add(&format!("cold {kind:?}"), cold::run(&args).await);
    }
    for kind in [Kind::Wasm, Kind::Http] {
        let peers = peers.clone();
        let args = warm::Args { kind, rounds: 3, seconds: 1.0, connections: 32, peers };
        add(&format!("warm {kind:?}"), warm::run(&args).await);
    }
    for kind in [burst::Kind::Fake, burst::Kind::Python] {
        let args = burst::Args { kind, requests: 1000, rounds: 1 };
        add(&format!("burst {kind:?}"), burst::run(&args).await);
    }
    add("overload", overload::run(&overload::Args { seconds: 5.0, times: 2.0 }).await);
    add("idle", idle::run(&idle::Args { functions: 2000 }).await);
    let declare = declare::Args {
        objects: 20_000,
        writers: 16,
        bytes: 1024,
        instances: 2_000,
        only: Vec::new(),
        dir: None,
    };
    add("declare", declare::run(&declare).await);
    let generator = generator::Args { rounds: 3, seconds: 1.0, connections: 32 };
    add("generator", generator::run(&generator).await);
    Ok(found)
}

/// Seconds typed by a person, as a span.
fn seconds(seconds: f64) -> Duration {
    let seconds = if seconds.is_nan() { SECONDS_MIN } else { seconds };
    Duration::from_secs_f64(seconds.clamp(SECONDS_MIN, SECONDS_MAX))
}
