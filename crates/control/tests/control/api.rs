//! The API over HTTP on loopback.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{Bench, fake, function, open, open_without_nodes};

const ROOT: &str = "/apis/gapless.dev/v1";
const FUNCTIONS: &str = "/apis/gapless.dev/v1/namespaces/default/functions";

fn path(name: &str) -> String {
    format!("{FUNCTIONS}/{name}")
}

async fn until_ready(bench: &Bench, name: &str) {
    while bench.condition(name).await.0 != "True" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn it_is_ready_once_begun_and_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open_without_nodes(folder.path()).await;
    bench.call("GET", "/readyz", None).await.status(503);
    assert_eq!(bench.call("GET", "/livez", None).await.code, 200);
    bench.control.begin();
    assert_eq!(bench.call("GET", "/readyz", None).await.body, "ok");
    let head = bench.call("HEAD", "/readyz", None).await;
    assert_eq!((head.code, head.body.as_str()), (200, ""));
    let version = bench.call("GET", "/version", None).await.json();
    assert!(version["gitVersion"].as_str().unwrap().ends_with("+gapless.0.0.0"), "{version}");
    let info = bench.call("GET", &format!("{ROOT}/info"), None).await.json();
    assert_eq!(info["gateway"], "http://127.0.0.1:8080");
    assert_eq!(info["api"], format!("http://{}", bench.api));
    assert_eq!(info["pid"], std::process::id());
    let metrics = bench.call("GET", "/metrics", None).await;
    assert!(metrics.head.contains("openmetrics-text"), "{}", metrics.head);
    let counted = "gapless_control_api_requests_total{method=\"GET\",status=\"503\"} 1";
    assert!(metrics.body.contains(counted), "{}", metrics.body);
}

#[tokio::test]
async fn a_function_is_created_read_replaced_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let created = bench.put("hello", fake()).await;
    assert_eq!(created.code, 201);
    let object = created.json();
    assert_eq!(object["metadata"]["generation"], 1);
    assert_eq!(object["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(object["status"]["url"], "http://hello.default.localhost:8080");
    assert_eq!(object["status"]["pathUrl"], "http://127.0.0.1:8080/fn/default/hello/");
    assert_eq!(object["status"]["revision"], "hello-00001");

    // The same again changes nothing.
    let again = bench.put("hello", fake()).await;
    assert_eq!(again.code, 200);
    for field in ["uid", "generation", "managedFields"] {
        assert_eq!(again.json()["metadata"][field], object["metadata"][field], "{field}");
    }

    // A label makes no new revision, a changed spec does.
    let mut labelled = function("hello", fake());
    labelled["metadata"]["labels"] = json!({"team": "red"});
    let body = labelled.to_string();
    let labelled = bench.call("PUT", &path("hello"), Some(body.as_bytes())).await.json();
    assert_eq!(labelled["metadata"]["generation"], 1);
    assert_ne!(labelled["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    let mut spec = fake();
    spec["timeout"] = json!("5s");
    let changed = bench.put("hello", spec).await.json();
    assert_eq!(
        (&changed["metadata"]["generation"], &changed["spec"]["timeout"]),
        (&json!(2), &json!("5s"))
    );
    assert_eq!(changed["metadata"]["uid"], object["metadata"]["uid"]);

    // What was read is out of date.
    let mut stale = object.clone();
    stale["spec"]["timeout"] = json!("6s");
    let answer = bench.call("PUT", &path("hello"), Some(stale.to_string().as_bytes())).await;
    assert!(answer.status(409).contains("the object has been modified"), "{answer:?}");
    let body = function("hello", fake()).to_string();
    let answer = bench.call("POST", FUNCTIONS, Some(body.as_bytes())).await;
    assert_eq!(
        (answer.status(409), &answer.json()["reason"]),
        ("functions.gapless.dev \"hello\" already exists".to_owned(), &json!("AlreadyExists"))
    );

    assert_eq!(bench.call("DELETE", &path("hello"), None).await.code, 200);
    for method in ["GET", "DELETE"] {
        let message = bench.call(method, &path("hello"), None).await.status(404);
        assert_eq!(message, "functions.gapless.dev \"hello\" not found");
    }
    let answer = bench.call("PUT", &path("hello"), Some(stale.to_string().as_bytes())).await;
    assert!(answer.status(404).contains("not found"), "{answer:?}");
    let body = function("hello", fake()).to_string();
    assert_eq!(bench.call("POST", FUNCTIONS, Some(body.as_bytes())).await.code, 201);
}

#[tokio::test]
async fn functions_survive_a_restart_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    for name in ["b", "a"] {
        bench.put(name, fake()).await;
        until_ready(&bench, name).await;
        crate::life::until_stored(&bench, name).await;
    }
    let before = bench.call("GET", FUNCTIONS, None).await.json();
    bench.close().await;
    let bench = open(folder.path()).await;
    let after = bench.call("GET", &format!("{ROOT}/functions"), None).await.json();
    assert_eq!(before["items"], after["items"]);
    let names: Vec<&Value> =
        after["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(bench.put("a", fake()).await.json()["metadata"]["generation"], 1);
    assert!(bench.metrics.encode().contains("gapless_control_functions 2"));
}

#[tokio::test]
async fn wrong_declarations_say_where_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let put = async |body: &str| bench.call("PUT", &path("hello"), Some(body.as_bytes())).await;

    let mut spec = fake();
    spec["concurrency"] = json!(0);
    spec["scale"] = json!({"max": 0});
    let answer = bench.put("hello", spec).await;
    answer.status(422);
    let causes = answer.json()["details"]["causes"].clone();
    assert_eq!(
        (&causes[0]["field"], &causes[1]["field"]),
        (&json!("spec.concurrency"), &json!("spec.scale.max"))
    );

    let message = put("{\n  \"kind\": oops\n}").await.status(400);
    assert!(message.contains("line 2 column 11"), "{message}");
    put("").await.status(400);
    put("[]").await.status(400);

    let other = function("other", fake()).to_string();
    let message = put(&other).await.status(400);
    assert!(message.contains("metadata.name is \"other\""), "{message}");
    let mut far = function("hello", fake());
    far["metadata"]["namespace"] = json!("far");
    let message = put(&far.to_string()).await.status(400);
    assert!(message.contains("metadata.namespace is \"far\""), "{message}");
    // What the path says need not be said again.
    far["metadata"] = json!({});
    let path = "/apis/gapless.dev/v1/namespaces/far/functions/hello";
    let created = bench.call("PUT", path, Some(far.to_string().as_bytes())).await;
    assert_eq!((created.code, &created.json()["metadata"]["namespace"]), (201, &json!("far")));

    let large = vec![b' '; (3 << 20) + 1];
    bench.call("PUT", &format!("{FUNCTIONS}/hello"), Some(&large)).await.status(413);
    assert_eq!(bench.call("GET", FUNCTIONS, None).await.json()["items"], json!([]));
}

#[tokio::test]
async fn every_other_error_is_a_status_too() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let cases = [
        ("GET", "/", 404),
        ("GET", "/apis/gapless.dev/v2/functions", 404),
        ("GET", &path("hello/nothing"), 404),
        ("GET", &path("hello"), 404),
        ("GET", &path("No_Name"), 404),
        ("GET", &path("hello/log"), 404),
        ("PATCH", &path("hello"), 415),
        ("POST", &path("hello"), 405),
        ("DELETE", "/readyz", 405),
        ("PUT", "/apis/gapless.dev/v1/artifacts/md5:1", 400),
        ("GET", &format!("{FUNCTIONS}?watch=perhaps"), 400),
        ("GET", &format!("{FUNCTIONS}?fieldSelector=spec.wasm=a"), 400),
        ("GET", &format!("{FUNCTIONS}?labelSelector=a+in+("), 400),
    ];
    for (method, path, code) in cases {
        let answer = bench.call(method, path, None).await;
        assert!(!answer.status(code).is_empty(), "{method} {path}");
        assert!(answer.head.contains("content-type: application/json"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    for (host, code) in [("localhost:1", 200), ("127.0.0.1", 200), ("evil.example", 421)] {
        assert_eq!(bench.call_as("GET", "/readyz", host, b"").await.code, code, "{host}");
    }
}

#[tokio::test]
async fn a_host_belongs_to_one_function() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let routed = |host: &str| {
        let mut spec = fake();
        spec["access"] = json!({"route": {"host": host}});
        spec
    };
    assert_eq!(bench.put("one", routed("shop.example")).await.code, 201);
    let answer = bench.put("two", routed("shop.example")).await;
    assert!(answer.status(422).contains("is the host of function default/one already"));
    assert_eq!(answer.json()["details"]["causes"][0]["field"], "spec.access.route.host");
    until_ready(&bench, "one").await;
    assert_eq!(bench.put("one", routed("new.example")).await.code, 200);
    until_ready(&bench, "one").await;
    assert_eq!(bench.put("two", routed("shop.example")).await.code, 201);
}

#[tokio::test]
async fn declarations_at_once_all_get_their_own_version() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let bench = &bench;
    let names: Vec<String> = (0..100).map(|n| format!("f{}", n % 50)).collect();
    let put = |name: &String| {
        let name = name.clone();
        async move { bench.put(&name, fake()).await.json() }
    };
    let answers = futures::future::join_all(names.iter().map(put)).await;
    let uids: BTreeSet<&str> =
        answers.iter().map(|answer| answer["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), 50, "each was made once");
    assert!(answers.iter().all(|answer| answer["metadata"]["generation"] == 1));
    let list = bench.call("GET", FUNCTIONS, None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 50);
}

/// Reads one event of a chunked stream of lines.
async fn event(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<Value> {
    loop {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_line(&mut line));
        if read.await.expect("an event is due").unwrap() == 0 {
            return None;
        }
        // Between head, chunk sizes and events only the last are objects.
        if line.starts_with('{') {
            return Some(serde_json::from_str(&line).unwrap());
        }
    }
}

#[tokio::test]
async fn a_watch_tells_what_exists_and_then_each_change_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    bench.put("hello", fake()).await;
    bench.put("other", fake()).await;
    until_ready(&bench, "hello").await;
    let watched = format!("{FUNCTIONS}?watch=true&fieldSelector=metadata.name=hello");
    let stream = bench.send("GET", &watched, "localhost", 0, b"").await;
    let mut stream = BufReader::new(stream);
    let added = event(&mut stream).await.unwrap();
    assert_eq!(
        (&added["type"], &added["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("hello"))
    );

    bench.put("third", fake()).await;
    let mut spec = fake();
    spec["timeout"] = json!("5s");
    bench.put("hello", spec).await;
    let mut seen = Vec::new();
    loop {
        let event = event(&mut stream).await.unwrap();
        assert_eq!(
            (&event["type"], &event["object"]["metadata"]["name"]),
            (&json!("MODIFIED"), &json!("hello"))
        );
        let status = &event["object"]["status"];
        // The first generation's status may still be told.
        if status["observedGeneration"] == 1 {
            continue;
        }
        seen.push(status["conditions"][0]["status"].as_str().unwrap().to_owned());
        if seen.last().is_some_and(|last| last == "True") {
            break;
        }
    }
    bench.call("DELETE", &path("hello"), None).await;
    // Its status may still be told before.
    let last = loop {
        let event = event(&mut stream).await.unwrap();
        if event["type"] != "MODIFIED" {
            break event;
        }
    };
    assert_eq!(last["type"], "DELETED");
    bench.shutdown.begin();
    assert_eq!(event(&mut stream).await, None, "the end of the platform ends the watch");
}

#[tokio::test]
async fn instances_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    bench.put("hello", fake()).await;
    until_ready(&bench, "hello").await;
    bench.demand(&crate::support::revision("hello", 1), 1, 2);
    bench.ready(1);
    let path = format!("{ROOT}/namespaces/default/instances");
    let instances = bench.call("GET", &path, None).await.json();
    let first = &instances["items"][0];
    assert_eq!(first["metadata"]["name"], "hello-00001-i000001");
    let status = &first["status"];
    assert_eq!((&status["phase"], &status["node"]), (&json!("Ready"), &json!("a")));
    assert_eq!((&status["endpoint"], &status["startKind"]), (&json!("local"), &json!("cold")));
    assert_eq!(status["startPhasesMs"][0], json!(["place", 0.0]));
    assert_eq!(instances["items"][1]["status"]["phase"], "Starting");
    let status = bench.call("GET", &self::path("hello"), None).await.json()["status"].take();
    assert_eq!((&status["readyInstances"], &status["startingInstances"]), (&json!(1), &json!(1)));
    let elsewhere = bench.call("GET", &format!("{ROOT}/namespaces/far/instances"), None).await;
    assert_eq!(elsewhere.json()["items"], json!([]));
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    bench.put("hello", fake()).await;
    let log = path("hello/log");
    let texts = |body: &str| -> Vec<String> {
        let lines = body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["line"].as_str().unwrap().to_owned()).collect()
    };
    let all = bench.call("GET", &log, None).await;
    assert_eq!(texts(&all.body), ["line 1", "line 2"]);
    let last = bench.call("GET", &format!("{log}?tailLines=1"), None).await;
    assert_eq!(texts(&last.body), ["line 2"]);
    bench.call("GET", &format!("{log}?tailLines=some"), None).await.status(400);
    let follow = format!("{log}?tailLines=0&follow=true");
    let mut stream = BufReader::new(bench.send("GET", &follow, "localhost", 0, b"").await);
    assert_eq!(event(&mut stream).await.unwrap()["line"], "line 3");
}
