//! The metrics of gateway, node and control, in one registry.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use gapless_types::{FunctionKey, Reason};
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{BalanceMetrics, Histogram, StoreMetrics, names};

/// Functions that get labels of their own; those called later share
/// `namespace="other"`, so that a scrape stays bounded.
const FUNCTIONS_LABELLED_MAX: usize = 1_000;

/// Whether a request waited for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Start {
    /// It was served by a live instance.
    #[allow(non_camel_case_types, reason = "the label's value")]
    warm,
    /// It waited for an instance to start.
    #[allow(non_camel_case_types, reason = "the label's value")]
    cold,
}

/// The class of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusClass(u16);

impl StatusClass {
    /// The class of `status`.
    pub fn of(status: u16) -> Self {
        StatusClass((status / 100).clamp(1, 5))
    }

    fn label(self) -> &'static str {
        ["1xx", "2xx", "3xx", "4xx", "5xx"][usize::from(self.0) - 1]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    namespace: String,
    function: String,
    status: &'static str,
    start: Start,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabels {
    start: Start,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
    sandbox: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    sandbox: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SandboxLabels {
    sandbox: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlacementLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    method: String,
    status: String,
}

/// Every metric of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The gateway's.
    pub gateway: GatewayMetrics,
    /// The node's.
    pub node: NodeMetrics,
    /// Control's.
    pub control: ControlMetrics,
    /// The balancer's.
    pub balance: BalanceMetrics,
    /// The store's.
    pub store: StoreMetrics,
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let gateway = GatewayMetrics::register(&mut registry);
        let node = NodeMetrics::register(&mut registry);
        let control = ControlMetrics::register(&mut registry);
        let balance = BalanceMetrics::register(&mut registry);
        let store = StoreMetrics::register(&mut registry);
        Arc::new(Metrics { registry, gateway, node, control, balance, store })
    }

    /// The text exposition (OpenMetrics 1.0).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// The gateway's metrics.
#[derive(Debug)]
pub struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    warm_seconds: Histogram,
    cold_seconds: Histogram,
    /// Time in the queue of requests that waited.
    pub queue_wait_seconds: Histogram,
    /// Requests in the gateway now.
    pub in_flight: Gauge<i64, AtomicI64>,
    /// Requests waiting for a slot now.
    pub queued: Gauge<i64, AtomicI64>,
    /// Client connections open now.
    pub connections: Gauge<i64, AtomicI64>,
    refusals: Vec<Counter>,
    /// Functions with labels of their own.
    labelled: Mutex<HashSet<FunctionKey>>,
}

impl GatewayMetrics {
    fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let seconds = Family::<StartLabels, Histogram>::default();
        let refusals = Family::<ReasonLabels, Counter>::default();
        let metrics = GatewayMetrics {
            requests,
            warm_seconds: seconds.get_or_create_owned(&StartLabels { start: Start::warm }),
            cold_seconds: seconds.get_or_create_owned(&StartLabels { start: Start::cold }),
            queue_wait_seconds: Histogram::default(),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            connections: Gauge::default(),
            refusals: Reason::ALL
                .iter()
                .map(|reason| {
                    refusals.get_or_create_owned(&ReasonLabels { reason: reason.as_str() })
                })
                .collect(),
            labelled: Mutex::default(),
        };
        registry.register(
            names::GATEWAY_REQUESTS,
            "Requests by function, status class and start",
            metrics.requests.clone(),
        );
        registry.register(
            names::GATEWAY_REQUEST_SECONDS,
            "Head of a request to last byte of its answer",
            seconds.clone(),
        );
        registry.register(
            names::GATEWAY_QUEUE_WAIT_SECONDS,
            "Time in the queue, of those that waited",
            metrics.queue_wait_seconds.clone(),
        );
        registry.register(
            names::GATEWAY_IN_FLIGHT,
            "Requests in the gateway",
            metrics.in_flight.clone(),
        );
        registry.register(
            names::GATEWAY_QUEUED,
            "Requests waiting for a slot",
            metrics.queued.clone(),
        );
        registry.register(
            names::GATEWAY_CONNECTIONS,
            "Client connections open",
            metrics.connections.clone(),
        );
        registry.register(
            names::GATEWAY_REFUSALS,
            "Requests refused or failed, by reason",
            refusals.clone(),
        );
        metrics
    }

    /// A request was refused or failed.
    pub fn refused(&self, reason: Reason) {
        let index = Reason::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = index.and_then(|index| self.refusals.get(index)) {
            counter.inc();
        }
    }

    /// Whether a function has labels of its own. Once it has, it keeps them.
    fn has_labels(&self, key: &FunctionKey) -> bool {
        let mut labelled = self.labelled.lock();
        if labelled.len() < FUNCTIONS_LABELLED_MAX && !labelled.contains(key) {
            labelled.insert(key.clone());
        }
        labelled.contains(key)
    }

    /// The handles of one function, to be kept beside it.
    pub fn function(&self, key: &FunctionKey) -> FunctionMetrics {
        let is_labelled = self.has_labels(key);
        let (namespace, function) =
            if is_labelled { (key.namespace(), key.name()) } else { ("other", "other") };
        let counter = |status: u16, start: Start| {
            let status = StatusClass::of(status).label();
            let (namespace, function) = (namespace.to_owned(), function.to_owned());
            self.requests.get_or_create_owned(&RequestLabels { namespace, function, status, start })
        };
        let of = |start| [200, 300, 400, 500].map(|status| counter(status, start));
        FunctionMetrics {
            counts: [of(Start::warm), of(Start::cold)],
            seconds: [self.warm_seconds.clone(), self.cold_seconds.clone()],
        }
    }
}

/// The handles of one function's metrics.
#[derive(Debug)]
pub struct FunctionMetrics {
    counts: [[Counter; 4]; 2],
    seconds: [Histogram; 2],
}

impl FunctionMetrics {
    /// A request ended.
    pub fn ended(&self, status: u16, start: Start, took: Duration) {
        let class = usize::from(StatusClass::of(status).0.clamp(2, 5)) - 2;
        self.counts[start as usize][class].inc();
        self.seconds[start as usize].observe(took);
    }
}

/// The node's metrics.
#[derive(Debug)]
pub struct NodeMetrics {
    start_seconds: Family<PhaseLabels, Histogram>,
    starts: Family<OutcomeLabels, Counter>,
    instances: Family<SandboxLabels, Gauge<i64, AtomicI64>>,
    /// Log lines dropped because the writer could not keep up.
    pub log_lines_dropped: Counter,
}

impl NodeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = NodeMetrics {
            start_seconds: Family::default(),
            starts: Family::default(),
            instances: Family::default(),
            log_lines_dropped: Counter::default(),
        };
        let phases = metrics.start_seconds.clone();
        registry.register(names::NODE_START_SECONDS, "Phases of starts", phases);
        registry.register(names::NODE_STARTS, "Starts by outcome", metrics.starts.clone());
        registry.register(names::NODE_INSTANCES, "Instances alive", metrics.instances.clone());
        let dropped = metrics.log_lines_dropped.clone();
        registry.register(names::NODE_LOG_LINES_DROPPED, "Log lines dropped", dropped);
        metrics
    }

    /// One phase of a start took this long.
    pub fn start_phase(&self, sandbox: &'static str, phase: &'static str, took: Duration) {
        let labels = PhaseLabels { phase, sandbox };
        self.start_seconds.get_or_create(&labels).observe(took);
    }

    /// A start ended, as `ready`, `failed` or `dropped`.
    pub fn start_ended(&self, sandbox: &'static str, outcome: &'static str) {
        self.starts.get_or_create(&OutcomeLabels { sandbox, outcome }).inc();
    }

    /// Instances came (positive) or went (negative).
    pub fn instances_changed(&self, sandbox: &'static str, by: i64) {
        self.instances.get_or_create(&SandboxLabels { sandbox }).inc_by(by);
    }
}

/// Control's metrics.
#[derive(Debug)]
pub struct ControlMetrics {
    /// Functions declared.
    pub functions: Gauge<i64, AtomicI64>,
    /// Demand messages from gateways.
    pub demands: Counter,
    placements: Family<PlacementLabels, Counter>,
    api_requests: Family<ApiLabels, Counter>,
}

impl ControlMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = ControlMetrics {
            functions: Gauge::default(),
            demands: Counter::default(),
            placements: Family::default(),
            api_requests: Family::default(),
        };
        registry.register(
            names::CONTROL_FUNCTIONS,
            "Functions declared",
            metrics.functions.clone(),
        );
        registry.register(names::CONTROL_DEMANDS, "Demand messages", metrics.demands.clone());
        let placements = metrics.placements.clone();
        registry.register(names::CONTROL_PLACEMENTS, "Placements by outcome", placements);
        let requests = metrics.api_requests.clone();
        registry.register(names::CONTROL_API_REQUESTS, "API requests", requests);
        metrics
    }

    /// A placement ended, as `placed` or `no-capacity`.
    pub fn placed(&self, outcome: &'static str) {
        self.placements.get_or_create(&PlacementLabels { outcome }).inc();
    }

    /// The API answered a request.
    pub fn api_request(&self, method: &str, status: u16) {
        let labels = ApiLabels { method: method.to_owned(), status: status.to_string() };
        self.api_requests.get_or_create(&labels).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_exposed_under_its_name() {
        let metrics = Metrics::new();
        let key = FunctionKey::new("default", "hello").unwrap();
        let function = metrics.gateway.function(&key);
        function.ended(200, Start::cold, Duration::from_millis(3));
        metrics.gateway.refused(Reason::QueueFull);
        metrics.node.start_phase("wasm", "boot", Duration::from_micros(40));
        let text = metrics.encode();
        let requests = "gapless_gateway_requests_total{namespace=\"default\",function=\"hello\",status=\"2xx\",start=\"cold\"} 1";
        assert!(text.contains(requests), "{text}");
        assert!(text.contains("gapless_gateway_refusals_total{reason=\"queue-full\"} 1"), "{text}");
        assert!(text.contains("gapless_gateway_request_seconds_count{start=\"cold\"} 1"), "{text}");
        assert!(
            text.contains(
                "gapless_node_start_seconds_sum{phase=\"boot\",sandbox=\"wasm\"} 0.00004"
            ),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn functions_past_the_bound_share_a_label() {
        let metrics = Metrics::new();
        for index in 0..=FUNCTIONS_LABELLED_MAX {
            let key = FunctionKey::new("default", &format!("f{index}")).unwrap();
            metrics.gateway.function(&key).ended(200, Start::warm, Duration::ZERO);
        }
        let text = metrics.encode();
        assert!(text.contains("function=\"f999\""));
        assert!(!text.contains("function=\"f1000\""));
        assert!(text.contains("function=\"other\",status=\"2xx\",start=\"warm\"} 1"));
        let again = FunctionKey::new("default", "f0").unwrap();
        metrics.gateway.function(&again).ended(200, Start::warm, Duration::ZERO);
        let text = metrics.encode();
        assert!(text.contains("function=\"f0\",status=\"2xx\",start=\"warm\"} 2"), "a redeploy");
    }
}
