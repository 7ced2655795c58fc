//! `bench up`: from exec to the line that says ready, in a fresh data folder and
//! in one that has many functions.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::table::{Findings, Goal, median, quantile};
use super::{HELLO, cold};
use crate::api::Code;
use crate::platform::{Platform, folder};

/// The goal: ready within a tenth of a second.
const READY_MS: f64 = 100.0;

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How many times, each way
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) times: u32,
    /// Functions stored in the folder that is not fresh; 0 for none of that
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) functions: u32,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("up");
    let mut fresh_ms = Vec::new();
    for _ in 0..args.times {
        let folder = folder()?;
        fresh_ms.push(ready_ms(&folder.path().join("data")).await?);
    }
    findings.row("starts", "count", fresh_ms.len() as f64);
    findings.goal("exec to ready, median", "ms", median(&fresh_ms), Goal::AtMost(READY_MS));
    findings.row("exec to ready, worst", "ms", quantile(&fresh_ms, 1.0));
    if args.functions > 0 {
        let folder = folder()?;
        let data = folder.path().join("data");
        store(&data, args.functions).await?;
        let mut stored_ms = Vec::new();
        for _ in 0..args.times {
            stored_ms.push(ready_ms(&data).await?);
        }
        let with = format!("with {} functions stored", args.functions);
        findings.row(format!("{with}, median"), "ms", median(&stored_ms));
        findings.row(format!("{with}, worst"), "ms", quantile(&stored_ms, 1.0));
    }
    findings.note("each is stopped by SIGTERM and exits 0");
    Ok(findings)
}

/// Starts and stops a platform: how long until it was ready.
async fn ready_ms(data: &Path) -> Result<f64> {
    let platform = Platform::start_in(data, &[]).await?;
    let ready_after: Duration = platform.ready_after;
    platform.stop().await?;
    Ok(ready_after.as_secs_f64() * 1e3)
}

/// Leaves `functions` functions in a data folder.
async fn store(data: &Path, functions: u32) -> Result<()> {
    eprintln!("  storing {functions} functions");
    let platform = Platform::start_in(data, &[]).await?;
    let names: Vec<String> = (0..functions).map(|index| format!("f{index}")).collect();
    cold::deploy_all(&platform, &Code::wasm(HELLO), &names).await?;
    platform.stop().await
}
