//! Control between a gateway and nodes that only remember what they are told,
//! and a small HTTP client for its API.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use gapless_api::{FunctionLogs, LogLine};
use gapless_control::{Control, ControlConfig, ControlParts, NodeSpec};
use gapless_proto::{
    Body, ControlLink as _, Demand, Endpoint, FunctionRoute, GatewayLink, InstanceFact, LocalCall,
    LocalService, NodeFact, NodeLink, NodeListener as _, ProbeFailure, Request, RouteReadiness,
    RouteTarget, StartFailure, StartInstance, StartKind, StartReport, StartsBlocked,
};
use gapless_rt::{Clock, Shutdown};
use gapless_secret::Sealer;
use gapless_store::Store;
use gapless_store_embedded::{ArtifactStore, EmbeddedStore};
use gapless_telemetry::Metrics;
use gapless_types::{
    Bytes, CpuMillis, Fault, FunctionKey, InstanceId, NodeId, Outcomes, Percent, Revision,
    RevisionName,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// The longest a test waits for what is due.
const DUE: Duration = Duration::from_secs(30);

pub(crate) fn failure(message: &str) -> StartFailure {
    StartFailure { fault: Fault::Function, kind: "ExitedEarly", message: message.to_owned() }
}

/// A gateway that says in short text what it was told.
pub(crate) struct FakeGateway(mpsc::UnboundedSender<String>);

impl FakeGateway {
    fn told(&self, text: String) {
        self.0.send(text).unwrap_or_default();
    }
}

impl GatewayLink for FakeGateway {
    fn set_route(&self, route: FunctionRoute) {
        let target = |target: &RouteTarget| {
            let readiness = match &target.readiness {
                RouteReadiness::Ready => "ready".to_owned(),
                RouteReadiness::Preparing => "preparing".to_owned(),
                RouteReadiness::Failed(why) => format!("failed: {why}"),
            };
            let share = match target.weight {
                Percent::WHOLE => String::new(),
                weight => format!("{weight} "),
            };
            format!("{} {share}{readiness}", target.revision.name)
        };
        let targets: Vec<String> = route.targets.iter().map(target).collect();
        self.told(format!("route {}", targets.join(" + ")));
    }

    fn remove_route(&self, function: &FunctionKey) {
        self.told(format!("no route {function}"));
    }

    fn instance(&self, _: &RevisionName, instance: InstanceId, fact: InstanceFact) {
        let fact = match fact {
            InstanceFact::Starting => "starting".to_owned(),
            InstanceFact::Ready(lease) => format!("ready {} slots", lease.slots),
            InstanceFact::Retiring => "retiring".to_owned(),
            InstanceFact::Gone(None) => "gone".to_owned(),
            InstanceFact::Gone(Some(why)) => format!("gone: {why}"),
        };
        self.told(format!("{} {fact}", instance.0));
    }

    fn starts_blocked(&self, _: &RevisionName, blocked: Option<StartsBlocked>) {
        match blocked {
            Some(blocked) => self.told(format!("blocked {}: {}", blocked.reason, blocked.message)),
            None => self.told("not blocked".to_owned()),
        }
    }

    fn reclaim(&self, instances: u32) {
        self.told(format!("reclaim {instances}"));
    }

    fn outcomes(&self, _: &RevisionName) -> Outcomes {
        Outcomes::default()
    }

    fn probe(&self, _: &RevisionName) -> BoxFuture<'static, Result<(), ProbeFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A node that does as the test says.
pub(crate) struct FakeNode {
    id: NodeId,
    told: mpsc::UnboundedSender<String>,
    revisions: Mutex<HashMap<InstanceId, RevisionName>>,
    /// What preparing comes to, by revision; ready otherwise.
    pub(crate) refusals: Mutex<HashMap<String, StartFailure>>,
    /// Preparing waits for a permit.
    pub(crate) prepares: Arc<Semaphore>,
}

impl NodeLink for FakeNode {
    fn id(&self) -> &NodeId {
        &self.id
    }

    fn prepare(&self, revision: Arc<Revision>) -> BoxFuture<'static, Result<(), StartFailure>> {
        let refusal = self.refusals.lock().get(revision.name.short()).cloned();
        let prepares = Arc::clone(&self.prepares);
        async move {
            prepares.acquire().await.expect("never closed").forget();
            refusal.map_or(Ok(()), Err)
        }
        .boxed()
    }

    fn start(&self, start: StartInstance) {
        self.revisions.lock().insert(start.instance, start.revision.name.clone());
        let (id, instance) = (&self.id, start.instance.0);
        self.told.send(format!("{id}: start {instance}")).unwrap_or_default();
    }

    fn stop(&self, instance: InstanceId, _: Duration) {
        self.told.send(format!("{}: stop {}", self.id, instance.0)).unwrap_or_default();
    }

    fn forget(&self, revision: &RevisionName) {
        self.told.send(format!("{}: forget {}", self.id, revision.short())).unwrap_or_default();
    }
}

struct Nobody;

impl LocalService for Nobody {
    fn call(&self, _: Request) -> LocalCall {
        std::future::ready(Ok(http::Response::new(Body::Empty))).boxed()
    }
}

/// Logs of two lines for everybody.
struct FakeLogs;

fn log_line(n: u32) -> LogLine {
    LogLine {
        time: "2026-01-01T00:00:00.000000Z".to_owned(),
        instance: "i000001".to_owned(),
        stream: "stdout".to_owned(),
        line: format!("line {n}"),
    }
}

impl FunctionLogs for FakeLogs {
    fn tail(&self, _: &FunctionKey, lines: usize) -> Vec<LogLine> {
        [log_line(1), log_line(2)].into_iter().rev().take(lines).rev().collect()
    }

    fn follow(&self, function: &FunctionKey, lines: usize) -> BoxStream<'static, LogLine> {
        let live = stream::once(async { log_line(3) }).chain(stream::pending());
        stream::iter(self.tail(function, lines)).chain(live).boxed()
    }

    fn forget(&self, _: &FunctionKey) {}
}

pub(crate) struct Bench {
    pub(crate) control: Arc<Control>,
    pub(crate) nodes: Vec<Arc<FakeNode>>,
    pub(crate) api: SocketAddr,
    pub(crate) artifacts: Arc<ArtifactStore>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Shutdown,
    told: mpsc::UnboundedReceiver<String>,
    tell: mpsc::UnboundedSender<String>,
    _gateway: Arc<dyn GatewayLink>,
}

/// A platform on this folder with one node.
pub(crate) async fn open(folder: &Path) -> Bench {
    let mut bench = open_without_nodes(folder).await;
    bench.add_node("a", 64 << 30);
    bench.control.begin();
    bench
}

pub(crate) async fn open_without_nodes(folder: &Path) -> Bench {
    let (tell, told) = mpsc::unbounded_channel();
    let gateway: Arc<dyn GatewayLink> = Arc::new(FakeGateway(tell.clone()));
    let store: Arc<dyn Store> = EmbeddedStore::open(folder).unwrap();
    let artifacts = ArtifactStore::open(folder, 1 << 20).unwrap();
    let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap();
    let config = ControlConfig {
        gateway: "127.0.0.1:8080".parse().unwrap(),
        api,
        data_dir: folder.to_owned(),
        version: "0.0.0",
        decisions_kept: 0,
        balances: true,
    };
    let parts = ControlParts {
        store: Arc::clone(&store),
        sealer: Arc::new(Sealer::ephemeral()),
        keys: None,
        artifacts: Arc::clone(&artifacts),
        logs: Arc::new(FakeLogs),
        gateway: Arc::downgrade(&gateway),
        clock: Clock::start(),
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
    };
    let control = Control::new(config, parts).unwrap();
    let served = Arc::clone(&control);
    tokio::spawn(async move { served.serve_api(listener).await });
    let nodes = Vec::new();
    Bench {
        control,
        nodes,
        api,
        artifacts,
        store,
        metrics,
        shutdown,
        told,
        tell,
        _gateway: gateway,
    }
}

impl Bench {
    pub(crate) fn add_node(&mut self, id: &str, memory: u64) {
        // Nodes and gateway say what they are told to the same ear, so that order shows.
        let node = Arc::new(FakeNode {
            id: NodeId::new(id),
            told: self.tell.clone(),
            revisions: Mutex::default(),
            refusals: Mutex::default(),
            prepares: Arc::new(Semaphore::new(1_000)),
        });
        self.nodes.push(Arc::clone(&node));
        let mut spec = NodeSpec::new(NodeId::new(id), CpuMillis(64_000), Bytes(memory));
        spec.sandboxes = ["wasm", "linux", "fake"].map(Into::into).to_vec();
        self.control.add_node(node, spec).unwrap();
    }

    /// Ends the platform, so that its folder can be opened again.
    pub(crate) async fn close(self) {
        let Bench { control, shutdown, store, .. } = self;
        drop(store);
        assert!(shutdown.finish(DUE).await);
        let weak = Arc::downgrade(&control);
        drop(control);
        let gone = async {
            while weak.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DUE, gone).await.expect("nothing keeps control alive");
    }

    /// The next thing that gateway or node is told.
    pub(crate) async fn next(&mut self) -> String {
        let next = tokio::time::timeout(DUE, self.told.recv()).await;
        next.expect("something is due").expect("the gateway lives")
    }

    /// What was told and not read yet.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// What comes next is exactly this.
    pub(crate) async fn expect(&mut self, told: &[&str]) {
        for expected in told {
            assert_eq!(self.next().await, *expected);
        }
        if let Ok(more) = self.told.try_recv() {
            panic!("also told: {more}");
        }
    }

    /// What comes next begins like this.
    pub(crate) async fn expect_start(&mut self, start: &str) -> String {
        let told = self.next().await;
        assert!(told.starts_with(start), "{told:?} does not begin with {start:?}");
        told
    }

    pub(crate) fn demand(&self, revision: &RevisionName, seq: u64, instances: u32) {
        self.control.demand(revision, Demand { seq, instances });
    }

    fn fact(&self, instance: u64, fact: NodeFact) {
        let instance = InstanceId(instance);
        let of = |node: &&Arc<FakeNode>| node.revisions.lock().get(&instance).cloned();
        let node = self.nodes.iter().find(|node| of(node).is_some()).expect("started");
        let revision = of(&node).expect("started");
        self.control.fact(&node.id, &revision, instance, fact);
    }

    pub(crate) fn starting(&self, instance: u64) {
        self.fact(instance, NodeFact::Starting);
    }

    pub(crate) fn ready(&self, instance: u64) {
        let report = Arc::new(StartReport::new(StartKind::Cold));
        let endpoint = Endpoint::Local(Arc::new(Nobody));
        self.fact(instance, NodeFact::Ready { endpoint, report });
    }

    pub(crate) fn gone(&self, instance: u64, why: Option<&str>) {
        self.fact(instance, NodeFact::Gone(why.map(|why| Arc::new(failure(why)))));
    }

    /// Declares `spec` as default/NAME and returns the object.
    pub(crate) async fn put(&self, name: &str, spec: Value) -> Answer {
        let path = format!("/apis/gapless.dev/v1/namespaces/default/functions/{name}");
        self.call("PUT", &path, Some(function(name, spec).to_string().as_bytes())).await
    }

    /// The condition Ready of default/NAME: status, reason, message.
    pub(crate) async fn condition(&self, name: &str) -> (String, String, String) {
        let path = format!("/apis/gapless.dev/v1/namespaces/default/functions/{name}");
        let answer = self.call("GET", &path, None).await;
        let condition = &answer.json()["status"]["conditions"][0];
        let text = |field: &str| condition[field].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
        let host = self.api.to_string();
        self.call_as(method, path, &host, body.unwrap_or_default()).await
    }

    pub(crate) async fn call_as(
        &self,
        method: &str,
        path: &str,
        host: &str,
        body: &[u8],
    ) -> Answer {
        let mut stream = self.send(method, path, host, body.len(), body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    /// Sends a request whose answer is read by the caller.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        host: &str,
        length: usize,
        body: &[u8],
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.api).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }

    pub(crate) async fn upload(&self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let path = format!("/apis/gapless.dev/v1/artifacts/{digest}");
        assert_eq!(self.call("PUT", &path, Some(bytes)).await.code, 201);
        digest
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", sha2::Sha256::digest(bytes))
}

pub(crate) fn function(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "gapless.dev/v1", "kind": "Function",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A function that needs no code.
pub(crate) fn fake() -> Value {
    json!({"fake": {"start": "5ms", "service": "20ms"}})
}

pub(crate) fn revision(name: &str, generation: u64) -> RevisionName {
    RevisionName::new(&FunctionKey::new("default", name).unwrap(), generation)
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let is_chunked = head.contains("transfer-encoding: chunked");
        let body = if is_chunked { unchunk(body) } else { body.to_owned() };
        Answer { code, head: head.to_owned(), body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// It is a `Status` of this code; returns its message.
    pub(crate) fn status(&self, code: u16) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let status = self.json();
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)));
        status["message"].as_str().unwrap().to_owned()
    }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    body
}
