//! What a start and a call of a component cost, through the driver's own API.
//!
//! ```text
//! cargo run --release -p gapless-sandbox-wasm --example bench_call -- guests/dist/hello.wasm
//! ```
//!
//! Prints medians and 99th percentiles in microseconds:
//! `cold` maps the compiled code from disk, links, instantiates and answers;
//! `resident` the same with the code already mapped; `warm` is a call to a seat;
//! `warm, idle between` lets the seat make its next store ahead.
//! With a number as second argument it only sends that many warm calls (for `perf`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_proto::{Body, Endpoint, Request};
use gapless_sandbox::{Driver, LogSink, LogStream, PrepareTask, StartTask, Started};
use gapless_sandbox_wasm::{WasmConfig, WasmDriver};
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Revision, RevisionName};
use http_body_util::BodyExt;

#[derive(Debug)]
struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _: LogStream, _: &[u8]) {}
}

struct Bench {
    driver: Arc<WasmDriver>,
    task: StartTask,
}

impl Bench {
    async fn new(wasm: PathBuf, cache: PathBuf, reuse: bool) -> Self {
        let mut spec = FunctionSpec::with_defaults();
        spec.wasm = Some("f.wasm".to_owned());
        spec.reuse = reuse;
        let function = FunctionKey::new("default", "bench").expect("valid names");
        let name = RevisionName::new(&function, 1);
        let revision = Arc::new(Revision { name, function, spec: spec.into() });
        let prepare = PrepareTask { revision, artifact: Some(wasm) };
        let task = StartTask {
            instance: InstanceId(1),
            prepare,
            config: Arc::default(),
            logs: Arc::new(NoLog),
        };
        let driver = WasmDriver::new(WasmConfig::new(cache)).expect("a driver");
        let begun = Instant::now();
        driver.prepare(task.prepare.clone()).await.expect("prepares");
        println!("{:<28} {:>9.0} us", "prepare (first: compiles)", micros(begun.elapsed()));
        Bench { driver, task }
    }

    async fn start(&self) -> Started {
        self.driver.start(self.task.clone()).await.expect("starts")
    }
}

fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1000.0
}

async fn call(endpoint: &Endpoint) {
    let Endpoint::Local(service) = endpoint else { unreachable!("components are local") };
    let request: Request = http::Request::builder()
        .uri("/hello")
        .header("host", "bench.default.localhost:8080")
        .header("user-agent", "bench")
        .body(Body::Empty)
        .expect("a request");
    let response = service.call(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(&body[..], b"hello\n");
}

fn report(name: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| micros(took[((took.len() - 1) as f64 * share) as usize]);
    println!("{name:<28} {:>9.1} us p50 {:>9.1} us p99  n={}", at(0.5), at(0.99), took.len());
}

async fn starts(bench: &Bench, name: &str, is_evicted: bool, rounds: usize) {
    let mut took = Vec::new();
    for _ in 0..rounds {
        if is_evicted {
            bench.driver.evict_all();
        }
        let begun = Instant::now();
        let started = bench.start().await;
        call(&started.sandbox.endpoint()).await;
        took.push(begun.elapsed());
        started.sandbox.stop(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    report(name, took);
}

async fn warm(bench: &Bench, name: &str, rounds: usize, pause: bool) {
    let started = bench.start().await;
    let endpoint = started.sandbox.endpoint();
    let mut took = Vec::new();
    let all = Instant::now();
    for _ in 0..rounds {
        if pause {
            // Lets what was put off happen, as the wait for the next request would.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        let begun = Instant::now();
        call(&endpoint).await;
        took.push(begun.elapsed());
        if !pause {
            tokio::task::yield_now().await;
        }
    }
    let all = all.elapsed();
    report(name, took);
    println!("{:<28} {:>9.0} /s", "", rounds as f64 / all.as_secs_f64());
    started.sandbox.stop(Duration::from_secs(1)).await;
}

async fn concurrent(bench: &Bench, seats: usize, rounds: usize) {
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..seats {
        let started = bench.start().await;
        tasks.push(tokio::spawn(async move {
            let endpoint = started.sandbox.endpoint();
            for _ in 0..rounds {
                call(&endpoint).await;
                tokio::task::yield_now().await;
            }
            started.sandbox.stop(Duration::from_secs(1)).await;
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let rate = (seats * rounds) as f64 / begun.elapsed().as_secs_f64();
    println!("{:<28} {rate:>9.0} /s", format!("{seats} seats at a time"));
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let wasm = arguments.next().unwrap_or_else(|| "guests/dist/hello.wasm".to_owned());
    let only_warm: Option<usize> = arguments.next().and_then(|count| count.parse().ok());
    let cache = std::env::temp_dir().join(format!("gapless-bench-{}", std::process::id()));
    let bench = Bench::new(wasm.clone().into(), cache.clone(), false).await;
    // On a worker, as a server's connections are.
    let run = tokio::spawn(async move {
        if let Some(rounds) = only_warm {
            warm(&bench, "warm", rounds, false).await;
            return;
        }
        println!("{:<28} {:>9.1} MiB", "memory after prepare", resident_mib());
        starts(&bench, "cold: from disk, answered", true, 1000).await;
        starts(&bench, "resident: start, answered", false, 2000).await;
        warm(&bench, "warm", 20_000, false).await;
        warm(&bench, "warm, idle between", 20_000, true).await;
        concurrent(&bench, 32, 2000).await;
        println!("{:<28} {:>9.1} MiB", "memory now", resident_mib());
        let mut seats = Vec::new();
        for _ in 0..1000 {
            seats.push(bench.start().await);
        }
        println!("{:<28} {:>9.1} MiB", "with 1000 idle instances", resident_mib());
        for seat in &seats {
            call(&seat.sandbox.endpoint()).await;
        }
        println!("{:<28} {:>9.1} MiB", "after a request to each", resident_mib());
        drop(seats);
        println!("{:<28} {:>9.1} MiB", "after they ended", resident_mib());
    });
    run.await.expect("no panic");
    if only_warm.is_none() {
        let reused = Bench::new(wasm.into(), cache.clone(), true).await;
        let run = tokio::spawn(async move { warm(&reused, "warm, reused", 20_000, false).await });
        run.await.expect("no panic");
    }
    let _ = std::fs::remove_dir_all(cache);
}
