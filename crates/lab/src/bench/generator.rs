//! `bench generator`: the load generator itself, against `wrk`, with the same
//! connections to the same program and nothing in between.
//!
//! Every other figure rests on it: what it spends is missing from what it measures,
//! because they share the machine.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::peers::{self, GET_WRK, find};
use super::table::{Findings, Goal, median};
use super::{HELLO_ANSWER, seconds};
use crate::child::ChildProcess;
use crate::load::{Load, Target, closed_loop, expect_body};

/// How much longer than told wrk may take.
const WRK_SLACK: Duration = Duration::from_secs(20);
/// What wrk prints, at the most.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Rounds, each measuring both
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: u32,
    /// How long each is measured in a round
    #[arg(long, default_value_t = 3.0)]
    pub(super) seconds: f64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 32)]
    pub(super) connections: usize,
}

/// One side's figures, one per round.
#[derive(Debug, Default)]
struct Side {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Side {
    fn add_to(&self, findings: &mut Findings, name: &str) {
        findings.row(format!("{name}, requests/s"), "1/s", median(&self.per_second));
        findings.row(format!("{name}, p50"), "ms", median(&self.p50_ms));
        findings.row(format!("{name}, p99"), "ms", median(&self.p99_ms));
        findings.row(format!("{name}, CPU per request"), "us", median(&self.cpu_us));
    }
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("generator");
    if find("wrk").is_none() {
        findings.note(GET_WRK);
        return Ok(findings);
    }
    let program = peers::probe().await?;
    let target = Target::get(program.address, &program.address.to_string(), "/hello");
    let load = Load::new(target, expect_body(HELLO_ANSWER));
    let (mut ours, mut wrk) = (Side::default(), Side::default());
    for round in 0..args.rounds {
        for turn in 0..2 {
            let is_ours = (round + turn) % 2 == 0;
            let side = if is_ours { &mut ours } else { &mut wrk };
            if is_ours {
                with_ours(args, &load, side, &mut findings).await?;
            } else {
                with_wrk(args, program.address, side).await?;
            }
            let (name, rate) = (["wrk", "ours"][usize::from(is_ours)], side.per_second.last());
            eprintln!("  round {round}, {name}: {:.0} requests/s", rate.unwrap_or(&0.0));
        }
    }
    ours.add_to(&mut findings, "ours");
    wrk.add_to(&mut findings, "wrk");
    let pairs = ours.per_second.iter().zip(&wrk.per_second);
    let faster = median(&pairs.map(|(ours, wrk)| ours / wrk).collect::<Vec<_>>());
    findings.goal("requests/s over wrk", "x", faster, Goal::AtLeast(0.8));
    findings.note("wrk checks no answer; both have one thread and count from write to last byte");
    Ok(findings)
}

async fn with_ours(
    args: &Args,
    load: &Load,
    side: &mut Side,
    findings: &mut Findings,
) -> Result<()> {
    let before = cpu()?;
    let report = closed_loop(load, args.connections, seconds(args.seconds)).await;
    let spent = cpu()?.own - before.own;
    findings.check("ours", &report);
    side.per_second.push(report.per_second());
    side.p50_ms.push(report.latency_ms(0.5));
    side.p99_ms.push(report.latency_ms(0.99));
    side.cpu_us.push(spent.as_secs_f64() * 1e6 / report.right.max(1) as f64);
    Ok(())
}

async fn with_wrk(args: &Args, address: SocketAddr, side: &mut Side) -> Result<()> {
    let span = seconds(args.seconds);
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency"]);
    command.arg(format!("-c{}", args.connections)).arg(format!("-d{}s", span.as_secs().max(1)));
    command.arg(format!("http://{address}/hello"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let before = cpu()?;
    let mut child = ChildProcess::start(&mut command)?;
    let mut text = String::new();
    let mut out = child.take_stdout().context("wrk has no stdout")?.take(TEXT_BYTES_MAX);
    let reading = out.read_to_string(&mut text);
    tokio::time::timeout(span + WRK_SLACK, reading).await.context("wrk hangs")??;
    let status = child.wait().await?;
    if !status.success() {
        bail!("wrk ended with {status}");
    }
    let spent = cpu()?.children - before.children;
    let said = Said::read(&text).with_context(|| format!("cannot read what wrk says: {text}"))?;
    side.per_second.push(said.per_second);
    side.p50_ms.push(said.p50_ms);
    side.p99_ms.push(said.p99_ms);
    side.cpu_us.push(spent.as_secs_f64() * 1e6 / said.requests.max(1.0));
    Ok(())
}

/// Processor time, of this program and of the children it has waited for.
struct Cpu {
    own: Duration,
    children: Duration,
}

fn cpu() -> Result<Cpu> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in parentheses, may hold spaces.
    let (_, rest) = text.rsplit_once(')').context("no name in /proc/self/stat")?;
    let fields: Vec<u64> =
        rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // From the state, which is the third field: utime, stime, cutime, cstime.
    let [user, system, child_user, child_system] =
        fields.get(11..15).context("/proc/self/stat is short")?
    else {
        bail!("/proc/self/stat is short");
    };
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let span = |ticks: u64| Duration::from_secs_f64(ticks as f64 / per_second as f64);
    Ok(Cpu { own: span(user + system), children: span(child_user + child_system) })
}

/// What wrk says.
#[derive(Debug, PartialEq)]
struct Said {
    per_second: f64,
    requests: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Said {
    fn read(text: &str) -> Option<Self> {
        let after = |word: &str| {
            let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(word));
            line.map(str::trim)
        };
        let requests = text.lines().find(|line| line.contains(" requests in "))?;
        Some(Said {
            per_second: after("Requests/sec:")?.parse().ok()?,
            requests: requests.split_whitespace().next()?.parse().ok()?,
            p50_ms: span_ms(after("50%")?)?,
            p99_ms: span_ms(after("99%")?)?,
        })
    }
}

/// A span as wrk prints it, such as `95.00us` or `1.20ms`.
fn span_ms(text: &str) -> Option<f64> {
    let at = text.find(|character: char| character.is_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text = "Running 2s test @ http://127.0.0.1:1/hello\n  1 threads and 32 connections\n  \
            Latency Distribution\n     50%  812.00us\n     75%    0.91ms\n     99%    1.20ms\n  \
            70123 requests in 2.00s, 9.10MB read\nRequests/sec:  35061.50\nTransfer/sec: 4.55MB\n";
        let said = Said::read(text).unwrap();
        assert_eq!((said.per_second, said.requests), (35061.5, 70123.0));
        assert_eq!((said.p50_ms, said.p99_ms), (0.812, 1.2));
        assert!(Said::read("nonsense").is_none());
    }

    #[test]
    fn processor_time_is_read() {
        let mut sum = 0_u64;
        while cpu().unwrap().own.is_zero() {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(cpu().unwrap().own > Duration::ZERO, "{sum}");
    }
}
