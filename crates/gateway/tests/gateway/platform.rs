//! A gateway on a real socket, with a control that only listens and instances
//! that are closures or servers in the test.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gapless_gateway::{Gateway, GatewayConfig};
use gapless_proto::{
    Body, CallError, ControlLink, Demand, Endpoint, FunctionRoute, GatewayLink, InstanceFact,
    Lease, LocalCall, LocalService, Request, Response, RouteReadiness, Served, StartKind,
    StartPhase, StartReport,
};
use gapless_rt::{Clock, Shutdown};
use gapless_telemetry::Metrics;
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Revision, RevisionName};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// What the gateway told control.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Demand(u32),
    Idle(InstanceId),
    Released(InstanceId),
    Served(InstanceId, Served),
    Broken(InstanceId),
}

struct Listening(mpsc::UnboundedSender<(RevisionName, Told)>);

impl Listening {
    fn hear(&self, revision: &RevisionName, told: Told) {
        let _ = self.0.send((revision.clone(), told));
    }
}

impl ControlLink for Listening {
    fn demand(&self, revision: &RevisionName, demand: Demand) {
        self.hear(revision, Told::Demand(demand.instances));
    }
    fn idle(&self, revision: &RevisionName, instance: InstanceId) {
        self.hear(revision, Told::Idle(instance));
    }
    fn released(&self, revision: &RevisionName, instance: InstanceId) {
        self.hear(revision, Told::Released(instance));
    }
    fn served(&self, revision: &RevisionName, instance: InstanceId, served: Served) {
        self.hear(revision, Told::Served(instance, served));
    }
    fn broken(&self, revision: &RevisionName, instance: InstanceId, _why: &str) {
        self.hear(revision, Told::Broken(instance));
    }
}

/// A gateway under test.
pub(crate) struct Platform {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Shutdown,
    pub(crate) clock: Clock,
    told: Mutex<mpsc::UnboundedReceiver<(RevisionName, Told)>>,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::start_with(GatewayConfig::default()).await
    }

    pub(crate) async fn start_with(config: GatewayConfig) -> Self {
        let (metrics, shutdown, clock) = (Metrics::new(), Shutdown::new(), Clock::start());
        let gateway = Gateway::new(config, clock, metrics.clone(), shutdown.clone());
        let (tell, told) = mpsc::unbounded_channel();
        gateway.connect(Arc::new(Listening(tell)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        gapless_rt::spawn(gateway.clone().serve(listener));
        Platform { gateway, address, metrics, shutdown, clock, told: Mutex::new(told) }
    }

    /// Declares `default/hello`, generation 1.
    pub(crate) fn deploy(&self, change: impl FnOnce(&mut FunctionSpec)) -> RevisionName {
        self.deploy_as("hello", 1, RouteReadiness::Ready, change)
    }

    pub(crate) fn deploy_as(
        &self,
        name: &str,
        generation: u64,
        readiness: RouteReadiness,
        change: impl FnOnce(&mut FunctionSpec),
    ) -> RevisionName {
        let function = FunctionKey::new("default", name).unwrap();
        let mut spec = FunctionSpec::with_defaults();
        change(&mut spec);
        let revision_name = RevisionName::new(&function, generation);
        let revision =
            Arc::new(Revision { name: revision_name.clone(), function, spec: spec.into() });
        self.gateway.set_route(FunctionRoute::single(revision, readiness));
        revision_name
    }

    /// An instance is ready.
    pub(crate) fn ready(&self, revision: &RevisionName, id: u64, slots: u32, endpoint: Endpoint) {
        let ms = Duration::from_millis;
        let start = StartReport::new(StartKind::Cold)
            .with(StartPhase::Place, ms(1))
            .with(StartPhase::Boot, ms(4));
        let lease = Lease { slots, endpoint, start: Arc::new(start) };
        self.gateway.instance(revision, InstanceId(id), InstanceFact::Ready(lease));
    }

    /// The next thing control is told of `revision` that `choose` picks.
    pub(crate) async fn told<T>(&self, choose: impl Fn(&RevisionName, &Told) -> Option<T>) -> T {
        let mut heard = self.told.lock().await;
        loop {
            let (revision, told) = heard.recv().await.expect("the gateway lives");
            if let Some(chosen) = choose(&revision, &told) {
                return chosen;
            }
        }
    }

    /// Waits until control is asked for `instances`.
    pub(crate) async fn demanded(&self, instances: u32) {
        self.told(|_, told| (*told == Told::Demand(instances)).then_some(())).await;
    }

    /// An HTTP/1.1 connection.
    pub(crate) async fn http1(&self) -> http1::SendRequest<Body> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        gapless_rt::spawn(connection);
        sender
    }

    /// An HTTP/2 connection with prior knowledge.
    pub(crate) async fn http2(&self) -> http2::SendRequest<Body> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        gapless_rt::spawn(connection);
        sender
    }

    /// One request to `default/hello` on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(request("GET", path, Body::Empty)).await
    }

    pub(crate) async fn send(&self, request: Request) -> Answered {
        let mut sender = self.http1().await;
        Answered::read(sender.send_request(request).await.unwrap()).await
    }

    /// Waits until `is_so`. Whatever it waits for happens on other tasks.
    pub(crate) async fn until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn queued(&self) -> i64 {
        self.metrics.gateway.queued.get()
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.metrics.gateway.in_flight.get()
    }
}

/// A request to `default/hello`.
pub(crate) fn request(method: &str, path: &str, body: Body) -> Request {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "hello.default.localhost")
        .body(body)
        .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<http::HeaderMap>,
}

impl Answered {
    pub(crate) async fn read(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned();
        Answered { head, body: collected.to_bytes(), trailers }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The error of a refusal, whose head must agree with it.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        let error = body["error"].clone();
        assert_eq!(error["reason"], self.header("x-gapless-reason"));
        assert!(!error["message"].as_str().unwrap().is_empty());
        match error["retryAfterSeconds"].as_u64() {
            Some(seconds) => assert_eq!(seconds.to_string(), self.header("retry-after")),
            None => assert_eq!(self.header("retry-after"), ""),
        }
        error
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, CallError>> + Send>>;

struct Closure<F>(F);

impl<F: Fn(Request) -> Answering + Send + Sync> LocalService for Closure<F> {
    fn call(&self, request: Request) -> LocalCall {
        (self.0)(request)
    }
}

/// An instance in this process that answers by `answer`.
pub(crate) fn local<F, A>(answer: F) -> Endpoint
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response, CallError>> + Send + 'static,
{
    Endpoint::Local(Arc::new(Closure(move |request| Box::pin(answer(request)) as Answering)))
}

/// An instance that answers `text` to everything.
pub(crate) fn says(text: &'static str) -> Endpoint {
    local(move |_| async move { Ok(Response::new(Body::from(text))) })
}

/// An HTTP/1.1 server on TCP. Returns its address and a count of its connections.
pub(crate) async fn server<F, A>(answer: F) -> (Endpoint, Arc<std::sync::atomic::AtomicUsize>)
where
    F: Fn(http::Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = http::Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = accepted.clone();
    gapless_rt::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request| {
                let answering = answer(request);
                async move { Ok::<_, std::convert::Infallible>(answering.await) }
            });
            gapless_rt::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    });
    (endpoint, accepted)
}

/// Ends a test that hangs; far longer than any takes.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("the test hangs")
}
