//! `bench idle`: what many deployed functions cost while nobody calls them, and
//! whether a first call notices them.

use std::time::Instant;

use anyhow::Result;

use super::table::{Findings, Goal, median};
use super::{HELLO, HELLO_ANSWER, cold};
use crate::api::Code;
use crate::load::Connection;
use crate::platform::Platform;

/// Functions of the platform it is compared with.
const FEW: u32 = 10;
/// Fresh platforms with few functions, for as many samples as with many.
const FEW_PLATFORMS: u32 = 5;
/// As fast: within a fifth and what a first call varies by.
const SLOWER_MAX: f64 = 1.2;

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How many functions
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) functions: u32,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("idle");
    let mut few_ms = Vec::new();
    let mut few_mib = Vec::new();
    for _ in 0..FEW_PLATFORMS {
        let platform = Platform::start(&[]).await?;
        let names = deploy(&platform, FEW).await?;
        few_mib.push(platform.resident_mib()?);
        few_ms.extend(first_calls(&platform, &names, &mut findings).await?);
        platform.stop().await?;
    }
    let platform = Platform::start(&[]).await?;
    let begun = Instant::now();
    let names = deploy(&platform, args.functions).await?;
    let deployed = begun.elapsed().as_secs_f64();
    let idle_mib = platform.resident_mib()?;
    let samples = names.len().min((FEW * FEW_PLATFORMS) as usize + 1);
    let step = names.len() / samples;
    let called: Vec<String> = names.iter().step_by(step).take(samples).cloned().collect();
    let many_ms = first_calls(&platform, &called, &mut findings).await?;
    let (few_p50, many_p50) = (median(&few_ms), median(&many_ms));
    findings.row("functions", "count", f64::from(args.functions));
    findings.row("deploying them, one after the other", "s", deployed);
    findings.row(format!("memory with {FEW}"), "MiB", median(&few_mib));
    findings.goal("memory with all", "MiB", idle_mib, Goal::AtMost(150.0));
    findings.row(format!("first call with {FEW}, p50"), "ms", few_p50);
    findings.row("first call with all, p50", "ms", many_p50);
    let slower = many_p50 / few_p50.max(f64::MIN_POSITIVE);
    findings.goal("first call, all over few", "x", slower, Goal::AtMost(SLOWER_MAX));
    platform.stop().await?;
    Ok(findings)
}

async fn deploy(platform: &Platform, functions: u32) -> Result<Vec<String>> {
    let names: Vec<String> = (0..=functions).map(|index| format!("f{index}")).collect();
    cold::deploy_all(platform, &Code::wasm(HELLO), &names).await?;
    Ok(names)
}

/// First calls, in milliseconds to the first byte; the very first is not counted.
async fn first_calls(
    platform: &Platform,
    names: &[String],
    findings: &mut Findings,
) -> Result<Vec<f64>> {
    let mut connection = Connection::open(platform.gateway()).await?;
    let mut took_ms = Vec::new();
    for name in names {
        let begun = Instant::now();
        let answer = connection.call(&platform.get(name, "/").request).await?;
        if (answer.status, answer.body) != (200, HELLO_ANSWER) {
            findings.wrong.push(format!("{name}: {}", answer.describe()));
        }
        took_ms.push((answer.first_byte_at - begun).as_secs_f64() * 1e3);
    }
    Ok(took_ms.split_off(1.min(took_ms.len())))
}
