//! All functions listed in pages, over and over, while a warm function is called: what
//! reading declared state costs those who only call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::api::Code;
use crate::bench::table::{Findings, median};
use crate::load::{Check, Connection, Load, Report, Target, open_loop};
use crate::platform::Platform;

/// Functions of a page.
const PAGE: u32 = 500;
/// The function that is called.
const CALLED: &str = "called";
/// Calls a second, over so many connections: little beside what there is room for.
const CALLS_PER_SECOND: f64 = 500.0;
const CONNECTIONS: usize = 8;
/// Rounds with and without the list, and how long each takes.
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(3);

pub(super) async fn run(platform: &Platform, objects: u32, findings: &mut Findings) -> Result<()> {
    let spec = json!({
        "scale": {"min": 1, "max": 4},
        "resources": {"cpu": "10m", "memory": "64Mi"},
    });
    platform.deploy(CALLED, &Code::fake(1, 1), spec).await?;
    let is_right: Check = Arc::new(|answer| match answer.status {
        200 => Ok(()),
        _ => Err(answer.describe()),
    });
    let load = Load::new(platform.get(CALLED, "/"), is_right);
    let calls = async || open_loop(&load, CONNECTIONS, CALLS_PER_SECOND, SPAN).await;
    // The first instance and every connection are there before anything is timed.
    findings.check("calls", &calls().await);
    let (mut alone, mut beside, mut listed_ms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(calls().await);
        let is_over = Arc::new(AtomicBool::new(false));
        let listing = Listing {
            connection: Connection::open(platform.api_address()).await?,
            address: platform.api_address(),
            is_over: Arc::clone(&is_over),
        };
        let listing = tokio::spawn(listing.run(objects + 1));
        beside.push(calls().await);
        is_over.store(true, Ordering::Relaxed);
        listed_ms.extend(listing.await??);
    }
    alone.iter().chain(&beside).for_each(|report| findings.check("calls", report));
    let median_of = |reports: &[Report], quantile| {
        median(&reports.iter().map(|report| report.latency_ms(quantile)).collect::<Vec<_>>())
    };
    findings.row("http, list of all in pages", "ms", median(&listed_ms));
    for (name, reports) in [("calls", &alone), ("calls while all is listed", &beside)] {
        findings.row(format!("http, {name}, p50"), "ms", median_of(reports, 0.5));
        findings.row(format!("http, {name}, p99"), "ms", median_of(reports, 0.99));
        findings.row(format!("http, {name}, worst"), "ms", median_of(reports, 1.0));
    }
    let ratio = median_of(&beside, 0.99) / median_of(&alone, 0.99);
    findings.row("http, calls while all is listed over calls, p99", "x", ratio);
    Ok(())
}

/// A page, as far as it is looked at.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    metadata: PageMeta<'a>,
    items: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct PageMeta<'a> {
    #[serde(default, borrow)]
    r#continue: Option<&'a str>,
}

/// A client that lists all functions, over and over.
struct Listing {
    connection: Connection,
    address: std::net::SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Listing {
    /// How long each whole list took, in milliseconds; at least one is taken.
    async fn run(mut self, expected: u32) -> Result<Vec<f64>> {
        let mut taken_ms = Vec::new();
        while taken_ms.is_empty() || !self.is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let found = self.list().await?;
            ensure!(found == expected as usize, "{found} of {expected} functions were listed");
            taken_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(taken_ms)
    }

    async fn list(&mut self) -> Result<usize> {
        let (mut found, mut continued) = (0, String::new());
        loop {
            let path = format!("/apis/gapless.dev/v1/functions?limit={PAGE}&continue={continued}");
            let target = Target::get(self.address, "localhost", &path);
            let answer = self.connection.call(&target.request).await?;
            ensure!(answer.status == 200, "a page was refused: {}", answer.describe());
            let page: Page<'_> = serde_json::from_slice(answer.body).context("a page")?;
            found += page.items.len();
            match page.metadata.r#continue {
                Some(token) if !token.is_empty() => continued = token.to_owned(),
                _ => return Ok(found),
            }
        }
    }
}
