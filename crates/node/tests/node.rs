//! A node with a driver whose every step the test decides.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use gapless_api::FunctionLogs as _;
use gapless_proto::NodeLink as _;
use gapless_types::FunctionKey;
use support::{Manual, bench, failure, revision};

fn driver(at_once: usize) -> Manual {
    Manual { at_once, ..Manual::default() }
}

#[tokio::test]
async fn an_instance_starts_serves_and_stops() {
    let mut bench = bench(driver(1));
    bench.start(1);
    bench.start(1);
    bench.expect(&["1 starting"]).await;
    bench.until_begun(1).await;
    bench.driver.finish(1, Ok(()));
    bench.expect(&["1 ready"]).await;
    assert_eq!((bench.node.instances(), bench.driver.running.lock().len()), (1, 1));
    bench.stop(1);
    bench.expect(&["1 gone"]).await;
    assert_eq!((bench.node.instances(), bench.driver.running.lock().len()), (0, 0));
    bench.stop(1);
    bench.expect(&[]).await;
    let text = bench.metrics.encode();
    for line in [
        "gapless_node_starts_total{sandbox=\"manual\",outcome=\"ready\"} 1",
        "gapless_node_instances{sandbox=\"manual\"} 0",
        "gapless_node_start_seconds_count{phase=\"place\",sandbox=\"manual\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn few_start_at_once_in_order_and_the_dropped_never_begin() {
    let mut bench = bench(driver(2));
    for instance in 1..=6 {
        bench.start(instance);
    }
    bench.until_begun(2).await;
    assert_eq!(bench.node.waiting_starts(), 4);
    for dropped in [4, 5] {
        bench.stop(dropped);
    }
    bench.expect(&["1 starting", "2 starting", "4 gone", "5 gone"]).await;
    bench.driver.finish(1, Ok(()));
    bench.expect(&["1 ready", "3 starting"]).await;
    bench.driver.finish(2, Err(failure("Broken")));
    bench.expect(&["2 gone Broken", "6 starting"]).await;
    bench.until_begun(4).await;
    bench.driver.finish(3, Ok(()));
    bench.driver.finish(6, Ok(()));
    let mut last = [bench.fact().await, bench.fact().await];
    last.sort_unstable();
    assert_eq!(last, ["3 ready", "6 ready"]);
    assert_eq!(bench.driver.begun(), [1, 2, 3, 6]);
    assert_eq!(bench.driver.starting_most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stop_while_starting_drops_the_start_and_frees_the_turn() {
    let mut bench = bench(driver(1));
    bench.start(1);
    bench.start(2);
    bench.until_begun(1).await;
    bench.stop(1);
    bench.expect(&["1 starting", "1 gone", "2 starting"]).await;
    bench.until_begun(2).await;
    assert!(!bench.driver.starting.lock().contains_key(&gapless_types::InstanceId(1)));
    bench.stop(2);
    bench.expect(&["2 gone"]).await;
    assert_eq!(bench.node.instances(), 0);
}

#[tokio::test]
async fn a_stop_before_the_task_ran_starts_nothing() {
    let mut bench = bench(driver(1));
    bench.start(1);
    bench.stop(1);
    bench.expect(&["1 starting", "1 gone"]).await;
    assert!(bench.driver.begun().is_empty());
}

#[tokio::test]
async fn a_death_is_told_with_its_cause_and_logged() {
    let mut bench = bench(driver(1));
    bench.start(1);
    bench.until_begun(1).await;
    bench.driver.finish(1, Ok(()));
    bench.expect(&["1 starting", "1 ready"]).await;
    bench.driver.kill(1);
    bench.expect(&["1 gone Killed"]).await;
    let lines = bench.logs.tail(&FunctionKey::new("default", "hello").unwrap(), 10);
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].stream.as_str(), lines[0].line.as_str()), ("platform", "it is Killed"));
}

#[tokio::test]
async fn code_that_no_driver_runs_is_refused_by_name() {
    let mut bench = bench(driver(1));
    bench.revision = revision(serde_json::json!({"wasm": "hello.wasm"}));
    let refused = bench.node.prepare(bench.revision.clone()).await.unwrap_err();
    assert!(refused.message.contains("node local cannot run default/hello"), "{refused}");
    bench.start(1);
    bench.expect(&["1 gone NoDriver"]).await;
}

#[tokio::test]
async fn a_driver_that_panics_is_a_failed_instance() {
    let mut bench = bench(Manual { panics: true, ..driver(1) });
    bench.start(1);
    bench.start(2);
    let mut facts = Vec::new();
    for _ in 0..4 {
        facts.push(bench.fact().await);
    }
    assert_eq!(facts[..2], ["1 starting", "1 gone DriverPanicked"]);
    assert_eq!(facts[2..], ["2 starting", "2 gone DriverPanicked"]);
    assert_eq!(bench.node.instances(), 0);
}

#[tokio::test]
async fn shutdown_ends_everything_in_whichever_phase() {
    let mut bench = bench(driver(2));
    for instance in 1..=4 {
        bench.start(instance);
    }
    bench.until_begun(2).await;
    bench.driver.finish(1, Ok(()));
    bench.until_begun(3).await;
    bench.node.shutdown(Duration::from_secs(5)).await;
    assert_eq!(bench.node.instances(), 0);
    assert!(bench.driver.running.lock().is_empty() && bench.driver.starting.lock().is_empty());
    bench.start(9);
    let mut facts = Vec::new();
    while let Ok(fact) = bench.facts.try_recv() {
        facts.push(fact);
    }
    for gone in ["1 gone", "2 gone", "3 gone", "4 gone", "9 gone Draining"] {
        assert!(facts.iter().any(|fact| fact == gone), "{gone} in {facts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_hangs_ends_by_dropping_the_sandbox() {
    let mut bench = bench(Manual { stops_hang: true, ..driver(1) });
    bench.start(1);
    bench.until_begun(1).await;
    bench.driver.finish(1, Ok(()));
    bench.expect(&["1 starting", "1 ready"]).await;
    bench.stop(1);
    bench.expect(&["1 gone"]).await;
    assert!(bench.driver.running.lock().is_empty());
}
