//! A platform in the test's process: the API's paths and shapes, answered from
//! memory, and a gateway that echoes. The commands are run as the real binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gapless_api::{List, LogLine, PlatformInfo, Status, WatchEvent};
use gapless_types::{Condition, Function, FunctionStatus};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// What the stub holds and was asked.
#[derive(Debug, Default)]
pub(crate) struct Platform {
    /// By namespace and name.
    pub(crate) functions: BTreeMap<String, Function>,
    /// By digest.
    pub(crate) artifacts: BTreeMap<String, Bytes>,
    /// Method and path of each call of the API.
    pub(crate) calls: Vec<String>,
    /// What `Ready` says of every function: status and message.
    pub(crate) ready: (String, String),
    api: String,
    gateway: String,
}

/// A running stub.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) state: Arc<Mutex<Platform>>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Mutex::new(Platform::default()));
        state.lock().unwrap().ready = ("True".to_owned(), "serves".to_owned());
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (api, gateway) = (bind(), bind());
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (api_url, gateway_url) = (url(&api), url(&gateway));
        state.lock().unwrap().api = api_url.clone();
        state.lock().unwrap().gateway = gateway_url;
        let shared = state.clone();
        runtime.spawn(serve(api, move |request| answer(shared.clone(), request)));
        runtime.spawn(serve(gateway, echo));
        Stub { state, url: api_url, _runtime: runtime }
    }

    /// Runs `gapless` against this platform.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(Command::new(env!("CARGO_BIN_EXE_gapless"))
            .args(arguments)
            .env("GAPLESS_API", &self.url))
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output: Output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// Writes a function's folder.
pub(crate) fn folder(path: &Path, spec: &str) {
    let yaml = format!(
        "apiVersion: gapless.dev/v1\nkind: Function\nmetadata: {{name: hello}}\nspec:\n  {spec}\n"
    );
    std::fs::write(path.join("gapless.yaml"), yaml).unwrap();
}

async fn serve<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    Response::new(Full::from(serde_json::to_vec(value).unwrap()))
}

fn failure(code: u16, reason: &str, message: &str) -> Response<Full<Bytes>> {
    let mut response = json(&Status::failure(code, reason, message));
    *response.status_mut() = code.try_into().unwrap();
    response
}

async fn answer(state: Arc<Mutex<Platform>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut platform = state.lock().unwrap();
    platform.calls.push(format!("{method} {path}"));
    let Some(inside) = path.strip_prefix(gapless_api::ROOT) else {
        return match path.as_str() {
            "/metrics" => Response::default(),
            path if path.ends_with("/events") => json(&List::<Value>::new("EventList", 1, vec![])),
            path => failure(404, "NotFound", path),
        };
    };
    let parts: Vec<&str> = inside.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["info"] => json(&PlatformInfo {
            version: "0".to_owned(),
            gateway: platform.gateway.clone(),
            api: platform.api.clone(),
            ..PlatformInfo::default()
        }),
        ["artifacts", digest] => platform.artifact(&method, digest, body),
        ["functions"] => platform.list(""),
        ["namespaces", namespace, "functions"] if query.contains("watch=true") => {
            match query.contains("resourceVersion=") {
                true => failure(400, "BadRequest", "nothing changes here"),
                false => platform.watch(namespace),
            }
        }
        ["namespaces", namespace, "functions"] => platform.list(namespace),
        ["namespaces", namespace, "functions", name] => {
            platform.function(&method, &format!("{namespace}/{name}"), &body)
        }
        ["namespaces", _, "functions", _, "log"] => Response::new(Full::from(log(&query))),
        ["nodes"] => json(&List::<Value>::new("NodeList", 1, vec![])),
        [.., "revisions"] => json(&List::<Value>::new("RevisionList", 1, vec![])),
        [.., "instances"] => json(&List::<Value>::new("InstanceList", 1, vec![])),
        _ => failure(404, "NotFound", &path),
    }
}

fn log(query: &str) -> String {
    let count = query.split(['=', '&']).nth(1).and_then(|count| count.parse().ok()).unwrap_or(1);
    let lines = (0..count).map(|number: u32| LogLine {
        time: "2026-01-02T03:04:05.678Z".to_owned(),
        instance: "i000001".to_owned(),
        stream: "stdout".to_owned(),
        line: format!("line {number}"),
    });
    lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").collect()
}

impl Platform {
    fn artifact(&mut self, method: &Method, digest: &str, body: Bytes) -> Response<Full<Bytes>> {
        if *method == Method::HEAD {
            return match self.artifacts.contains_key(digest) {
                true => Response::default(),
                false => failure(404, "NotFound", "no such artifact"),
            };
        }
        let hex: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != format!("sha256:{hex}") {
            return failure(400, "BadRequest", "the digest does not fit");
        }
        self.artifacts.insert(digest.to_owned(), body);
        Response::default()
    }

    fn function(&mut self, method: &Method, key: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let former = self.functions.get(key).cloned();
        match (method.as_str(), former) {
            ("PUT" | "PATCH", former) => {
                let value: Value = serde_json::from_slice(body).unwrap();
                let mut function = Function::from_value(value).unwrap();
                function.metadata.generation = former.map_or(0, |old| old.metadata.generation) + 1;
                self.functions.insert(key.to_owned(), function.clone());
                json(&function)
            }
            ("GET", Some(_)) => json(&self.observed(key)),
            ("DELETE", Some(former)) => {
                self.functions.remove(key);
                json(&former)
            }
            _ => failure(404, "NotFound", &format!("there is no function {key}")),
        }
    }

    /// A function with its status.
    fn observed(&self, key: &str) -> Function {
        let mut function = self.functions[key].clone();
        let condition = Condition {
            r#type: "Ready".to_owned(),
            status: self.ready.0.clone(),
            reason: "Stub".to_owned(),
            message: self.ready.1.clone(),
            last_transition_time: "2026-01-02T03:04:05Z".to_owned(),
        };
        function.status = Some(FunctionStatus {
            observed_generation: function.metadata.generation,
            revision: format!("{}-00001", function.metadata.name),
            url: format!("http://{}.default.localhost/", function.metadata.name),
            conditions: vec![condition],
            ..FunctionStatus::default()
        });
        function
    }

    fn of(&self, namespace: &str) -> Vec<Function> {
        let is_in =
            |key: &&String| namespace.is_empty() || key.split('/').next() == Some(namespace);
        self.functions.keys().filter(is_in).map(|key| self.observed(key)).collect()
    }

    fn list(&self, namespace: &str) -> Response<Full<Bytes>> {
        json(&List::new("FunctionList", 1, self.of(namespace)))
    }

    fn watch(&self, namespace: &str) -> Response<Full<Bytes>> {
        let line = |object| {
            let event = WatchEvent { r#type: "ADDED".to_owned(), object };
            serde_json::to_string(&event).unwrap() + "\n"
        };
        let mut lines = self.of(namespace).into_iter().map(line).collect::<String>();
        lines += r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1","annotations":"#;
        lines += r#"{"k8s.io/initial-events-end":"true"}}}}"#;
        Response::new(Full::from(lines + "\n"))
    }
}

/// Answers with what it was asked; `/refuse` as the platform refuses.
async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let header = |name| {
        let value = request.headers().get(name);
        value.map_or(String::new(), |value: &http::HeaderValue| value.to_str().unwrap().to_owned())
    };
    let host = header("host").split(':').next().unwrap_or_default().to_owned();
    let (kind, extra) = (header("content-type"), header("x-extra"));
    let method = request.method().clone();
    let path = request.uri().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if path == "/refuse" {
        let text = r#"{"error":{"reason":"queue-full","message":"1000 requests wait already"}}"#;
        let response = Response::builder().status(429).header("x-gapless-reason", "queue-full");
        return response.header("retry-after", "2").body(Full::from(text)).unwrap();
    }
    let code = if path == "/teapot" { 418 } else { 200 };
    let text =
        format!("{method} {host} {path} [{kind}] [{extra}] {}\n", String::from_utf8_lossy(&body));
    Response::builder()
        .status(code)
        .header("server-timing", "execute;dur=1")
        .body(Full::from(text))
        .unwrap()
}
