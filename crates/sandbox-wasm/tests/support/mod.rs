//! What the driver's tests share: the probe component, drivers, seats.
#![allow(dead_code, unreachable_pub)] // Each test file uses some of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_proto::{Body, CallError, Endpoint, NoConfigs, ResolvedConfig, Response};
use gapless_sandbox::conformance::Lines;
use gapless_sandbox::{Driver, PrepareTask, StartTask, Started};
use gapless_sandbox_wasm::{WasmConfig, WasmDriver};
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Revision, RevisionName};
use http_body_util::BodyExt;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The probe guest.
pub fn probe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/dist/probe.wasm")
}

/// A driver with a small pool whose cache outlives the test run.
pub fn driver() -> Arc<WasmDriver> {
    driver_in(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-cache"))
}

/// A driver with its cache in `dir`.
pub fn driver_in(dir: &Path) -> Arc<WasmDriver> {
    let config = WasmConfig { instances_max: 64, ..WasmConfig::new(dir) };
    WasmDriver::new(config).expect("a driver")
}

/// The specification that runs the probe.
pub fn spec() -> FunctionSpec {
    let mut spec = FunctionSpec::with_defaults();
    spec.wasm = Some("probe.wasm".to_owned());
    spec
}

/// A task to prepare a component.
pub fn prepare_task(spec: FunctionSpec, artifact: &Path) -> PrepareTask {
    let function = FunctionKey::new("default", "probe").expect("valid names");
    let name = RevisionName::new(&function, 1);
    let revision = Arc::new(Revision { name, function, spec: spec.into() });
    PrepareTask { revision, artifact: Some(artifact.to_owned()) }
}

/// A running probe and what it logs.
pub struct Probe {
    pub driver: Arc<WasmDriver>,
    pub started: Started,
    pub logs: Arc<Lines>,
}

impl Probe {
    /// Starts one.
    pub async fn start(change: impl FnOnce(&mut FunctionSpec)) -> Probe {
        let mut spec = spec();
        change(&mut spec);
        let (driver, logs) = (driver(), Lines::new());
        let prepare = prepare_task(spec, &probe());
        let (function, spec) = (&prepare.revision.function, &prepare.revision.spec);
        let config = ResolvedConfig::resolve(function, spec, &NoConfigs).expect("plain values");
        let (instance, config) = (InstanceId(1), Arc::new(config));
        let task = StartTask { instance, prepare, config, logs: logs.clone() };
        let started = driver.start(task).await.expect("the probe starts");
        Probe { driver, started, logs }
    }

    /// `GET path`, up to the response's head.
    pub async fn call(&self, path: &str) -> Result<Response, CallError> {
        self.send(http::Request::get(path), Body::Empty).await
    }

    /// Any request, up to the response's head.
    pub async fn send(
        &self,
        request: http::request::Builder,
        body: Body,
    ) -> Result<Response, CallError> {
        let Endpoint::Local(service) = self.started.sandbox.endpoint() else {
            panic!("a component is reached by a call")
        };
        let request = request.header("host", "probe.default.localhost");
        service.call(request.body(body).expect("a request")).await
    }

    /// `GET path`: status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, String), CallError> {
        let response = self.call(path).await?;
        let status = response.status().as_u16();
        Ok((status, text(response).await))
    }

    /// Waits until the driver has at most so many stores.
    pub async fn wait_for_stores(&self, most: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.driver.figures().stores > most {
            assert!(Instant::now() < deadline, "still {:?}", self.driver.figures());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A response's whole body.
pub async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("a whole body");
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}
