//! A component of wasi 0.3, which has an engine and a way of calling of its own.

mod support;

use std::sync::Arc;

use gapless_proto::{Body, Endpoint};
use gapless_sandbox::conformance::Lines;
use gapless_sandbox::{Driver, StartTask};
use support::{driver, prepare_task, spec, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_answers_and_comes_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let wasm = dir.path().join("service.wasm");
    let component = wat::parse_file("tests/fixtures/service-0.3.wat").expect("the fixture parses");
    std::fs::write(&wasm, component).unwrap();
    for reuse in [false, true] {
        let driver = driver();
        let mut spec = spec();
        spec.reuse = reuse;
        let prepare = prepare_task(spec, &wasm);
        driver.prepare(prepare.clone()).await.expect("prepares");
        let task = StartTask {
            instance: gapless_types::InstanceId(1),
            prepare,
            config: Arc::default(),
            logs: Lines::new(),
        };
        let started = driver.start(task).await.expect("starts");
        let Endpoint::Local(service) = started.sandbox.endpoint() else { panic!("local") };
        for _ in 0..10 {
            let request = http::Request::get("http://three.localhost/").body(Body::Empty).unwrap();
            let response = service.call(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            assert_eq!(text(response).await, "three\n");
        }
        started.sandbox.stop(std::time::Duration::from_secs(5)).await;
        assert_eq!(driver.figures().stores, 0);
    }
}
