//! `bench overload`: twice the load there is capacity for, or more, for a while.
//!
//! Capacity is ten modelled instances of 20 ms each: 500 requests a second. The
//! load is open (1,000 a second come whatever happens), because a closed one
//! slows down with what it overloads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::seconds;
use super::table::{Findings, Goal, median, quantile};
use crate::api::Code;
use crate::load::{Load, open_loop};
use crate::platform::Platform;

const INSTANCES: u32 = 10;
const SERVICE_MS: u32 = 20;
const QUEUED_MAX: u32 = 100;
/// What the instances can answer.
const CAPACITY_PER_SECOND: f64 = INSTANCES as f64 * 1000.0 / SERVICE_MS as f64;
/// Each is busy for less than a quarter second, and due every half second.
const CONNECTIONS: usize = 512;
/// More, and a connection would be busy when it is due.
const TIMES_MAX: f64 = 4.0;
/// How long the platform runs under this load before its memory is first read.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// How much more memory is still called flat: a twentieth and a few pages of slack.
const GROWTH: (f64, f64) = (0.05, 4.0);
/// How often memory is read meanwhile.
const MEMORY_EVERY: Duration = Duration::from_millis(250);

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// For how long
    #[arg(long, default_value_t = 30.0)]
    pub(super) seconds: f64,
    /// Load over capacity
    #[arg(long, default_value_t = 2.0, value_parser = times)]
    pub(super) times: f64,
}

fn times(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=TIMES_MAX).contains(&times) => Ok(times),
        _ => Err(format!("it is not a number from 1 to {TIMES_MAX}")),
    }
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("overload");
    let platform = Platform::start(&["--fake-nodes", "1"]).await?;
    let spec = json!({
        "concurrency": 1,
        "scale": {"max": INSTANCES},
        "queue": {"size": QUEUED_MAX},
        "resources": {"cpu": "10m", "memory": "16Mi"},
    });
    platform.deploy("model", &Code::fake(5, SERVICE_MS), spec).await?;
    let check = Arc::new(|answer: &crate::load::Answer<'_>| match answer.status {
        200 | 429 => Ok(()),
        _ => Err(answer.describe()),
    });
    let load = Load::new(platform.get("model", "/"), check);
    let rate = args.times * CAPACITY_PER_SECOND;
    let settling = open_loop(&load, CONNECTIONS, rate, SETTLED_AFTER).await;
    findings.check("settling", &settling);
    let (report, memory_mib) = tokio::join!(
        open_loop(&load, CONNECTIONS, rate, seconds(args.seconds)),
        memory(&platform, seconds(args.seconds)),
    );
    let memory_mib = memory_mib?;
    findings.check("overload", &report);

    let answered = report.with_status(200) as f64;
    let goodput = answered / report.elapsed.as_secs_f64();
    let share = goodput / CAPACITY_PER_SECOND;
    findings.row("load over capacity", "x", args.times);
    findings.row("requests", "count", (report.right + report.errors()) as f64);
    findings.row("answered", "count", answered);
    findings.row("refused (429)", "count", report.with_status(429) as f64);
    findings.goal("other outcomes", "count", report.errors() as f64, Goal::AtMost(0.0));
    findings.row("answered, p50", "ms", report.status_latency_ms(200, 0.5));
    findings.row("answered, p99", "ms", report.status_latency_ms(200, 0.99));
    findings.row("refused, p50", "ms", report.status_latency_ms(429, 0.5));
    let refused_ms = report.status_latency_ms(429, 0.99);
    findings.goal("refused, p99", "ms", refused_ms, Goal::AtMost(2.0));
    findings.row("goodput", "1/s", goodput);
    findings.goal("goodput over capacity", "x", share, Goal::AtLeast(0.9));
    // The first tenth against the last.
    let part = memory_mib.len().div_ceil(10);
    let before_mib = median(&memory_mib[..part]);
    let after_mib = median(&memory_mib[memory_mib.len() - part..]);
    findings.row("memory, the first tenth", "MiB", before_mib);
    findings.row("memory, the last tenth", "MiB", after_mib);
    findings.row("memory, most", "MiB", quantile(&memory_mib, 1.0));
    let limit_mib = (before_mib * GROWTH.0 + GROWTH.1).round();
    findings.goal("memory growth", "MiB", after_mib - before_mib, Goal::AtMost(limit_mib));
    platform.stop().await?;
    Ok(findings)
}

/// The platform's memory over `span`, in MiB; one reading at the least.
async fn memory(platform: &Platform, span: Duration) -> Result<Vec<f64>> {
    let until = Instant::now() + span;
    let mut read = vec![platform.resident_mib()?];
    while Instant::now() < until {
        tokio::time::sleep(MEMORY_EVERY).await;
        read.push(platform.resident_mib()?);
    }
    Ok(read)
}
