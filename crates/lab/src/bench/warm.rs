//! `bench warm`: calls of a function that is running, through the gateway and
//! through what people use instead.
//!
//! Rounds alternate between the two and swap their order, and figures are
//! compared within a round: load, platform and peer share the cores, and a
//! machine's speed drifts.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::peers::{self, GET_NGINX, GET_WASMTIME};
use super::table::{Findings, Goal, median};
use super::{HELLO, HELLO_ANSWER, Kind, seconds};
use crate::api::Code;
use crate::load::{Load, Report, Target, closed_loop, expect_body};
use crate::platform::Platform;

/// How long each is called before the first round.
const WARM_UP: Duration = Duration::from_millis(700);
/// Slots of the program's instance.
const PROGRAM_SLOTS: u32 = 64;

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the function is made of
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// Rounds, each measuring both
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: u32,
    /// How long each is measured in a round
    #[arg(long, default_value_t = 3.0)]
    pub(super) seconds: f64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) connections: u16,
    #[command(flatten)]
    pub(super) peers: peers::Args,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    match args.kind {
        Kind::Wasm => wasm(args).await,
        Kind::Http => http(args).await,
    }
}

async fn wasm(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("warm wasm");
    let platform = Platform::start(&[]).await?;
    let spec = json!({"concurrency": 1, "scale": {"max": 100}});
    platform.deploy("hello", &Code::wasm(HELLO), spec).await?;
    let peer = peers::wasmtime(&args.peers, HELLO).await?;
    if peer.is_none() {
        findings.note(GET_WASMTIME);
    }
    let ours = Load::new(platform.get("hello", "/"), expect_body(HELLO_ANSWER));
    let theirs = peer.as_ref().map(|peer| direct(peer.address, "/"));
    let found =
        rounds(args, &mut findings, &ours, theirs.as_ref(), usize::from(args.connections)).await;
    found.add_to(&mut findings, "wasmtime serve", 1.0, Some(1.0));
    platform.stop().await?;
    Ok(findings)
}

async fn http(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("warm http");
    let platform = Platform::start(&[]).await?;
    let spec = json!({"concurrency": PROGRAM_SLOTS, "scale": {"min": 1, "max": 1}});
    platform.deploy("probe", &program(Listens::OnPort)?, spec.clone()).await?;
    platform.deploy("probe-unix", &program(Listens::OnSocket)?, spec).await?;
    // The peer and the direct calls reach the very same process: another one would be
    // scheduled otherwise (Linux gives a session a share of its own, `sched(7)`,
    // autogroup), and that alone is worth a fifth.
    let program = platform.api().await?.address_of("probe").await?;
    let proxy = peers::nginx(program).await?;
    if proxy.is_none() {
        findings.note(GET_NGINX);
    }
    let connections = usize::from(args.connections);
    let ours = Load::new(platform.get("probe", "/hello"), expect_body(HELLO_ANSWER));
    let over_unix = Load::new(platform.get("probe-unix", "/hello"), expect_body(HELLO_ANSWER));
    let theirs = proxy.as_ref().map(|proxy| direct(proxy.address, "/hello"));
    let found = rounds(args, &mut findings, &ours, theirs.as_ref(), connections).await;
    found.add_to(&mut findings, "nginx", 0.8, None);
    if let Some(theirs) = &theirs {
        let found = rounds(args, &mut findings, &over_unix, Some(theirs), connections).await;
        let name = "the program on a Unix socket, requests/s over nginx";
        findings.row(name, "x", ratios(&found.ours.per_second, &found.theirs.per_second));
    }

    let bare = direct(program, "/hello");
    let one = rounds(args, &mut findings, &ours, Some(&bare), 1).await;
    findings.row("direct call, 1 connection, p50", "us", 1e3 * median(&one.theirs.p50_ms));
    findings.row("gapless, 1 connection, p50", "us", 1e3 * median(&one.ours.p50_ms));
    let added = one.added_us();
    findings.goal("added over a direct call, p50", "us", added, Goal::AtMost(60.0));
    let one = rounds(args, &mut findings, &over_unix, Some(&bare), 1).await;
    findings.row("added, the program on a Unix socket, p50", "us", one.added_us());
    if let Some(theirs) = &theirs {
        let through = rounds(args, &mut findings, theirs, Some(&bare), 1).await;
        findings.row("added by nginx, p50", "us", through.added_us());
    }
    platform.stop().await?;
    Ok(findings)
}

/// Where the probe program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listens {
    /// On `$PORT`, as most programs do, and as it does behind nginx.
    OnPort,
    /// On `$GAPLESS_SOCKET`, which the probe prefers.
    OnSocket,
}

/// The probe program as a function.
pub(super) fn program(listens: Listens) -> Result<Code> {
    let program = std::env::current_exe()?;
    let program = program.to_string_lossy();
    let command = match listens {
        Listens::OnPort => &["env", "-u", "GAPLESS_SOCKET", &program, "probe"][..],
        Listens::OnSocket => &[&program, "probe"],
    };
    let readme: &[u8] = b"The program is not in this folder: it is the command's.\n";
    Code::command(command, &[("README", readme)])
}

fn direct(address: SocketAddr, path: &str) -> Load {
    Load::new(Target::get(address, &address.to_string(), path), expect_body(HELLO_ANSWER))
}

/// One side's figures, one per round.
#[derive(Debug, Default)]
struct Side {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    right: u64,
    wrong: u64,
}

impl Side {
    fn add(&mut self, report: &Report) {
        self.per_second.push(report.per_second());
        self.p50_ms.push(report.latency_ms(0.5));
        self.p99_ms.push(report.latency_ms(0.99));
        self.right += report.right;
        self.wrong += report.errors();
    }

    fn add_to(&self, findings: &mut Findings, name: &str) {
        findings.row(format!("{name}, requests/s"), "1/s", median(&self.per_second));
        findings.row(format!("{name}, p50"), "ms", median(&self.p50_ms));
        findings.row(format!("{name}, p99"), "ms", median(&self.p99_ms));
        findings.row(format!("{name}, right answers"), "count", self.right as f64);
        findings.goal(format!("{name}, errors"), "count", self.wrong as f64, Goal::AtMost(0.0));
    }
}

/// Both sides' figures.
#[derive(Debug, Default)]
struct Pair {
    ours: Side,
    theirs: Side,
}

impl Pair {
    fn add_to(&self, findings: &mut Findings, peer: &str, rate: f64, p99: Option<f64>) {
        self.ours.add_to(findings, "gapless");
        if self.theirs.per_second.is_empty() {
            return;
        }
        self.theirs.add_to(findings, peer);
        let faster = ratios(&self.ours.per_second, &self.theirs.per_second);
        findings.goal(format!("requests/s over {peer}"), "x", faster, Goal::AtLeast(rate));
        let slower = ratios(&self.ours.p99_ms, &self.theirs.p99_ms);
        let name = format!("p99 over {peer}");
        match p99 {
            Some(limit) => findings.goal(name, "x", slower, Goal::AtMost(limit)),
            None => findings.row(name, "x", slower),
        }
    }

    /// How much longer ours takes, median of the rounds' differences.
    fn added_us(&self) -> f64 {
        let pairs = self.ours.p50_ms.iter().zip(&self.theirs.p50_ms);
        median(&pairs.map(|(ours, theirs)| (ours - theirs) * 1e3).collect::<Vec<_>>())
    }
}

/// The median of the rounds' ratios.
fn ratios(ours: &[f64], theirs: &[f64]) -> f64 {
    let pairs = ours.iter().zip(theirs).filter(|(_, theirs)| **theirs > 0.0);
    median(&pairs.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Alternating rounds of both, in swapping order.
async fn rounds(
    args: &Args,
    findings: &mut Findings,
    ours: &Load,
    theirs: Option<&Load>,
    connections: usize,
) -> Pair {
    let mut pair = Pair::default();
    for load in std::iter::once(ours).chain(theirs) {
        closed_loop(load, connections, WARM_UP).await;
    }
    for round in 0..args.rounds {
        let mut turns = vec![(true, ours)];
        turns.extend(theirs.map(|theirs| (false, theirs)));
        if round % 2 == 1 {
            turns.reverse();
        }
        for (is_ours, load) in turns {
            let report = closed_loop(load, connections, seconds(args.seconds)).await;
            let (side, name) = match is_ours {
                true => (&mut pair.ours, "ours"),
                false => (&mut pair.theirs, "theirs"),
            };
            findings.check(name, &report);
            let (rate, p99_ms) = (report.per_second(), report.latency_ms(0.99));
            eprintln!("  round {round}, {name}: {rate:.0} requests/s, p99 {p99_ms:.3} ms");
            side.add(&report);
        }
    }
    pair
}
