//! A platform over HTTP: functions as `apply` declares them, with their revisions.
//!
//! Every write is a server-side apply on a connection that is kept; it is answered
//! when it is durable and in effect. A watch over all functions runs all the time: it
//! must show every write, and its delivery is timed from the sending of the write, so
//! that admission and the disk are in it. Load and platform share the machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use gapless_api::function_path;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::told::{MARK, Watching};
use super::{Args, paging};
use crate::api::{Api, NAMESPACE};
use crate::bench::table::{Findings, Goal};
use crate::load::{Connection, Target, histogram, quantile_ms, record};
use crate::platform::Platform;

type Times = Histogram<u64>;

/// The goals, on 2 cores.
const WRITES_PER_SECOND: f64 = 3_000.0;
const WATCH_MS: f64 = 5.0;
const FUNCTION_BYTES: f64 = 2_048.0;
/// Writes a second at which delivery is judged: a third of the goal, so that what is
/// timed is the way and not the queue of writers before it.
const PACE: f64 = 1_000.0;
/// How long each kind of change goes on.
const SPAN: Duration = Duration::from_secs(4);
/// Nodes for the functions: they are models.
const FAKE_NODES: &str = "2";
/// How long what was written may take to be settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// Nothing was written for so long: everything is settled.
const QUIET: Duration = Duration::from_secs(1);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

pub(super) async fn run(args: &Args, findings: &mut Findings) -> Result<Value> {
    let folder = super::folder(args)?;
    let flags = ["--fake-nodes", FAKE_NODES];
    let platform = Platform::start_in(&folder.path().join("data"), &flags).await?;
    let mut bench = Bench::begin(args, &platform).await?;
    bench.create(&platform, findings).await?;
    bench.change(&platform, Change::Label, "change of an annotation", findings).await?;
    bench.settle().await?;
    // Before revisions are made: declaring the first ones again would make others.
    bench.pace(findings).await?;
    bench.change(&platform, Change::Revise, "change that makes a revision", findings).await?;
    bench.watching.end();
    bench.settle().await?;
    paging::run(&platform, args.objects, findings).await?;
    platform.stop().await?;
    let value = |name: &str| findings.value(&format!("http, {name}"));
    Ok(json!({
        "objects": args.objects,
        "writers": args.writers,
        "creates_per_second": value("create, writes/s"),
        "create_processor_us": value("create, processor time of the platform"),
        "transactions_per_function": value("transactions of the store per function"),
        "create_ms_p50": value("create, p50"),
        "create_ms_p99": value("create, p99"),
        "annotates_per_second": value("change of an annotation, writes/s"),
        "revises_per_second": value("change that makes a revision, writes/s"),
        "paced_watch_ms_p50": value("watch delivery at 1000 writes/s, p50"),
        "paced_watch_ms_p99": value("watch delivery at 1000 writes/s, p99"),
        "function_bytes": value("memory per function beyond its own bytes"),
        "list_ms": value("list of all in pages"),
        "calls_ms_p99": value("calls, p99"),
        "calls_while_listing_ms_p99": value("calls while all is listed, p99"),
    }))
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Makes the function and its first revision.
    Create,
    /// Changes its metadata.
    Label,
    /// Changes its environment, which makes a revision: that is prepared, tried with
    /// one instance, and takes over.
    Revise,
}

impl Change {
    /// The function as its owner declares it.
    fn declaration(self, n: u32, mark: &str) -> Vec<u8> {
        let setting = if self == Change::Revise { mark } else { "0" };
        let function = json!({
            "apiVersion": gapless_types::API_VERSION,
            "kind": "Function",
            "metadata": {
                "name": name(n), "namespace": NAMESPACE,
                "labels": {"app": format!("app-{}", n % 100)},
                "annotations": {MARK: mark},
            },
            "spec": {
                "fake": {"start": "1ms", "service": "1ms"},
                "env": {"SETTING": setting, "KEY": key_of(n)},
                "scale": {"max": 4},
                "resources": {"cpu": "10m", "memory": "64Mi"},
            },
        });
        serde_json::to_vec(&function).unwrap_or_default()
    }
}

/// What no two functions have in common: 128 bits as text.
fn key_of(n: u32) -> String {
    super::store::noise(n, 16).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn name(n: u32) -> String {
    format!("function-{n:07}")
}

struct Bench {
    api: SocketAddr,
    objects: u32,
    writers: u32,
    begun: Instant,
    /// Writes so far.
    written: Arc<AtomicU32>,
    watching: Watching,
    resident_before: f64,
    stored_before: f64,
}

impl Bench {
    async fn begin(args: &Args, platform: &Platform) -> Result<Self> {
        let api = platform.api_address();
        let begun = Instant::now();
        let stored_before = platform.api().await?.metric("gapless_store_record_bytes", "").await?;
        let resident_before = platform.resident_mib()?;
        Ok(Bench {
            api,
            objects: args.objects,
            writers: args.writers,
            begun,
            written: Arc::default(),
            watching: Watching::begin(api, begun).await?,
            resident_before,
            stored_before,
        })
    }

    /// Declares all functions, each once.
    async fn create(&mut self, platform: &Platform, findings: &mut Findings) -> Result<()> {
        let objects = self.objects;
        let revision = self.revision().await?;
        let (begun, processor) = (Instant::now(), platform.processor_seconds()?);
        let next = move |n: u32| (n < objects).then_some(n);
        let written = self.write(Change::Create, None, next).await?;
        let took = (begun.elapsed(), platform.processor_seconds()? - processor);
        self.report("create", f64::from(objects), took, &written, findings).await?;
        let begun = Instant::now();
        self.settle().await?;
        let transactions = (self.revision().await? - revision) / f64::from(objects);
        findings.row("http, transactions of the store per function", "count", transactions);
        let settled = (begun.elapsed() - QUIET).as_secs_f64();
        findings.row("http, until all statuses are stored too", "s", settled);
        // Opened when it is used: the server closes one that is not.
        let mut own = Api::open(self.api).await?;
        let stored = own.metric("gapless_store_record_bytes", "").await? - self.stored_before;
        let each = stored / f64::from(objects);
        let resident = (platform.resident_mib()? - self.resident_before) * f64::from(1 << 20);
        findings.row("http, stored per function and its revision", "B", each);
        let name = "http, memory per function beyond its own bytes";
        let beyond = resident / f64::from(objects) - each;
        findings.goal(name, "B", beyond, Goal::AtMost(FUNCTION_BYTES));
        Ok(())
    }

    /// Changes functions for a while.
    async fn change(
        &mut self,
        platform: &Platform,
        change: Change,
        what: &str,
        findings: &mut Findings,
    ) -> Result<()> {
        let (objects, before) = (self.objects, self.written.load(Ordering::Relaxed));
        let (begun, processor) = (Instant::now(), platform.processor_seconds()?);
        let next = move |n: u32| (begun.elapsed() < SPAN).then_some(n % objects);
        let written = self.write(change, None, next).await?;
        let took = (begun.elapsed(), platform.processor_seconds()? - processor);
        let count = self.written.load(Ordering::Relaxed) - before;
        self.report(what, f64::from(count), took, &written, findings).await
    }

    /// Changes annotations at a pace that leaves room, to time deliveries.
    async fn pace(&mut self, findings: &mut Findings) -> Result<()> {
        let objects = self.objects;
        let begun = Instant::now();
        let next = move |n: u32| (begun.elapsed() < SPAN).then_some(n % objects);
        let written = self.write(Change::Label, Some(PACE), next).await?;
        let seen = self.watching.catch_up(self.written.load(Ordering::Relaxed)).await?;
        let name = format!("http, watch delivery at {PACE} writes/s");
        findings.row(format!("{name}, p50"), "ms", quantile_ms(&seen, 0.5));
        let p99 = quantile_ms(&seen, 0.99);
        findings.goal(format!("{name}, p99"), "ms", p99, Goal::AtMost(WATCH_MS));
        findings.row(
            format!("http, a write at {PACE} writes/s, p99"),
            "ms",
            quantile_ms(&written, 0.99),
        );
        Ok(())
    }

    async fn report(
        &mut self,
        what: &str,
        count: f64,
        (elapsed, processor): (Duration, f64),
        written: &Times,
        findings: &mut Findings,
    ) -> Result<()> {
        let (name, rate) = (format!("http, {what}"), count / elapsed.as_secs_f64());
        if self.writers >= 16 {
            let goal = Goal::AtLeast(WRITES_PER_SECOND);
            findings.goal(format!("{name}, writes/s"), "1/s", rate, goal);
        } else {
            findings.row(format!("{name}, writes/s"), "1/s", rate);
        }
        let each = processor / count * 1e6;
        findings.row(format!("{name}, processor time of the platform"), "us", each);
        findings.row(format!("{name}, p50"), "ms", quantile_ms(written, 0.5));
        findings.row(format!("{name}, p99"), "ms", quantile_ms(written, 0.99));
        let seen = self.watching.catch_up(self.written.load(Ordering::Relaxed)).await?;
        findings.row(format!("{name}, watch p50"), "ms", quantile_ms(&seen, 0.5));
        findings.row(format!("{name}, watch p99"), "ms", quantile_ms(&seen, 0.99));
        Ok(())
    }

    async fn revision(&self) -> Result<f64> {
        Api::open(self.api).await?.metric("gapless_store_revision", "").await
    }

    /// Waits until nothing more is written: statuses are stored after what they are of.
    async fn settle(&self) -> Result<()> {
        let mut own = Api::open(self.api).await?;
        let until = Instant::now() + SETTLED_WITHIN;
        let (mut last, mut since) = (0.0, Instant::now());
        while since.elapsed() < QUIET {
            ensure!(Instant::now() < until, "statuses are written without end");
            let revision = own.metric("gapless_store_revision", "").await?;
            if revision != last {
                (last, since) = (revision, Instant::now());
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER * 10).await;
        }
        Ok(())
    }

    /// Writes with all writers as long as `next` gives them a number; so many a second
    /// together, if that is said.
    async fn write(
        &self,
        change: Change,
        per_second: Option<f64>,
        next: impl Fn(u32) -> Option<u32> + Clone + Send + 'static,
    ) -> Result<Times> {
        let number = Arc::new(AtomicU32::new(0));
        let period = per_second.map(|rate| f64::from(self.writers) / rate);
        let begun = Instant::now();
        let tasks: Vec<_> = (0..self.writers)
            .map(|index| {
                let (number, next) = (Arc::clone(&number), next.clone());
                let part = f64::from(index) / f64::from(self.writers);
                let pace = period.map(|period| (begun, Duration::from_secs_f64(period), part));
                let (api, epoch, written) = (self.api, self.begun, Arc::clone(&self.written));
                let writer = Writer { api, epoch, written, change };
                tokio::spawn(writer.run(pace, move || next(number.fetch_add(1, Ordering::Relaxed))))
            })
            .collect();
        let mut all = histogram();
        for task in tasks {
            all.add(task.await??)?;
        }
        Ok(all)
    }
}

/// When a writer writes: from when, how often, and at which part of that time.
type Pace = Option<(Instant, Duration, f64)>;

/// One writer, with one write under way.
struct Writer {
    api: SocketAddr,
    epoch: Instant,
    written: Arc<AtomicU32>,
    change: Change,
}

impl Writer {
    async fn run(self, pace: Pace, next: impl Fn() -> Option<u32>) -> Result<Times> {
        let mut connection = Connection::open(self.api).await?;
        let mut taken = histogram();
        let mut due = pace.map(|(begun, period, part)| begun + period.mul_f64(part));
        while let Some(n) = next() {
            if let (Some(at), Some((_, period, _))) = (due, pace) {
                tokio::time::sleep_until(at.into()).await;
                due = Some(at + period);
            }
            if connection.is_over() {
                connection = Connection::open(self.api).await?;
            }
            let serial = self.written.fetch_add(1, Ordering::Relaxed);
            let sent = Instant::now();
            let mark = format!("{serial}-{}", (sent - self.epoch).as_nanos());
            let body = self.change.declaration(n, &mark);
            let path = format!("{}?fieldManager=bench", function_path(NAMESPACE, &name(n)));
            let fields = [("host", "localhost"), ("content-type", "application/apply-patch+yaml")];
            let target = Target::with_fields(self.api, &fields, "PATCH", &path, &body);
            let answer = connection.call(&target.request).await?;
            let wanted = if self.change == Change::Create { 201 } else { 200 };
            if answer.status != wanted {
                bail!("{} was refused: {}", name(n), answer.describe());
            }
            record(&mut taken, sent.elapsed());
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_a_function_that_is_read() {
        for change in [Change::Create, Change::Label, Change::Revise] {
            let body: Value = serde_json::from_slice(&change.declaration(7, "1-2")).unwrap();
            let function = gapless_types::Function::from_value(body).unwrap();
            assert_eq!(function.metadata.name, name(7));
            let setting = function.spec.env.iter().next();
            assert!(setting.is_some(), "{change:?}");
        }
    }
}
