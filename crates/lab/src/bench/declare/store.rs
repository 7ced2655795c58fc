//! The store alone: the embedded store as the services use it, with real fsync.
//!
//! Writers are tasks, each with one write under way. A watch over everything runs
//! all the time; its delivery is timed from the call of the write, so it holds the
//! wait for the disk too. What is written is checked against what is listed.

use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use gapless_store::{Expect, Range, Store, Watch, Write};
use gapless_store_embedded::EmbeddedStore;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Args;
use crate::bench::table::{Findings, Goal, median};
use crate::load::{histogram, quantile_ms, record};

type Times = Histogram<u64>;

/// The goals, on 2 cores.
const WRITES_PER_SECOND: f64 = 20_000.0;
const WATCH_MS: f64 = 5.0;
const RECORD_BYTES: f64 = 2048.0;
/// A page of a list.
const PAGE: usize = 500;
/// Writers beside those asked for, and how long each number of them writes.
const OTHER_WRITERS: [u32; 4] = [1, 16, 64, 256];
const SPAN: Duration = Duration::from_secs(2);
/// A folder that `up` must read quickly, and how often it is opened.
const REOPENED: u32 = 10_000;
const REOPENS: usize = 5;
const PREFIX: &str = "functions/";
/// Magic number of tmpfs, of which an fsync costs nothing (statfs(2)).
const TMPFS: i64 = 0x0102_1994;

pub(super) async fn run(args: &Args, findings: &mut Findings) -> Result<Value> {
    let folder = super::folder(args)?;
    note_disk(folder.path(), findings);
    let syncs = time_syncs(&folder.path().join("probe"))?;
    findings.row("store, the disk's own write and fsync, p50", "ms", quantile_ms(&syncs, 0.5));
    findings.row("store, the disk's own write and fsync, p99", "ms", quantile_ms(&syncs, 0.99));
    let mut bench = Bench::open(args, folder.path())?;
    bench.load(args, findings).await?;
    bench.list(args, findings).await?;
    bench.other_writers(findings).await?;
    bench.reopen(args, folder.path(), findings)?;
    reopen_small(args, folder.path(), findings).await?;
    let value = |name: &str| findings.value(&format!("store, {name}"));
    Ok(json!({
        "objects": args.objects,
        "fsync_ms_p50": value("the disk's own write and fsync, p50"),
        "fsync_ms_p99": value("the disk's own write and fsync, p99"),
        "writers": args.writers,
        "bytes": args.bytes,
        "writes_per_second": value("writes/s"),
        "write_ms_p50": value("durable write, p50"),
        "write_ms_p99": value("durable write, p99"),
        "watch_ms_p50": value("watch delivery, p50"),
        "watch_ms_p99": value("watch delivery, p99"),
        "record_bytes": value("memory per record beyond its own bytes"),
        "list_ms": value("list of all in pages"),
        "reopen_ms": value("reopen with all"),
    }))
}

fn note_disk(folder: &Path, findings: &mut Findings) {
    if rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == TMPFS) {
        findings.note(format!(
            "{} is in memory (tmpfs): an fsync costs nothing there; name a disk with --dir",
            folder.display()
        ));
    }
}

/// What a write that a store makes durable costs at least: 4 KiB written over zeros,
/// and an fdatasync, on one thread.
fn time_syncs(path: &Path) -> Result<Times> {
    const PAGE_BYTES: usize = 4096;
    const SYNCS: usize = 300;
    let mut file = std::fs::File::create(path)?;
    file.write_all(&vec![0; SYNCS * PAGE_BYTES])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut taken = histogram();
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[1; PAGE_BYTES])?;
        file.sync_data()?;
        record(&mut taken, begun.elapsed());
    }
    Ok(taken)
}

/// A store being written to, and a watch over it.
struct Bench {
    store: Arc<EmbeddedStore>,
    begun: Instant,
    bytes: u32,
    rss_before: f64,
    watching: Watching,
}

impl Bench {
    fn open(args: &Args, folder: &Path) -> Result<Self> {
        let rss_before = rss_bytes();
        let store = EmbeddedStore::open(&folder.join("all"))?;
        let begun = Instant::now();
        let watching = Watching::start(store.watch(PREFIX, 0)?, begun);
        Ok(Bench { store, begun, bytes: args.bytes, rss_before, watching })
    }

    /// Declares all objects, each once.
    async fn load(&mut self, args: &Args, findings: &mut Findings) -> Result<()> {
        let (objects, writers) = (args.objects, args.writers);
        let begun = Instant::now();
        let written = self.write(writers, move |n| (n < objects).then_some(n)).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let rate = f64::from(objects) / seconds;
        if writers >= 16 {
            findings.goal("store, writes/s", "1/s", rate, Goal::AtLeast(WRITES_PER_SECOND));
        } else {
            findings.row("store, writes/s", "1/s", rate);
        }
        findings.row("store, durable write, p50", "ms", quantile_ms(&written, 0.5));
        findings.row("store, durable write, p99", "ms", quantile_ms(&written, 0.99));
        let seen = self.watching.catch_up(self.store.revision()).await?;
        ensure!(seen.len() == u64::from(objects), "the watch saw {} of {objects}", seen.len());
        findings.row("store, watch delivery, p50", "ms", quantile_ms(&seen, 0.5));
        let p99 = quantile_ms(&seen, 0.99);
        findings.goal("store, watch delivery, p99", "ms", p99, Goal::AtMost(WATCH_MS));
        let own = key(0).len() as f64 + f64::from(self.bytes);
        let each = (rss_bytes() - self.rss_before) / f64::from(objects) - own;
        let name = "store, memory per record beyond its own bytes";
        findings.goal(name, "B", each, Goal::AtMost(RECORD_BYTES));
        let history = self.store.usage().history_events as f64;
        findings.row("store, of that history, changes", "count", history);
        Ok(())
    }

    /// Lists all in pages while the writers change them.
    async fn list(&mut self, args: &Args, findings: &mut Findings) -> Result<()> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (store, over) = (Arc::clone(&self.store), Arc::clone(&is_over));
        let listing = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let found = list_in_pages(&*store);
            over.store(true, Ordering::Relaxed);
            Ok::<_, anyhow::Error>((found?, begun.elapsed()))
        });
        let objects = args.objects;
        let next = move |n: u32| (!is_over.load(Ordering::Relaxed)).then_some(n % objects);
        let written = self.write(args.writers, next).await?;
        let (found, elapsed) = listing.await??;
        ensure!(found == objects as usize, "{found} of {objects} were listed");
        findings.row("store, list of all in pages", "ms", elapsed.as_secs_f64() * 1e3);
        findings.row("store, durable write while listing, p99", "ms", quantile_ms(&written, 0.99));
        findings.row("store, durable write while listing, worst", "ms", quantile_ms(&written, 1.0));
        self.watching.catch_up(self.store.revision()).await?;
        Ok(())
    }

    /// Changes for a while with other numbers of writers.
    async fn other_writers(&mut self, findings: &mut Findings) -> Result<()> {
        for writers in OTHER_WRITERS {
            let before = self.store.revision();
            let begun = Instant::now();
            let next = move |n: u32| (begun.elapsed() < SPAN).then_some(n % 10_000);
            let written = self.write(writers, next).await?;
            let rate = (self.store.revision() - before) as f64 / begun.elapsed().as_secs_f64();
            let seen = self.watching.catch_up(self.store.revision()).await?;
            let name = format!("store, {writers} writers");
            findings.row(format!("{name}, writes/s"), "1/s", rate);
            findings.row(format!("{name}, p50"), "ms", quantile_ms(&written, 0.5));
            findings.row(format!("{name}, p99"), "ms", quantile_ms(&written, 0.99));
            findings.row(format!("{name}, watch p99"), "ms", quantile_ms(&seen, 0.99));
        }
        Ok(())
    }

    fn reopen(self, args: &Args, folder: &Path, findings: &mut Findings) -> Result<()> {
        self.watching.task.abort();
        let last = self.store.revision();
        // The last handle, so that the folder is free again.
        ensure!(Arc::into_inner(self.store).is_some(), "somebody still has the store");
        let begun = Instant::now();
        let store = EmbeddedStore::open(&folder.join("all"))?;
        let elapsed = begun.elapsed();
        let found = store.list_all(PREFIX)?.len();
        ensure!(found == args.objects as usize && store.revision() == last, "records are lost");
        findings.row("store, reopen with all", "ms", elapsed.as_secs_f64() * 1e3);
        Ok(())
    }

    /// Writes with so many writers, each as long as `next` gives it a number.
    async fn write(
        &self,
        writers: u32,
        next: impl Fn(u32) -> Option<u32> + Clone + Send + 'static,
    ) -> Result<Times> {
        let store: Arc<dyn Store> = self.store.clone();
        let number = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let (store, number) = (Arc::clone(&store), Arc::clone(&number));
                let (next, bytes, begun) = (next.clone(), self.bytes, self.begun);
                tokio::spawn(async move {
                    let mut written = histogram();
                    while let Some(n) = next(number.fetch_add(1, Ordering::Relaxed) as u32) {
                        let asked = Instant::now();
                        let mut value = noise(n, bytes);
                        value[..8].copy_from_slice(&nanos_since(begun).to_le_bytes());
                        store.commit(vec![Write::put(key(n), value, Expect::Any)]).await?;
                        record(&mut written, asked.elapsed());
                    }
                    Ok::<_, anyhow::Error>(written)
                })
            })
            .collect();
        let mut all = histogram();
        for task in tasks {
            all.add(task.await??)?;
        }
        Ok(all)
    }
}

/// Who waits for the times of what was delivered up to a revision.
type Ask = (u64, oneshot::Sender<Result<Times>>);

/// A task that times what a watch delivers.
struct Watching {
    task: JoinHandle<()>,
    ask: mpsc::Sender<Ask>,
}

impl Watching {
    fn start(mut watch: Watch, begun: Instant) -> Self {
        let (ask, mut asked) = mpsc::channel::<Ask>(1);
        let task = tokio::spawn(async move {
            let mut seen = histogram();
            let mut waiting: Option<Ask> = None;
            loop {
                let progress = watch.progress();
                if let Some((_, answer)) = waiting.take_if(|(until, _)| *until <= progress) {
                    let _ = answer.send(Ok(std::mem::replace(&mut seen, histogram())));
                }
                tokio::select! {
                    biased;
                    event = watch.next() => match event {
                        Some(Ok(event)) => {
                            let sent = event.value.as_deref().and_then(<[u8]>::first_chunk);
                            let sent = u64::from_le_bytes(*sent.unwrap_or(&[0; 8]));
                            let taken = nanos_since(begun).saturating_sub(sent);
                            record(&mut seen, Duration::from_nanos(taken));
                        }
                        Some(Err(error)) => {
                            if let Some((_, answer)) = waiting.take() {
                                let _ = answer.send(Err(error.into()));
                            }
                            return;
                        }
                        None => return,
                    },
                    ask = asked.recv(), if waiting.is_none() => match ask {
                        Some(ask) => waiting = Some(ask),
                        None => return,
                    },
                }
            }
        });
        Watching { task, ask }
    }

    /// The times of what was delivered since the last call, once all is.
    async fn catch_up(&self, until: u64) -> Result<Times> {
        let (answer, answered) = oneshot::channel();
        self.ask.send((until, answer)).await.context("the watch ended")?;
        answered.await.context("the watch ended")?
    }
}

fn list_in_pages(store: &dyn Store) -> Result<usize> {
    let mut found = 0;
    let mut last: Option<Arc<str>> = None;
    let mut at = None;
    loop {
        let after = last.as_deref();
        let page = store.list(Range { prefix: PREFIX, after, limit: Some(PAGE), at })?;
        found += page.records.len();
        at = Some(page.revision);
        last = page.records.last().map(|record| Arc::clone(&record.key));
        if !page.more {
            return Ok(found);
        }
    }
}

/// A value that has nothing in common with others: the worst case for a store that packs
/// what is alike (SplitMix64: Steele, Lea and Flood, OOPSLA 2014). What functions have in
/// common is measured with functions, over HTTP.
pub(super) fn noise(n: u32, bytes: u32) -> Vec<u8> {
    let mut state = u64::from(n);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut value: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    value.truncate(bytes as usize);
    value
}

/// How long a folder takes to open that has as many records as `up` is measured with.
async fn reopen_small(args: &Args, folder: &Path, findings: &mut Findings) -> Result<()> {
    let folder = folder.join("small");
    let store = EmbeddedStore::open(&folder)?;
    let commits = (0..REOPENED).map(|n| {
        let write = Write::put(key(n), noise(n, args.bytes), Expect::Any);
        store.commit(vec![write])
    });
    let commits: Vec<_> = commits.collect();
    for commit in commits {
        commit.await?;
    }
    drop(store);
    let mut opened = Vec::new();
    for _ in 0..REOPENS {
        let begun = Instant::now();
        let store = EmbeddedStore::open(&folder)?;
        opened.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(store.list_all("")?.len() == REOPENED as usize, "records are lost");
    }
    findings.row(format!("store, reopen with {REOPENED}"), "ms", median(&opened));
    Ok(())
}

fn key(n: u32) -> String {
    format!("{PREFIX}ns-{}/function-{n:07}", n % 100)
}

fn nanos_since(begun: Instant) -> u64 {
    begun.elapsed().as_nanos() as u64
}

/// The process's memory, in bytes.
fn rss_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = status.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * rustix::param::page_size() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_write_is_seen_listed_and_there_again() {
        let args =
            Args { objects: 1_200, writers: 20, bytes: 64, instances: 0, only: vec![], dir: None };
        let folder = tempfile::tempdir().unwrap();
        let mut findings = Findings::of("test");
        let mut bench = Bench::open(&args, folder.path()).unwrap();
        bench.load(&args, &mut findings).await.unwrap();
        bench.list(&args, &mut findings).await.unwrap();
        bench.reopen(&args, folder.path(), &mut findings).unwrap();
        for name in ["writes/s", "watch delivery, p99", "list of all in pages", "reopen with all"] {
            let value = findings.value(&format!("store, {name}"));
            assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
        }
    }
}
