//! The commands that talk to a platform, as the real binary against a stub.

mod stub;

use std::process::Command;

use stub::{Stub, folder, run};

#[test]
fn a_program_is_packed_sent_once_and_awaited() {
    let stub = Stub::start();
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "command: [python3, server.py]");
    std::fs::write(dir.path().join("server.py"), "print()").unwrap();
    let path = dir.path().to_str().unwrap();

    let first = stub.run(&["deploy", path]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.out.contains("function default/hello is ready, revision hello-00001"),
        "{first:?}"
    );
    assert!(first.out.contains("gapless invoke hello"), "{first:?}");
    assert!(first.err.contains("uploaded"), "{first:?}");
    let digest = stub.state.lock().unwrap().functions["default/hello"].spec.artifact.clone();
    assert!(stub.state.lock().unwrap().artifacts.contains_key(&digest.unwrap()));

    let again = stub.run(&["deploy", path]);
    assert!(again.err.contains("code unchanged"), "{again:?}");
    let puts = |calls: &[String]| {
        calls.iter().filter(|call| call.starts_with("PUT /apis/gapless.dev/v1/art")).count()
    };
    assert_eq!(puts(&stub.state.lock().unwrap().calls), 1);

    let other = stub.run(&["deploy", path, "--name", "other", "-n", "staging"]);
    assert!(other.out.contains("staging/other is ready"), "{other:?}");
    assert!(other.out.contains("gapless invoke other -n staging"), "{other:?}");
}

#[test]
fn a_function_that_fails_fails_its_deployment() {
    let stub = Stub::start();
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "fake: {start: 5ms, service: 1ms}");
    let path = dir.path().to_str().unwrap();
    stub.state.lock().unwrap().ready =
        ("False".into(), "it exited with 1 before it listened".into());
    let failed = stub.run(&["deploy", path]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.err.contains("error: function default/hello failed: it exited with 1"),
        "{failed:?}"
    );
    assert!(failed.err.contains("help: (Stub) see `gapless logs hello`"), "{failed:?}");
    // Nobody waits for what was not asked for.
    let no_wait = stub.run(&["deploy", path, "--no-wait"]);
    assert_eq!((no_wait.code, no_wait.out.as_str()), (0, "function default/hello deployed\n"));
}

#[test]
fn what_is_missing_in_the_folder_is_told_before_anything_is_sent() {
    let stub = Stub::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let none = stub.run(&["deploy", path]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("no gapless.yaml in"), "{none:?}");
    folder(dir.path(), "wasm: hello.wasm");
    let no_code = stub.run(&["deploy", path]);
    assert!(no_code.err.contains("hello.wasm: it does not exist"), "{no_code:?}");
    assert!(stub.state.lock().unwrap().calls.is_empty());
}

#[test]
fn functions_are_listed_described_and_deleted() {
    let stub = Stub::start();
    let empty = stub.run(&["get", "functions"]);
    assert_eq!((empty.code, empty.out.as_str(), empty.err.as_str()), (0, "", "no functions\n"));
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "fake: {start: 5ms, service: 1ms}");
    let path = dir.path().to_str().unwrap();
    stub.run(&["deploy", path, "--no-wait"]);
    stub.run(&["deploy", path, "--no-wait", "-n", "staging"]);

    let table = stub.run(&["get", "functions", "-A"]).out;
    assert!(table.starts_with("NAMESPACE   NAME    READY"), "{table}");
    assert!(table.contains("\nstaging     hello   True"), "{table}");
    let json = stub.run(&["get", "functions", "hello", "-o", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["metadata"]["name"], "hello");
    let yaml = stub.run(&["get", "fn", "-o", "yaml"]).out;
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml["items"][0], json);
    assert_eq!(stub.run(&["get", "functions", "-A", "-o", "name"]).out.lines().count(), 2);
    let watched = stub.run(&["get", "functions", "-w", "-o", "name"]);
    assert_eq!((watched.code, watched.out.as_str()), (1, "function/hello\n"), "{watched:?}");
    assert!(watched.err.contains("nothing changes here"), "a watch goes on: {watched:?}");

    let described = stub.run(&["describe", "function", "hello"]).out;
    for part in ["Name:         hello", "Ready = True (Stub", "Instances: none", "line 9"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let none = stub.run(&["get", "functions", "nope"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("function nope: there is none in namespace default"), "{none:?}");

    assert_eq!(stub.run(&["delete", "hello"]).out, "function default/hello deleted\n");
    let gone = stub.run(&["delete", "hello", "nope"]);
    assert_eq!(gone.code, 1);
    assert_eq!(gone.err.matches("error: cannot delete function").count(), 2, "{gone:?}");
    assert_eq!(stub.run(&["delete", "hello", "--ignore-not-found"]).code, 0);
}

#[test]
fn a_call_goes_through_the_gateway_as_it_was_asked_for() {
    let stub = Stub::start();
    let plain = stub.run(&["invoke", "hello"]);
    assert_eq!(plain.out, "GET hello.default.localhost / [] [] \n", "{plain:?}");
    let json =
        stub.run(&["invoke", "hello", "-n", "a", "-d", "{}", "-p", "x?y=1", "-H", "x-extra: z"]);
    assert_eq!(json.out, "POST hello.a.localhost /x?y=1 [application/json] [z] {}\n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    std::fs::write(&file, "from a file").unwrap();
    let sent = stub.run(&["invoke", "hello", "-X", "PUT", "-d", &format!("@{}", file.display())]);
    assert_eq!(
        sent.out,
        "PUT hello.default.localhost / [application/octet-stream] [] from a file\n"
    );
    let shown = stub.run(&["invoke", "hello", "-i"]);
    assert!(shown.err.contains("HTTP/1.1 200 OK\n"), "{shown:?}");
    assert!(shown.err.contains("server-timing: execute;dur=1\n"), "{shown:?}");
    assert!(shown.err.contains("first byte after "), "{shown:?}");
}

#[test]
fn refusals_and_errors_are_told_apart() {
    let stub = Stub::start();
    let refused = stub.run(&["invoke", "hello", "-p", "/refuse"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let expected = "error: cannot call function default/hello: 429 (queue-full): 1000 requests wait \
                    already\nhelp: try again in 2 s";
    assert!(refused.err.starts_with(expected), "{refused:?}");
    let own = stub.run(&["invoke", "hello", "-p", "/teapot"]);
    assert_eq!(own.code, 1);
    assert!(own.out.starts_with("GET hello"), "the function's own answer is printed: {own:?}");
    assert!(own.err.contains("function default/hello answered: 418"), "{own:?}");
    let missing = stub.run(&["invoke", "hello", "-d", "@/nonexistent"]);
    assert_eq!(missing.code, 2);
}

#[test]
fn logs_are_shown_by_line() {
    let stub = Stub::start();
    let log = stub.run(&["logs", "hello", "--tail", "2"]).out;
    assert_eq!(log, "03:04:05.678 i000001   line 0\n03:04:05.678 i000001   line 1\n");
    assert_eq!(stub.run(&["logs", "hello", "--tail", "1", "-o", "name"]).out, "line 0\n");
}

#[test]
fn top_prints_once_without_a_terminal() {
    let stub = Stub::start();
    let top = stub.run(&["top", "--interval", "100ms"]);
    assert_eq!(top.code, 0, "{top:?}");
    assert!(top.out.contains("0 functions"), "{top:?}");
    let json = stub.run(&["top", "--interval", "100ms", "-o", "json"]).out;
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["functions"].is_array());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let stub = Stub::start();
    let url = stub.run(&["get", "nodes", "-o", "json"]);
    assert_eq!(url.code, 0);
    let line = format!("{} completions bash | head -1", env!("CARGO_BIN_EXE_gapless"));
    let script = format!("set -o pipefail; {line}");
    let piped = run(Command::new("bash").args(["-c", &script]));
    assert_eq!((piped.code, piped.err.as_str()), (0, ""), "{piped:?}");
}
