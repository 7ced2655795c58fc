//! `bench up`: from exec to the line that says ready, in a fresh data folder.

use anyhow::Result;

use super::table::{Findings, Goal, median, quantile};
use crate::platform::Platform;

/// The goal of the issue: ready within a tenth of a second.
const READY_MS: f64 = 100.0;

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How many times
    #[arg(long, default_value_t = 20)]
    pub(super) times: u32,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("up");
    let mut ready_ms = Vec::new();
    for _ in 0..args.times {
        let platform = Platform::start(&[]).await?;
        ready_ms.push(platform.ready_after.as_secs_f64() * 1e3);
        platform.stop().await?;
    }
    findings.row("starts", "count", ready_ms.len() as f64);
    findings.goal("exec to ready, median", "ms", median(&ready_ms), Goal::AtMost(READY_MS));
    findings.row("exec to ready, worst", "ms", quantile(&ready_ms, 1.0));
    findings.note("each in an empty data folder; each stopped by SIGTERM and exits 0");
    Ok(findings)
}
