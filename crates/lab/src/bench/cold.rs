//! `bench cold`: the first call of functions that were deployed and never
//! called, one after the other.
//!
//! They share one artifact, so that the n-th deploy does not compile again; the
//! connection to the gateway is open and one other function has been called, so
//! that what is measured is a function's first call and not the platform's.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::table::{Findings, Goal, median, quantile};
use super::{HELLO, HELLO_ANSWER, Kind, warm};
use crate::api::Code;
use crate::load::{Connection, stage_ms};
use crate::platform::Platform;

/// The stages of a request, as `server-timing` names them.
const STAGES: [&str; 8] =
    ["queue", "place", "fetch", "create", "boot", "init", "connect", "execute"];

/// Flags.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the functions are made of
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// How many functions
    #[arg(short = 'n', long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) functions: u32,
}

/// The first calls' figures.
#[derive(Debug, Default)]
struct Calls {
    first_byte_ms: Vec<f64>,
    /// All but the program's own start.
    platform_ms: Vec<f64>,
    stages_ms: [Vec<f64>; STAGES.len()],
    warm: u32,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let kind = match args.kind {
        Kind::Wasm => "wasm",
        Kind::Http => "http",
    };
    let mut findings = Findings::of(format!("cold {kind}"));
    let platform = Platform::start(&[]).await?;
    let (code, path) = match args.kind {
        Kind::Wasm => (Code::wasm(HELLO), "/"),
        Kind::Http => (warm::program(warm::Listens::OnSocket)?, "/hello"),
    };
    let names: Vec<String> = (0..=args.functions).map(|index| format!("f{index}")).collect();
    deploy_all(&platform, &code, &names).await?;
    let calls = call_all(&platform, &names, path, &mut findings).await?;
    calls.add_to(args.kind, &mut findings);
    platform.stop().await?;
    Ok(findings)
}

/// Deploys the functions one after the other and waits for each.
pub(super) async fn deploy_all(platform: &Platform, code: &Code, names: &[String]) -> Result<()> {
    let mut api = platform.api().await?;
    api.upload(code).await?;
    let spec = json!({
        "scale": {"max": 4, "keepAlive": "1s"},
        "resources": {"cpu": "10m", "memory": "64Mi"},
    });
    for name in names {
        api.declare(name, code, spec.clone()).await?;
    }
    for name in names {
        api.wait_until_ready(name).await?;
    }
    Ok(())
}

/// Calls every function once; the first of them is not counted.
async fn call_all(
    platform: &Platform,
    names: &[String],
    path: &str,
    findings: &mut Findings,
) -> Result<Calls> {
    let mut calls = Calls::default();
    let address = platform.gateway();
    let mut connection = Connection::open(address).await?;
    for (index, name) in names.iter().enumerate() {
        let target = platform.get(name, path);
        if connection.is_over() {
            connection = Connection::open(address).await?;
        }
        let begun = Instant::now();
        let answer = connection.call(&target.request).await?;
        let first_byte_ms = (answer.first_byte_at - begun).as_secs_f64() * 1e3;
        if (answer.status, answer.body) != (200, HELLO_ANSWER) {
            findings.wrong.push(format!("{name}: {}", answer.describe()));
            continue;
        }
        if index == 0 {
            continue;
        }
        calls.warm += u32::from(answer.start != "cold");
        for (stage, spans_ms) in STAGES.iter().zip(&mut calls.stages_ms) {
            spans_ms.extend(stage_ms(answer.server_timing, stage));
        }
        let init_ms = stage_ms(answer.server_timing, "init").unwrap_or(0.0);
        calls.first_byte_ms.push(first_byte_ms);
        calls.platform_ms.push(first_byte_ms - init_ms);
    }
    Ok(calls)
}

impl Calls {
    fn add_to(&self, kind: Kind, findings: &mut Findings) {
        let bytes = &self.first_byte_ms;
        findings.row("first calls", "count", bytes.len() as f64);
        let errors = findings.wrong.len() as f64;
        findings.goal("errors", "count", errors, Goal::AtMost(0.0));
        let was_warm = f64::from(self.warm);
        findings.goal("first calls that were not cold", "count", was_warm, Goal::AtMost(0.0));
        let (p50, p99) = (median(bytes), quantile(bytes, 0.99));
        match kind {
            Kind::Wasm => {
                findings.goal("first byte, p50", "ms", p50, Goal::AtMost(1.0));
                findings.goal("first byte, p99", "ms", p99, Goal::AtMost(3.0));
            }
            Kind::Http => {
                findings.row("first byte, p50", "ms", p50);
                findings.row("first byte, p99", "ms", p99);
                let (p50, p99) = (median(&self.platform_ms), quantile(&self.platform_ms, 0.99));
                findings.goal("platform's share, p50", "ms", p50, Goal::AtMost(1.0));
                findings.row("platform's share, p99", "ms", p99);
                findings.note("the platform's share is the first byte without exec to listen");
            }
        }
        for (stage, spans_ms) in STAGES.iter().zip(&self.stages_ms) {
            if !spans_ms.is_empty() {
                findings.row(format!("stage {stage}, p50"), "ms", median(spans_ms));
            }
        }
    }
}
