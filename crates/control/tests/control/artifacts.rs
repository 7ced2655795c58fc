//! Uploaded code: stored whole or not at all, kept as long as it is of use.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Bench, digest, open};

fn wasm(digest: &str) -> Value {
    json!({"wasm": "hello.wasm", "artifact": digest})
}

fn path(digest: &str) -> String {
    format!("/apis/gapless.dev/v1/artifacts/{digest}")
}

async fn until_ready(bench: &Bench, name: &str) {
    while bench.condition(name).await.0 != "True" {
        tokio::task::yield_now().await;
    }
}

/// Waits for what a declaration leaves to its background.
async fn until_gone(bench: &Bench, digest: &str) {
    while bench.artifacts.contains(digest) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_is_there_afterwards_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let name = digest(b"code");
    assert_eq!(bench.call("HEAD", &path(&name), None).await.code, 404);
    assert_eq!(bench.upload(b"code").await, name);
    assert_eq!(bench.call("HEAD", &path(&name), None).await.code, 200);

    let other = digest(b"other");
    let answer = bench.call("PUT", &path(&other), Some(b"code")).await;
    assert!(answer.status(422).contains("damaged or misnamed"), "{answer:?}");
    let large = vec![7u8; (1 << 20) + 1];
    bench.call("PUT", &path(&digest(&large)), Some(&large)).await.status(413);
    assert!(!bench.artifacts.contains(&other) && !bench.artifacts.contains(&digest(&large)));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let name = digest(b"code");
    // The bytes are right and whole, but the request says that more follow.
    let mut stream = bench.send("PUT", &path(&name), "localhost", 100, b"code").await;
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // The server may answer or close; afterwards it is done with the upload.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!bench.artifacts.contains(&name));
}

#[tokio::test]
async fn a_component_needs_its_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let missing = bench.put("hello", json!({"wasm": "hello.wasm"})).await;
    assert!(missing.status(422).contains("gapless deploy"), "{missing:?}");
    let absent = bench.put("hello", wasm(&digest(b"code"))).await;
    assert_eq!(absent.json()["details"]["causes"][0]["field"], "spec.artifact");
    let name = bench.upload(b"code").await;
    assert_eq!(bench.put("hello", wasm(&name)).await.code, 201);
}

#[tokio::test]
async fn artifacts_go_with_the_last_function_that_uses_them() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let (old, new) = (bench.upload(b"old").await, bench.upload(b"new").await);
    for name in ["one", "two"] {
        bench.put(name, wasm(&old)).await;
        until_ready(&bench, name).await;
    }
    bench.put("one", wasm(&new)).await;
    until_ready(&bench, "one").await;
    assert!(bench.artifacts.contains(&old), "two uses it");
    bench.put("two", wasm(&new)).await;
    until_ready(&bench, "two").await;
    // Former revisions are kept, so that one can go back to them.
    for name in ["one", "two"] {
        assert!(bench.artifacts.contains(&old) && bench.artifacts.contains(&new));
        let path = format!("/apis/gapless.dev/v1/namespaces/default/functions/{name}");
        assert_eq!(bench.call("DELETE", &path, None).await.code, 200);
    }
    until_gone(&bench, &new).await;
    until_gone(&bench, &old).await;
}

#[tokio::test]
async fn a_restart_keeps_what_is_used_and_removes_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let (used, unused) = (bench.upload(b"used").await, bench.upload(b"unused").await);
    bench.put("hello", wasm(&used)).await;
    bench.close().await;
    let bench = open(folder.path()).await;
    assert!(bench.artifacts.contains(&used) && !bench.artifacts.contains(&unused));
}

#[tokio::test]
async fn a_refused_declaration_keeps_the_upload_for_the_next_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let name = bench.upload(b"code").await;
    let mut spec = wasm(&name);
    spec["access"] = json!({"route": {"host": "shop.example"}});
    bench.put("one", spec.clone()).await;
    let second = bench.upload(b"second").await;
    spec["artifact"] = json!(second);
    bench.put("two", spec).await.status(422);
    assert!(bench.artifacts.contains(&second));
}

#[tokio::test]
async fn code_that_was_lost_is_said_and_can_be_deployed_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = open(folder.path()).await;
    let name = bench.upload(b"code").await;
    bench.put("hello", wasm(&name)).await;
    until_ready(&bench, "hello").await;
    bench.close().await;
    let hex = name.trim_start_matches("sha256:");
    std::fs::remove_file(folder.path().join("artifacts/sha256").join(hex)).unwrap();
    let bench = open(folder.path()).await;
    // Closed before its course was stored, its preparation is still to fail.
    let message = loop {
        let (status, _, message) = bench.condition("hello").await;
        assert_ne!(status, "True");
        match status.as_str() {
            "False" => break message,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(message.contains("deploy it again"), "{message}");
    bench.upload(b"code").await;
    assert_eq!(bench.put("hello", wasm(&name)).await.code, 200);
    until_ready(&bench, "hello").await;
}
