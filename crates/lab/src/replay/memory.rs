//! How much memory the functions' instances hold, while they are driven.
//!
//! About every 100 ms the API is asked which instances there are; until the next
//! answer, each holds its function's memory. The API does not say which of them serve:
//! of a function with so many requests under way, as many ready instances are taken to
//! serve as those requests fill, and all others (starting, idle, ending) to be idle.
//! What always holds: the sampler is a thread of its own, so it does not delay the
//! driver; asking takes a twentieth of the time at the most; a sample that fails is
//! counted and its time belongs to the next one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gapless_sim::Memory;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::drive::InFlight;
use crate::api::NAMESPACE;
use crate::load::{Connection, Target};

/// How often the API is asked, unless it takes long to answer.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// The time between samples is at least this many times what one takes.
const SHARE: u32 = 20;
/// How long one sample may take.
const SAMPLE_WITHIN: Duration = Duration::from_secs(10);
/// How often the thread looks whether it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const GIB: f64 = (1u64 << 30) as f64;

/// A function whose instances are counted.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Its name in the platform.
    pub(crate) name: String,
    /// Its index in the workload.
    pub(crate) function: u32,
    /// What one instance of it holds.
    pub(crate) bytes: u64,
    /// Slots of an instance.
    pub(crate) concurrency: u32,
}

/// What was sampled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampled {
    /// In GiB-seconds.
    pub(crate) memory: Memory,
    /// How often the API was asked.
    pub(crate) samples: u64,
    /// How often it did not answer.
    pub(crate) failures: u64,
}

/// Samples until it is ended or dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    is_over: Arc<AtomicBool>,
    sampled: oneshot::Receiver<Result<Sampled>>,
}

impl Sampler {
    /// Begins to sample the instances of `functions` at the API of `api`.
    pub(crate) fn begin(api: SocketAddr, functions: Vec<Watched>, in_flight: InFlight) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let is_told = is_over.clone();
        let (tell, sampled) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let sampled = match runtime {
                Ok(runtime) => Ok(runtime.block_on(sample(api, &functions, &in_flight, &is_told))),
                Err(error) => Err(error.into()),
            };
            // Nobody listens to a sampler that was dropped.
            let _ = tell.send(sampled);
        });
        Sampler { is_over, sampled }
    }

    /// Takes a last sample and says what they were.
    pub(crate) async fn end(mut self) -> Result<Sampled> {
        self.is_over.store(true, Ordering::Relaxed);
        (&mut self.sampled).await.context("the sampler ended by itself")?
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

async fn sample(
    api: SocketAddr,
    functions: &[Watched],
    in_flight: &InFlight,
    is_over: &AtomicBool,
) -> Sampled {
    let by_name: HashMap<&str, usize> =
        functions.iter().enumerate().map(|(at, watched)| (watched.name.as_str(), at)).collect();
    let mut sampled = Sampled::default();
    let mut connection = None;
    let mut since = Instant::now();
    let mut is_last = false;
    while !is_last {
        is_last = is_over.load(Ordering::Relaxed);
        let begun = Instant::now();
        let asked = tokio::time::timeout(SAMPLE_WITHIN, instances(api, &mut connection));
        let asked = asked.await.unwrap_or_else(|_| bail!("the API does not answer"));
        sampled.samples += 1;
        match asked {
            Ok(list) => {
                let now = Instant::now();
                let held = list.held(functions, &by_name, &in_flight.counts());
                let span_s = (now - since).as_secs_f64();
                sampled.memory.used += held.used / GIB * span_s;
                sampled.memory.idle += held.idle / GIB * span_s;
                since = now;
            }
            Err(_) => {
                sampled.failures += 1;
                connection = None;
            }
        }
        let next = begun + SAMPLE_EVERY.max(begun.elapsed() * SHARE);
        while Instant::now() < next && !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    sampled
}

/// Instances, as far as they matter here.
#[derive(Debug, Deserialize)]
struct Instances {
    items: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Status {
    function: String,
    phase: String,
}

async fn instances(api: SocketAddr, connection: &mut Option<Connection>) -> Result<Instances> {
    let mut open = match connection.take().filter(|connection| !connection.is_over()) {
        Some(open) => open,
        None => Connection::open(api).await?,
    };
    let path = format!("{}/namespaces/{NAMESPACE}/instances", gapless_api::ROOT);
    let answer = open.call(&Target::get(api, "localhost", &path).request).await?;
    if answer.status != 200 {
        bail!("GET {path}: {}", answer.describe());
    }
    let list = serde_json::from_slice(answer.body)?;
    *connection = Some(open);
    Ok(list)
}

impl Instances {
    /// What they hold at this moment, in bytes.
    fn held(
        &self,
        functions: &[Watched],
        by_name: &HashMap<&str, usize>,
        in_flight: &[u32],
    ) -> Memory {
        let mut counts = vec![(0_u32, 0_u32); functions.len()];
        for Instance { status } in &self.items {
            if let Some(at) = by_name.get(status.function.as_str()) {
                counts[*at].0 += 1;
                counts[*at].1 += u32::from(status.phase == "Ready");
            }
        }
        let mut held = Memory::default();
        for (watched, (all, ready)) in functions.iter().zip(counts) {
            let requests = in_flight.get(watched.function as usize).copied().unwrap_or(0);
            let used = requests.div_ceil(watched.concurrency.max(1)).min(ready);
            held.used += f64::from(used) * watched.bytes as f64;
            held.idle += f64::from(all - used) * watched.bytes as f64;
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(name: &str, function: u32, concurrency: u32) -> Watched {
        Watched { name: name.to_owned(), function, bytes: 100, concurrency }
    }

    #[test]
    fn as_many_ready_instances_serve_as_requests_fill() {
        let list: Instances = serde_json::from_value(serde_json::json!({"items": [
            {"status": {"function": "a", "phase": "Ready", "node": "n"}},
            {"status": {"function": "a", "phase": "Ready"}},
            {"status": {"function": "a", "phase": "Starting"}},
            {"status": {"function": "b", "phase": "Ready"}},
            {"status": {"function": "other", "phase": "Ready"}},
        ]}))
        .unwrap();
        let functions = [watched("a", 4, 1), watched("b", 0, 10)];
        let by_name = HashMap::from([("a", 0), ("b", 1)]);
        let held = |in_flight: &[u32]| {
            let held = list.held(&functions, &by_name, in_flight);
            (held.used, held.idle)
        };
        assert_eq!(held(&[]), (0.0, 400.0));
        assert_eq!(held(&[0, 0, 0, 0, 1]), (100.0, 300.0));
        // Two wait for the third instance.
        assert_eq!(held(&[10, 0, 0, 0, 4]), (300.0, 100.0));
    }

    #[tokio::test]
    async fn an_api_that_is_gone_is_counted_and_ends_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = listener.local_addr().unwrap();
        drop(listener);
        let sampled = Sampler::begin(api, vec![watched("a", 0, 1)], InFlight::default());
        let sampled = sampled.end().await.unwrap();
        assert!(sampled.failures > 0 && sampled.failures == sampled.samples);
        assert_eq!(sampled.memory.total(), 0.0);
    }
}
