//! Instances that start and stop on modelled nodes, with a client that watches them
//! and without: a watcher must cost the starts nothing, and the store no write.
//!
//! Functions are called in turn, so seldom that each call finds no instance and starts
//! one, which is let go of soon after. Rounds with and without the watcher alternate.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Args;
use super::lines::{Lines, quoted};
use crate::api::Code;
use crate::bench::table::{Findings, Goal};
use crate::load::{Connection, histogram, quantile_ms, record};
use crate::platform::Platform;

/// Modelled nodes.
const FAKE_NODES: &str = "20";
/// Functions that are called in turn.
const FUNCTIONS: u32 = 500;
/// How long an instance stays when it is not used: less than a function waits for its
/// next call.
const KEEP_ALIVE: &str = "100ms";
/// Starts a second, and the connections that ask for them.
const STARTS_PER_SECOND: f64 = 500.0;
const CALLERS: u32 = 32;
/// Rounds of each side.
const ROUNDS: u32 = 5;
/// How much slower the median start may be with a watcher: what rounds vary by.
const SLOWER_MAX: f64 = 1.1;
/// How long instances may take to be gone, and the watcher to be told.
const GONE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub(super) async fn run(args: &Args, findings: &mut Findings) -> Result<Value> {
    let folder = super::folder(args)?;
    let flags = ["--fake-nodes", FAKE_NODES];
    let platform = Platform::start_in(&folder.path().join("data"), &flags).await?;
    deploy(&platform).await?;
    let per_round = args.instances.div_ceil(ROUNDS);
    // Connections, lanes and the first placements are not what is measured.
    round(&platform, FUNCTIONS).await?;
    wait_until_gone(&platform).await?;
    let revision = platform.api().await?.metric("gapless_store_revision", "").await?;
    let (mut alone, mut watched) = (Side::new(), Side::new());
    for _ in 0..ROUNDS {
        alone.add(&round(&platform, per_round).await?)?;
        wait_until_gone(&platform).await?;
        let before = platform.starts().await?;
        let watcher = Watcher::begin(&platform).await?;
        watched.add(&round(&platform, per_round).await?)?;
        wait_until_gone(&platform).await?;
        let started = platform.starts().await? - before;
        watched.told += watcher.all_told(started).await?;
    }
    let written = platform.api().await?.metric("gapless_store_revision", "").await? - revision;
    report(findings, &alone, &watched, written);
    platform.stop().await?;
    let value = |name: &str| findings.value(&format!("instances, {name}"));
    Ok(json!({
        "instances": args.instances,
        "start_ms_p50": value("start, p50"),
        "start_ms_p99": value("start, p99"),
        "watched_start_ms_p50": value("start with a watcher, p50"),
        "watched_start_ms_p99": value("start with a watcher, p99"),
        "slower_p50": value("start with a watcher over without, p50"),
        "store_revisions": value("transactions of the store"),
    }))
}

async fn deploy(platform: &Platform) -> Result<()> {
    let code = Code::fake(5, 1);
    let spec = json!({
        "concurrency": 1,
        "scale": {"max": 4, "keepAlive": KEEP_ALIVE},
        "resources": {"cpu": "10m", "memory": "64Mi"},
    });
    let mut api = platform.api().await?;
    for n in 0..FUNCTIONS {
        api.declare(&name(n), &code, spec.clone()).await?;
    }
    for n in 0..FUNCTIONS {
        api.wait_until_ready(&name(n)).await?;
    }
    Ok(())
}

fn name(n: u32) -> String {
    format!("f{n}")
}

/// The rounds of one side.
struct Side {
    cold: Histogram<u64>,
    warm: u64,
    told: u64,
}

impl Side {
    fn new() -> Self {
        Side { cold: histogram(), warm: 0, told: 0 }
    }

    fn add(&mut self, other: &Side) -> Result<()> {
        self.cold.add(&other.cold)?;
        self.warm += other.warm;
        Ok(())
    }
}

fn report(findings: &mut Findings, alone: &Side, watched: &Side, written: f64) {
    for (name, side) in [("start", alone), ("start with a watcher", watched)] {
        findings.row(format!("instances, {name}, count"), "count", side.cold.len() as f64);
        findings.row(format!("instances, {name}, p50"), "ms", quantile_ms(&side.cold, 0.5));
        findings.row(format!("instances, {name}, p99"), "ms", quantile_ms(&side.cold, 0.99));
    }
    let over = |quantile| quantile_ms(&watched.cold, quantile) / quantile_ms(&alone.cold, quantile);
    let name = "instances, start with a watcher over without";
    findings.goal(format!("{name}, p50"), "x", over(0.5), Goal::AtMost(SLOWER_MAX));
    findings.row(format!("{name}, p99"), "x", over(0.99));
    findings.row("instances, the watcher was told of", "count", watched.told as f64);
    findings.goal("instances, transactions of the store", "count", written, Goal::AtMost(0.0));
    if alone.warm + watched.warm > 0 {
        let warm = alone.warm + watched.warm;
        findings.note(format!("{warm} calls found an instance and are not counted"));
    }
}

/// Calls functions in turn, each on time, until `starts` were asked for.
async fn round(platform: &Platform, starts: u32) -> Result<Side> {
    let number = Arc::new(AtomicU32::new(0));
    let requests: Arc<[_]> = (0..FUNCTIONS).map(|n| platform.get(&name(n), "/").request).collect();
    let begun = Instant::now();
    let callers: Vec<JoinHandle<Result<Side>>> = (0..CALLERS)
        .map(|_| {
            let (number, requests) = (Arc::clone(&number), Arc::clone(&requests));
            let gateway = platform.gateway();
            tokio::spawn(async move {
                let mut connection = Connection::open(gateway).await?;
                let mut side = Side::new();
                loop {
                    let n = number.fetch_add(1, Ordering::Relaxed);
                    if n >= starts {
                        return Ok(side);
                    }
                    let due = begun + Duration::from_secs_f64(f64::from(n) / STARTS_PER_SECOND);
                    tokio::time::sleep_until(due.into()).await;
                    if connection.is_over() {
                        connection = Connection::open(gateway).await?;
                    }
                    let sent = Instant::now();
                    let answer = connection.call(&requests[(n % FUNCTIONS) as usize]).await?;
                    ensure!(answer.status == 200, "a call failed: {}", answer.describe());
                    match answer.start {
                        "cold" => record(&mut side.cold, answer.first_byte_at - sent),
                        _ => side.warm += 1,
                    }
                }
            })
        })
        .collect();
    let mut all = Side::new();
    for caller in callers {
        all.add(&caller.await??)?;
    }
    Ok(all)
}

async fn wait_until_gone(platform: &Platform) -> Result<()> {
    let mut api = platform.api().await?;
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let left = api.metric("gapless_node_instances", "").await?;
        if left == 0.0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{left} instances do not end");
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// What a watcher was told, by name.
#[derive(Debug, Default)]
struct Told {
    added: HashSet<String>,
    deleted: HashSet<String>,
    /// Told twice, or gone before they came.
    odd: Vec<String>,
}

impl Told {
    fn note(&mut self, line: &[u8]) {
        let name = quoted(line, "\"name\":\"").unwrap_or_default().to_owned();
        let is_odd = match quoted(line, "\"type\":\"") {
            Some("ADDED") => !self.added.insert(name.clone()),
            Some("MODIFIED") => !self.added.contains(&name) || self.deleted.contains(&name),
            Some("DELETED") => !self.added.contains(&name) || !self.deleted.insert(name.clone()),
            _ => true,
        };
        if is_odd {
            self.odd.push(String::from_utf8_lossy(line).into_owned());
        }
    }
}

/// A client that watches instances.
struct Watcher {
    task: JoinHandle<()>,
    told: Arc<Mutex<Told>>,
}

impl Watcher {
    async fn begin(platform: &Platform) -> Result<Self> {
        let path = "/apis/gapless.dev/v1/instances?watch=1";
        let mut lines = Lines::open(platform.api_address(), path).await?;
        let told: Arc<Mutex<Told>> = Arc::default();
        let noting = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Ok(line) = lines.next().await {
                noting.lock().note(line);
            }
        });
        Ok(Watcher { task, told })
    }

    /// Waits until all that started were told, and that they are gone. How many.
    async fn all_told(self, started: f64) -> Result<u64> {
        let until = Instant::now() + GONE_WITHIN;
        loop {
            let (added, deleted) = {
                let told = self.told.lock();
                ensure!(told.odd.is_empty(), "the watch told what cannot be: {:?}", told.odd);
                (told.added.len(), told.deleted.len())
            };
            if added as f64 == started && deleted == added {
                self.task.abort();
                return Ok(added as u64);
            }
            let what = format!("{started} started, {added} came and {deleted} went by the watch");
            ensure!(Instant::now() < until && !self.task.is_finished(), "{what}");
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_skips_or_repeats_is_noticed() {
        let line = |kind: &str, name: &str| {
            format!("{{\"type\":\"{kind}\",\"object\":{{\"metadata\":{{\"name\":\"{name}\"}}}}}}")
        };
        let mut told = Told::default();
        for (kind, name) in [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")] {
            told.note(line(kind, name).as_bytes());
        }
        assert_eq!((told.added.len(), told.deleted.len(), told.odd.len()), (2, 1, 0));
        for (kind, name) in [("ADDED", "a"), ("DELETED", "a"), ("DELETED", "c"), ("ERROR", "")] {
            told.note(line(kind, name).as_bytes());
        }
        assert_eq!(told.odd.len(), 4);
    }
}
