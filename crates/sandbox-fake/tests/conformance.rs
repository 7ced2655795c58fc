//! The fake passes the suite every driver passes, and keeps to its model.

use std::sync::Arc;
use std::time::Duration;

use gapless_proto::Endpoint;
use gapless_sandbox::conformance::{Fixture, Lines, get};
use gapless_sandbox::{Driver, StartTask};
use gapless_sandbox_fake::FakeDriver;
use gapless_types::{FakeModel, FunctionSpec, Span};

fn spec(start_ms: u64, service_ms: u64) -> FunctionSpec {
    let span = |ms| Span(Duration::from_millis(ms));
    let model = FakeModel { start: span(start_ms), service: span(service_ms) };
    let mut spec = FunctionSpec::with_defaults();
    spec.fake = Some(model);
    spec
}

fn setup() -> (Arc<dyn Driver>, Fixture) {
    (FakeDriver::new(), Fixture::new(spec(1, 1), None).with_hello(None))
}

gapless_sandbox::conformance_tests!(setup);

#[tokio::test(start_paused = true)]
async fn start_and_service_take_what_the_model_says() {
    let driver: Arc<dyn Driver> = FakeDriver::new();
    let fixture = Fixture::new(spec(5_000, 70), None);
    let begun = tokio::time::Instant::now();
    let started = fixture.start(&driver, 7).await;
    assert_eq!(begun.elapsed().as_millis(), 5_000);
    let answer = get(&started.sandbox.endpoint(), "/").await.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 5_070);
    let expected = "{\"revision\":\"default/probe-00001\",\"instance\":\"i000007\",\"served\":1}\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test(start_paused = true)]
async fn stopping_and_dropping_end_the_calls_under_way() {
    let driver: Arc<dyn Driver> = FakeDriver::new();
    let fixture = Fixture::new(spec(1, 60_000), None);
    for is_stopped in [true, false] {
        let started = fixture.start(&driver, 1).await;
        let endpoint = started.sandbox.endpoint();
        let call = tokio::spawn(async move { get(&endpoint, "/").await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        if is_stopped {
            started.sandbox.stop(Duration::from_secs(1)).await;
        } else {
            drop(started);
        }
        let error = call.await.unwrap().unwrap_err();
        assert!(error.contains("was ended"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_live_side_by_side() {
    let driver: Arc<dyn Driver> = FakeDriver::new();
    let fixture = Fixture::new(spec(5, 20), None);
    let logs = Lines::new();
    let starts = (0..10_000).map(|instance| driver.start(fixture.start_task(instance, &logs)));
    let started = futures::future::join_all(starts).await;
    let calls = started.iter().map(|started| match started.as_ref().unwrap().sandbox.endpoint() {
        Endpoint::Local(service) => service.call(http::Request::default()),
        other => panic!("a fake listens at {other:?}"),
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn real_code_is_refused() {
    let driver = FakeDriver::new();
    let mut real = Fixture::new(spec(1, 1), None);
    real.spec.fake = None;
    real.spec.command = Some(vec!["true".to_owned()]);
    assert!(!driver.runs(&real.spec.code()));
    let task = StartTask { ..real.start_task(1, &Lines::new()) };
    assert_eq!(driver.start(task).await.unwrap_err().kind, "WrongDriver");
}
