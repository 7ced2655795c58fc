//! From demand to an instance and back, and what happens when it goes wrong.

use std::sync::Arc;

use crate::support::{Bench, failure, fake, open, open_without_nodes, revision};
use gapless_proto::ControlLink as _;
use gapless_types::InstanceId;
use serde_json::json;

pub(crate) async fn deployed(bench: &mut Bench, name: &str) {
    assert_eq!(bench.put(name, fake()).await.code, 201);
    let (preparing, ready) = (
        format!("route default/{name}-00001 preparing"),
        format!("route default/{name}-00001 ready"),
    );
    bench.expect(&[&preparing, &ready]).await;
}

/// Waits until the status that is shown is the one that is stored.
pub(crate) async fn until_stored(bench: &Bench, name: &str) {
    let key = format!("functions.gapless.dev/default/{name}");
    let path = format!("/apis/gapless.dev/v1/namespaces/default/functions/{name}");
    loop {
        let record = bench.store.get(&key).unwrap().unwrap();
        let stored: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        let shown = bench.call("GET", &path, None).await.json();
        if stored["status"]["conditions"] == shown["status"]["conditions"] {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A timer is a task: with one for every function ever deployed, a platform that serves
/// none would hold ten thousand.
#[tokio::test]
async fn a_rollout_that_is_over_leaves_no_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "first").await;
    until_stored(&bench, "first").await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for n in 0..20 {
        let name = format!("further-{n}");
        deployed(&mut bench, &name).await;
        until_stored(&bench, &name).await;
    }
    // What was let go of ends when it is next polled.
    for _ in 0..1_000 {
        if tasks() <= before {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} tasks, and {before} before 20 functions were deployed", tasks());
}

/// A declaration and its outcome: what was in between is over before anybody reads it.
#[tokio::test]
async fn a_rollout_that_is_over_soon_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    let mut costs = Vec::new();
    for n in 0..20 {
        let (name, before) = (format!("f-{n}"), bench.store.revision());
        deployed(&mut bench, &name).await;
        let key = format!("functions.gapless.dev/default/{name}");
        loop {
            let record = bench.store.get(&key).unwrap().unwrap();
            let stored: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            if stored["course"]["stable"].is_string() {
                break;
            }
            tokio::task::yield_now().await;
        }
        costs.push(bench.store.revision() - before);
    }
    // A machine that is busy may take longer than is waited for now and then.
    let twice = costs.iter().filter(|cost| **cost == 2).count();
    assert!(twice > 10, "transactions of the store for each: {costs:?}");
}

#[tokio::test]
async fn demand_becomes_an_instance_and_idleness_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    let hello = revision("hello", 1);

    bench.demand(&hello, 1, 1);
    bench.expect(&["1 starting", "a: start 1"]).await;
    bench.demand(&hello, 1, 5);
    bench.expect(&[]).await;
    bench.starting(1);
    bench.ready(1);
    bench.expect(&["1 ready 1 slots"]).await;
    bench.ready(1);
    bench.expect(&[]).await;

    bench.control.idle(&hello, InstanceId(1));
    bench.expect(&["1 retiring"]).await;
    bench.control.released(&hello, InstanceId(1));
    bench.expect(&["1 gone", "a: stop 1"]).await;
    bench.gone(1, None);
    bench.ready(1);
    bench.expect(&[]).await;

    bench.demand(&hello, 2, 1);
    bench.expect(&["2 starting", "a: start 2"]).await;
}

#[tokio::test]
async fn starts_nobody_needs_any_more_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    let hello = revision("hello", 1);
    bench.demand(&hello, 1, 2);
    let starts = ["1 starting", "a: start 1", "2 starting", "a: start 2"];
    bench.expect(&starts).await;
    bench.starting(1);
    bench.demand(&hello, 2, 1);
    bench.expect(&["2 gone", "a: stop 2"]).await;
    bench.gone(2, None);
    bench.ready(1);
    bench.expect(&["1 ready 1 slots"]).await;
}

#[tokio::test]
async fn a_crash_loop_backs_off_and_shows_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    let hello = revision("hello", 1);
    bench.demand(&hello, 1, 1);
    bench.expect(&["1 starting", "a: start 1"]).await;
    bench.gone(1, Some("server.py: No such file or directory"));
    bench.expect_start("1 gone: server.py: No such file").await;
    bench.expect_start("blocked start-failed: server.py: No such file").await;
    let (status, reason, message) = bench.condition("hello").await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "CrashLoop"));
    assert!(
        message.starts_with("server.py: No such file or directory (failed 1 time"),
        "{message}"
    );

    // The block ends by itself, and a start that succeeds clears the condition.
    bench.expect(&["not blocked", "2 starting", "a: start 2"]).await;
    bench.ready(2);
    bench.expect(&["2 ready 1 slots"]).await;
    assert_eq!(bench.condition("hello").await.0, "True");
}

#[tokio::test]
async fn a_broken_instance_is_ended_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    let hello = revision("hello", 1);
    bench.demand(&hello, 1, 1);
    bench.ready(1);
    bench.expect(&["1 starting", "a: start 1", "1 ready 1 slots"]).await;
    bench.control.broken(&hello, InstanceId(1), "it answers garbage");
    bench.control.broken(&hello, InstanceId(1), "it answers garbage");
    bench.expect_start("1 gone: it answers garbage").await;
    bench.expect_start("a: stop 1").await;
    bench.expect_start("blocked start-failed: it answers garbage").await;
    bench.gone(1, None);
}

#[tokio::test]
async fn no_room_is_said_and_freed_room_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open_without_nodes(folder.path()).await;
    bench.add_node("small", 128 << 20);
    bench.control.begin();
    for name in ["one", "two"] {
        deployed(&mut bench, name).await;
    }
    bench.demand(&revision("one", 1), 1, 1);
    bench.expect(&["1 starting", "small: start 1"]).await;
    bench.demand(&revision("two", 1), 1, 1);
    // Idle instances are asked for their room first; there are none.
    bench.expect_start("reclaim 1").await;
    bench.expect_start("not blocked").await;
    let blocked = bench.expect_start("blocked no-capacity: no node has room").await;
    assert!(blocked.contains("1 without 100m of processor and 128Mi of memory free"), "{blocked}");
    assert_eq!(bench.condition("two").await.1, "NoCapacity");
    let nodes = bench.call("GET", "/apis/gapless.dev/v1/nodes", None).await.json();
    assert_eq!(nodes["items"][0]["status"]["memoryBytesReserved"], json!(128 << 20));

    bench.gone(1, None);
    // Also its own back-off may come first; either way it starts now.
    let mut told = Vec::new();
    while !told.last().is_some_and(|last: &String| last.starts_with("small: start")) {
        told.push(bench.next().await);
    }
    assert!(
        told.contains(&"1 gone".to_owned()) && told.contains(&"not blocked".to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_minimum_is_kept_from_the_start_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    let mut spec = fake();
    spec["scale"] = json!({"min": 2});
    bench.put("hello", spec).await;
    let told = [
        "route default/hello-00001 preparing",
        "route default/hello-00001 ready",
        "1 starting",
        "a: start 1",
        "2 starting",
        "a: start 2",
    ];
    bench.expect(&told).await;
    bench.ready(1);
    bench.expect(&["1 ready 1 slots"]).await;
    bench.control.idle(&revision("hello", 1), InstanceId(1));
    bench.expect(&[]).await;
    until_stored(&bench, "hello").await;
    bench.close().await;

    let mut bench = open(folder.path()).await;
    bench.expect_start("route default/hello-00001 ready").await;
    bench.expect(&["1 starting", "a: start 1", "2 starting", "a: start 2"]).await;
}

#[tokio::test]
async fn a_new_revision_takes_over_once_it_is_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    bench.demand(&revision("hello", 1), 1, 1);
    bench.ready(1);
    bench.expect(&["1 starting", "a: start 1", "1 ready 1 slots"]).await;

    let node = Arc::clone(&bench.nodes[0]);
    node.prepares.forget_permits(1_000);
    let mut spec = fake();
    spec["concurrency"] = json!(7);
    bench.put("hello", spec).await;
    let (status, reason, message) = bench.condition("hello").await;
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Preparing"));
    assert!(message.contains("hello-00001 serves until then"), "{message}");
    let both = |readiness: &str| {
        format!("route default/hello-00001 ready + default/hello-00002 0% {readiness}")
    };
    bench.expect(&[&both("preparing")]).await;
    node.prepares.add_permits(1);
    let told = [&both("ready"), "route default/hello-00002 ready", "1 retiring"];
    bench.expect(&told).await;
    bench.demand(&revision("hello", 2), 1, 1);
    bench.expect(&["2 starting", "a: start 2"]).await;
    bench.ready(2);
    bench.expect(&["2 ready 7 slots"]).await;
    bench.control.released(&revision("hello", 1), InstanceId(1));
    bench.expect(&["1 gone", "a: stop 1"]).await;
    bench.gone(1, None);
    bench.expect(&["a: forget hello-00001"]).await;
}

#[tokio::test]
async fn a_refused_revision_leaves_the_former_one_serving_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    bench.nodes[0].refusals.lock().insert("hello-00002".to_owned(), failure("wrong world"));
    let mut spec = fake();
    spec["concurrency"] = json!(7);
    bench.put("hello", spec.clone()).await;
    while bench.condition("hello").await.1 == "Preparing" {
        tokio::task::yield_now().await;
    }
    let expected = "wrong world (hello-00001 goes on serving)";
    assert_eq!(bench.condition("hello").await.2, expected);
    bench.expect_start("route default/hello-00001 ready + default/hello-00002 0% preparing").await;
    bench.expect_start("route default/hello-00001 ready + default/hello-00002 0% failed").await;
    bench.expect(&["route default/hello-00001 ready"]).await;
    until_stored(&bench, "hello").await;
    bench.close().await;

    let mut bench = open(folder.path()).await;
    bench.expect(&["route default/hello-00001 ready"]).await;
    assert_eq!(bench.condition("hello").await.2, expected);
    // Declared again unchanged, it is tried again.
    assert_eq!(bench.put("hello", spec).await.code, 200);
    bench.expect_start("route default/hello-00001 ready + default/hello-00002 0% preparing").await;
    bench.expect_start("route default/hello-00001 ready + default/hello-00002 0% ready").await;
    bench.expect(&["route default/hello-00002 ready", "a: forget hello-00001"]).await;
    assert_eq!(bench.condition("hello").await.0, "True");
}

#[tokio::test]
async fn a_refused_first_revision_is_said_to_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    bench.nodes[0].refusals.lock().insert("hello-00001".to_owned(), failure("wrong world"));
    bench.put("hello", fake()).await;
    let told =
        ["route default/hello-00001 preparing", "route default/hello-00001 failed: wrong world"];
    bench.expect(&told).await;
    assert_eq!(bench.condition("hello").await.1, "PrepareFailed");
    // Demand that waited for it starts nothing.
    bench.demand(&revision("hello", 1), 1, 1);
    bench.expect(&[]).await;
    let mut spec = fake();
    spec["concurrency"] = json!(2);
    bench.put("hello", spec).await;
    bench.expect_start("route default/hello-00002 preparing").await;
}

#[tokio::test]
async fn a_deleted_function_ends_and_its_name_makes_new_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    deployed(&mut bench, "hello").await;
    let hello = revision("hello", 1);
    bench.demand(&hello, 1, 2);
    bench.ready(1);
    let told = ["1 starting", "a: start 1", "2 starting", "a: start 2", "1 ready 1 slots"];
    bench.expect(&told).await;
    let path = "/apis/gapless.dev/v1/namespaces/default/functions/hello";
    assert_eq!(bench.call("DELETE", path, None).await.code, 200);
    bench.expect(&["no route default/hello", "2 gone", "a: stop 2", "1 retiring"]).await;
    bench.demand(&hello, 9, 5);
    bench.control.released(&hello, InstanceId(1));
    bench.expect(&["1 gone", "a: stop 1"]).await;
    assert_eq!(bench.put("hello", fake()).await.json()["metadata"]["generation"], json!(1));
    bench.expect_start("route default/hello-00002 preparing").await;
    bench.expect_start("route default/hello-00002 ready").await;
    bench.gone(1, None);
    bench.expect(&[]).await;
    bench.gone(2, None);
    bench.expect(&["a: forget hello-00001"]).await;
    bench.demand(&hello, 10, 1);
    bench.expect(&[]).await;
}

#[tokio::test]
async fn no_node_for_this_code_is_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open_without_nodes(folder.path()).await;
    bench.control.begin();
    bench.put("hello", fake()).await;
    bench.expect_start("route default/hello-00001 preparing").await;
    bench.expect_start("route default/hello-00001 failed: no node can run default/hello").await;
    assert!(bench.condition("hello").await.2.contains("--fake-nodes"));
}
