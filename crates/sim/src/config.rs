//! What is simulated: nodes, how they start and serve, and what functions may use.

use std::time::Duration;

use gapless_dispatch::KeepAlive;
use gapless_types::{Bytes, CpuMillis, StartMode};
use gapless_workload::ParameterError;
use serde::Serialize;

use crate::start::{PUBLISHED, StartModel};

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How many nodes, all alike.
    pub nodes: u32,
    /// Cores of each.
    pub cores: u32,
    /// Memory of each, for instances.
    pub memory: Bytes,
    /// Cores that a request uses while it is served. When all requests on a node
    /// together use more than there are, all slow down alike.
    pub cpu_per_request: f64,
    /// Processor share that an instance reserves of its node.
    pub cpu_reserved: CpuMillis,
    /// Functions whose image or snapshot a node holds; the one used longest ago goes.
    pub images_max: u32,
    /// Starts that a node makes at a time; the others wait there and can be dropped.
    pub starts_at_once: u32,
    /// How long instances take to start.
    pub start: StartModel,
    /// How long one takes to stop.
    pub stop: Duration,
    /// Which start planner decides.
    pub planner: StartMode,
    /// How long idle instances stay.
    pub keep_alive: KeepAlive,
    /// Requests of a function that may wait.
    pub queue_size: u32,
    /// How long one may wait.
    pub queue_wait: Duration,
    /// Slots of an instance.
    pub concurrency: u32,
    /// Instances of a function at the most.
    pub instances_max: u32,
    /// The share of starts that fail.
    pub start_failures: f64,
    /// How often each node fails, on average; never when zero. It is back after a minute.
    pub node_failures: Duration,
    /// What arrives before this is served but not counted.
    pub warm_up: Duration,
    /// What is random follows from it.
    pub seed: u64,
}

/// The most nodes.
pub const NODES_MAX: u32 = 1_000_000;

impl Default for Config {
    fn default() -> Self {
        let start = PUBLISHED.iter().find(|published| published.name == "contended");
        Config {
            nodes: 20,
            cores: 16,
            memory: Bytes(64 << 30),
            cpu_per_request: 0.2,
            cpu_reserved: CpuMillis(20),
            images_max: 1000,
            starts_at_once: 32,
            start: start.map_or_else(|| StartModel::fixed(Duration::ZERO), |start| start.model()),
            stop: Duration::from_millis(10),
            planner: StartMode::Planned,
            keep_alive: KeepAlive::For(Duration::from_secs(60)),
            queue_size: 10_000,
            queue_wait: Duration::from_secs(60),
            concurrency: 1,
            instances_max: 100_000,
            start_failures: 0.0,
            node_failures: Duration::ZERO,
            warm_up: Duration::ZERO,
            seed: 0,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        let wrong = |parameter, found: String, allowed: &str| {
            Err(ParameterError { parameter, found, allowed: allowed.to_owned() })
        };
        let is_time = |ms: f64| (0.0..=3_600_000.0).contains(&ms);
        if !(1..=NODES_MAX).contains(&self.nodes) {
            return wrong("nodes", self.nodes.to_string(), "1 to 1000000");
        }
        if !(1..=100_000).contains(&self.cores) {
            return wrong("cores", self.cores.to_string(), "1 to 100000");
        }
        if self.memory.0 == 0 {
            return wrong("memory", "0".to_owned(), "above zero");
        }
        if !(0.0..=1000.0).contains(&self.cpu_per_request) {
            return wrong("cpu-per-request", self.cpu_per_request.to_string(), "0 to 1000 cores");
        }
        if self.concurrency == 0 {
            return wrong("concurrency", "0".to_owned(), "at least 1");
        }
        if self.instances_max == 0 {
            return wrong("instances-max", "0".to_owned(), "at least 1");
        }
        if self.starts_at_once == 0 {
            return wrong("starts-at-once", "0".to_owned(), "at least 1");
        }
        if !(0.0..=1.0).contains(&self.start_failures) {
            return wrong("start-failures", self.start_failures.to_string(), "a share, 0 to 1");
        }
        let start = &self.start;
        let times = [start.first_ms, start.again_ms, start.control_ms];
        if !times.into_iter().all(is_time) || !(0.0..=3.0).contains(&start.sigma) {
            return wrong(
                "start-model",
                format!("{start:?}"),
                "times of 0 to 3600000 ms, sigma 0 to 3",
            );
        }
        Ok(())
    }
}

/// What a run was, to be printed with its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The start planner.
    pub planner: &'static str,
    /// The start model.
    pub start: String,
    /// How idle instances are kept.
    pub keep_alive: String,
    /// Nodes.
    pub nodes: u32,
    /// The seed.
    pub seed: u64,
}

impl Setting {
    pub(crate) fn of(config: &Config) -> Self {
        let owns = matches!(
            config.planner,
            StartMode::Window | StartMode::Dirigent | StartMode::Emergency
        );
        let keep_alive = match config.keep_alive {
            _ if owns => "its own".to_owned(),
            KeepAlive::For(span) => format!("{}s", span.as_secs_f64()),
            KeepAlive::Learned { worth } => format!("learned, worth {}s", worth.as_secs_f64()),
        };
        Setting {
            planner: config.planner.as_str(),
            start: config.start.name.clone(),
            keep_alive,
            nodes: config.nodes,
            seed: config.seed,
        }
    }
}
