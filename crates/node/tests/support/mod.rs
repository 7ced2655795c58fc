//! A driver whose every step the test decides, and a listener that remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use gapless_node::{LogStore, Node, NodeConfig};
use gapless_proto::{
    Body, Endpoint, LocalCall, LocalService, NodeFact, NodeLink as _, NodeListener, Request,
    StartFailure, StartInstance, StartKind, StartReport,
};
use gapless_rt::Clock;
use gapless_sandbox::{Driver, PrepareTask, Sandbox, StartTask, Started};
use gapless_telemetry::Metrics;
use gapless_types::{
    Code, Fault, FunctionKey, FunctionSpec, InstanceId, NodeId, Revision, RevisionName,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub(crate) fn failure(kind: &'static str) -> StartFailure {
    StartFailure { fault: Fault::Function, kind, message: format!("it is {kind}") }
}

/// What a start in the driver waits for.
pub(crate) type Verdict = Result<(), StartFailure>;

/// Starts resolve when the test says so.
#[derive(Debug, Default)]
pub(crate) struct Manual {
    pub(crate) at_once: usize,
    /// Starts under way, by instance; removed when their future is dropped.
    pub(crate) starting: Arc<Mutex<HashMap<InstanceId, oneshot::Sender<Verdict>>>>,
    /// Order in which starts began.
    pub(crate) begun: Mutex<Vec<InstanceId>>,
    pub(crate) starting_most: AtomicUsize,
    /// Kills running sandboxes.
    pub(crate) running: Arc<Mutex<HashMap<InstanceId, oneshot::Sender<StartFailure>>>>,
    pub(crate) stops_hang: bool,
    pub(crate) panics: bool,
}

impl Manual {
    pub(crate) fn finish(&self, instance: u64, verdict: Verdict) {
        let start = self.starting.lock().remove(&InstanceId(instance)).expect("it is starting");
        start.send(verdict).expect("the start is awaited");
    }

    pub(crate) fn kill(&self, instance: u64) {
        let running = self.running.lock().remove(&InstanceId(instance)).expect("it is running");
        running.send(failure("Killed")).expect("its death is awaited");
    }

    pub(crate) fn begun(&self) -> Vec<u64> {
        self.begun.lock().iter().map(|instance| instance.0).collect()
    }
}

/// Removes an entry when dropped: the proof that nothing is left.
struct Present<T>(InstanceId, Arc<Mutex<HashMap<InstanceId, T>>>);

impl<T> Drop for Present<T> {
    fn drop(&mut self) {
        self.1.lock().remove(&self.0);
    }
}

impl Driver for Manual {
    fn kind(&self) -> &'static str {
        "manual"
    }

    fn runs(&self, code: &Code<'_>) -> bool {
        matches!(code, Code::Command(_))
    }

    fn prepare(&self, _: PrepareTask) -> BoxFuture<'static, Result<(), StartFailure>> {
        std::future::ready(Ok(())).boxed()
    }

    fn start(&self, task: StartTask) -> BoxFuture<'static, Result<Started, StartFailure>> {
        assert!(!self.panics, "told to panic");
        let instance = task.instance;
        let (tell, verdict) = oneshot::channel();
        self.begun.lock().push(instance);
        let mut starting = self.starting.lock();
        starting.insert(instance, tell);
        self.starting_most.fetch_max(starting.len(), Ordering::SeqCst);
        drop(starting);
        let present = Present(instance, Arc::clone(&self.starting));
        let running = Arc::clone(&self.running);
        let stops_hang = self.stops_hang;
        async move {
            let verdict = verdict.await;
            drop(present);
            verdict.unwrap_or_else(|_| Err(failure("Forgotten")))?;
            let (tell, death) = oneshot::channel();
            running.lock().insert(instance, tell);
            let present = Present(instance, running);
            let sandbox = Running { _present: present, death: Mutex::new(Some(death)), stops_hang };
            Ok(Started { sandbox: Box::new(sandbox), report: StartReport::new(StartKind::Cold) })
        }
        .boxed()
    }

    fn starts_at_once(&self, _cores: usize) -> usize {
        self.at_once
    }

    fn forget(&self, _: &RevisionName) {}
}

struct Running {
    _present: Present<oneshot::Sender<StartFailure>>,
    death: Mutex<Option<oneshot::Receiver<StartFailure>>>,
    stops_hang: bool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("running")
    }
}

impl Sandbox for Running {
    fn endpoint(&self) -> Endpoint {
        Endpoint::Local(Arc::new(Nobody))
    }

    fn died(&self) -> BoxFuture<'static, StartFailure> {
        let death = self.death.lock().take().expect("watched once");
        async move {
            match death.await {
                Ok(failure) => failure,
                Err(_) => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn stop(self: Box<Self>, _grace: Duration) -> BoxFuture<'static, ()> {
        async move {
            let this = self;
            if this.stops_hang {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

struct Nobody;

impl LocalService for Nobody {
    fn call(&self, _: Request) -> LocalCall {
        std::future::ready(Ok(http::Response::new(Body::Empty))).boxed()
    }
}

/// Facts as short text, in order.
pub(crate) struct Facts(mpsc::UnboundedSender<String>);

impl NodeListener for Facts {
    fn fact(&self, _: &NodeId, _: &RevisionName, instance: InstanceId, fact: NodeFact) {
        let text = match fact {
            NodeFact::Starting => "starting".to_owned(),
            NodeFact::Ready { .. } => "ready".to_owned(),
            NodeFact::Gone(None) => "gone".to_owned(),
            NodeFact::Gone(Some(why)) => format!("gone {}", why.kind),
        };
        self.0.send(format!("{} {text}", instance.0)).unwrap_or_default();
    }
}

pub(crate) struct Bench {
    pub(crate) node: Arc<Node>,
    pub(crate) driver: Arc<Manual>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) facts: mpsc::UnboundedReceiver<String>,
    pub(crate) revision: Arc<Revision>,
    pub(crate) metrics: Arc<Metrics>,
    clock: Clock,
    _listener: Arc<dyn NodeListener>,
}

pub(crate) fn revision(spec: serde_json::Value) -> Arc<Revision> {
    let spec: FunctionSpec = serde_json::from_value(spec).unwrap();
    let function = FunctionKey::new("default", "hello").unwrap();
    Arc::new(Revision { name: RevisionName::new(&function, 1), function, spec: spec.into() })
}

pub(crate) fn bench(driver: Manual) -> Bench {
    let clock = Clock::start();
    let driver = Arc::new(driver);
    let (logs, metrics) = (LogStore::in_memory(), Metrics::new());
    let drivers: Arc<[Arc<dyn Driver>]> = Arc::from([Arc::clone(&driver) as Arc<dyn Driver>]);
    let config = NodeConfig { id: NodeId::new("local"), cores: 2 };
    let node = Node::new(
        config,
        drivers,
        Arc::new(|_: &str| None),
        Arc::clone(&logs),
        clock,
        Arc::clone(&metrics),
    );
    let (tell, facts) = mpsc::unbounded_channel();
    let listener: Arc<dyn NodeListener> = Arc::new(Facts(tell));
    node.connect(&listener);
    let revision = revision(serde_json::json!({"command": ["server"]}));
    Bench { node, driver, logs, facts, revision, metrics, clock, _listener: listener }
}

impl Bench {
    pub(crate) fn start(&self, instance: u64) {
        let revision = Arc::clone(&self.revision);
        let asked_at = self.clock.now();
        let (instance, config) = (InstanceId(instance), Arc::default());
        self.node.start(StartInstance { instance, revision, asked_at, config });
    }

    pub(crate) fn stop(&self, instance: u64) {
        self.node.stop(InstanceId(instance), Duration::from_secs(5));
    }

    /// The next fact.
    pub(crate) async fn fact(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(30), self.facts.recv());
        next.await.expect("a fact is due").expect("the listener lives")
    }

    /// Waits until the driver was asked to start this many.
    pub(crate) async fn until_begun(&self, count: usize) {
        while self.driver.begun.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// The next facts are these, and no other waits.
    pub(crate) async fn expect(&mut self, facts: &[&str]) {
        for fact in facts {
            assert_eq!(self.fact().await, *fact);
        }
        assert!(self.facts.try_recv().is_err(), "nothing else was told");
    }
}
