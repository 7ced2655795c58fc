//! `gapless up` for real: its start, its ends, and the way through it.

mod running;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use running::{Up, command, folder, is_alive, probe, run, until};
use rustix::process::Signal;

fn data() -> tempfile::TempDir {
    // Short, because sockets below it have short paths.
    tempfile::Builder::new().prefix("gl-").tempdir_in("/tmp").unwrap()
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn it_says_that_it_is_ready_and_leaves_nothing_behind() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &["--fake-nodes", "2"]);
    assert_eq!(up.line, format!("gapless ready: gateway {} api {}\n", up.gateway, up.api));
    let nodes = up.run(&["get", "nodes", "-o", "name"]);
    assert_eq!(nodes.out, "node/fake-00001\nnode/fake-00002\nnode/local\n", "{nodes:?}");
    up.stop();
    let left: Vec<_> = walk(&dir.path().join("data"));
    assert!(left.iter().all(|path| !path.contains("/run/")), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        found.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        }
    }
    found
}

#[test]
fn a_program_is_deployed_called_logged_and_gone_with_the_platform() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    let deployed = up.run(&["deploy", text(&probe(dir.path(), "p"))]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert_eq!(up.run(&["invoke", "p", "-p", "/hello"]).out.trim(), "hello");
    let echoed = up.run(&["invoke", "p", "-p", "/echo", "-d", "to and fro"]);
    assert_eq!(echoed.out, "to and fro", "{echoed:?}");
    let timed = up.run(&["invoke", "p", "-p", "/hello", "-i"]).err;
    assert!(timed.contains("server-timing: "), "{timed}");
    let missing = up.run(&["invoke", "p", "-p", "/nowhere"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("function default/p answered: 404"), "{missing:?}");
    let listed = up.run(&["get", "instances", "-o", "wide"]).out;
    assert!(listed.contains("p-00001-i000001") && listed.contains("Ready"), "{listed}");
    let pid = up.run(&["invoke", "p", "-p", "/instance"]).out.trim().to_owned();
    assert!(is_alive(&pid));
    up.stop();
    assert!(!is_alive(&pid), "nothing outlives the platform");
}

#[test]
fn what_a_function_writes_is_followed_as_it_comes() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    up.run(&["deploy", text(&probe(dir.path(), "p"))]);
    up.run(&["invoke", "p", "-p", "/log/before"]);
    let mut follow = up.command(&["logs", "-f", "p", "-o", "name"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    // To stdout and to stderr.
    assert_eq!([next(), next()], ["before", "before"]);
    up.run(&["invoke", "p", "-p", "/log/after"]);
    assert_eq!(next(), "after");
    up.stop();
    let status = follow.wait().unwrap();
    assert_eq!(status.code(), Some(0), "the log ends with the platform");
}

#[test]
fn a_component_is_compiled_and_called() {
    let dir = data();
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/dist/hello.wasm");
    let up = Up::start(&dir.path().join("data"), &[]);
    let path = folder(dir.path(), "hello", "wasm: hello.wasm");
    std::fs::copy(hello, path.join("hello.wasm")).unwrap();
    let deployed = up.run(&["deploy", text(&path)]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert_eq!(up.run(&["invoke", "hello"]).out, "hello\n");
    let wrong = folder(dir.path(), "wrong", "wasm: hello.wasm");
    std::fs::write(wrong.join("hello.wasm"), "not a component").unwrap();
    let refused = up.run(&["deploy", text(&wrong)]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("error: function default/wrong failed: "), "{refused:?}");
}

#[test]
fn functions_survive_a_restart() {
    let dir = data();
    let data = dir.path().join("data");
    let path = folder(dir.path(), "model", "fake: {start: 1ms, service: 1ms}");
    let up = Up::start(&data, &["--fake-nodes", "1"]);
    up.run(&["deploy", text(&path)]);
    up.stop();
    let mut up = Up::start(&data, &["--fake-nodes", "1"]);
    assert_eq!(up.run(&["invoke", "model"]).code, 0);
    // And a crash.
    up.signal(Signal::KILL);
    up.wait();
    let up = Up::start(&data, &["--fake-nodes", "1"]);
    assert_eq!(up.run(&["get", "functions", "-o", "name"]).out, "function/model\n");
    assert_eq!(up.run(&["delete", "model"]).code, 0);
    let gone = up.run(&["invoke", "model"]);
    assert!(gone.err.contains("404 (no-such-function)"), "{gone:?}");
}

#[test]
fn what_is_under_way_ends_before_the_platform_does() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    up.run(&["deploy", text(&probe(dir.path(), "p"))]);
    up.run(&["invoke", "p", "-p", "/hello"]);
    let mut slow = up.command(&["invoke", "p", "-p", "/sleep/700"]);
    let slow = slow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = |wanted: &str| up.run(&["top", "--interval", "100ms"]).out.contains(wanted);
    until("the call is under way", || metrics(" 1 in flight"));
    up.stop();
    let output = slow.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_takes_its_instances_along() {
    let dir = data();
    let mut up = Up::start(&dir.path().join("data"), &[]);
    up.run(&["deploy", text(&probe(dir.path(), "p"))]);
    let pid = up.run(&["invoke", "p", "-p", "/instance"]).out.trim().to_owned();
    let mut slow = up.command(&["invoke", "p", "-p", "/sleep/600000"]);
    let mut slow = slow.stderr(Stdio::null()).spawn().unwrap();
    let metrics = |wanted: &str| up.run(&["top", "--interval", "100ms"]).out.contains(wanted);
    until("the call is under way", || metrics(" 1 in flight"));
    // Two that come at the same moment count as one.
    until("it has ended", || {
        up.signal(Signal::INT);
        up.has_ended()
    });
    assert_eq!(up.wait().code(), Some(130));
    assert_eq!(slow.wait().unwrap().code(), Some(1));
    until("the instance is gone", || !is_alive(&pid));
}

#[test]
fn a_killed_platform_takes_its_instances_along_and_can_be_started_again() {
    let dir = data();
    let data = dir.path().join("data");
    let mut up = Up::start(&data, &[]);
    up.run(&["deploy", text(&probe(dir.path(), "p"))]);
    let pid = up.run(&["invoke", "p", "-p", "/instance"]).out.trim().to_owned();
    up.signal(Signal::KILL);
    up.wait();
    until("the instance is gone", || !is_alive(&pid));
    let up = Up::start(&data, &[]);
    assert_eq!(up.run(&["invoke", "p", "-p", "/hello"]).out.trim(), "hello");
}

#[test]
fn a_port_in_use_names_who_has_it_and_the_flag() {
    let dir = data();
    let data = dir.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for flag in ["--gateway", "--api"] {
        let of = |other: &str| if flag == other { address.clone() } else { "127.0.0.1:0".into() };
        let mut up = Command::new(running::GAPLESS);
        up.args(["up", "--gateway", &of("--gateway"), "--api", &of("--api"), "--data-dir"]);
        let refused = run(up.arg(&data));
        assert_eq!(refused.code, 1);
        let holder = format!("{address}: the port is in use by ");
        assert!(refused.err.contains(&holder), "{refused:?}");
        assert!(refused.err.contains(&format!("(pid {})", std::process::id())), "{refused:?}");
        assert!(refused.err.contains(&format!("choose another port: {flag} 127")), "{refused:?}");
    }
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn a_folder_that_cannot_be_used_says_why() {
    let dir = data();
    let data = dir.path().join("data");
    let first = Up::start(&data, &[]);
    let second = run(&mut command(&data, &[]));
    assert_eq!(second.code, 1);
    let pid = first.pid().as_raw_nonzero();
    let expected = format!("is in use by another gapless (pid {pid})");
    assert!(second.err.contains(&expected), "{second:?}");
    assert_eq!(first.run(&["get", "functions"]).code, 0, "the first goes on");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for folder in [std::path::Path::new("/proc/gapless"), &file, &file.join("data")] {
        let refused = run(&mut command(folder, &[]));
        assert_eq!(refused.code, 1);
        assert!(
            refused.err.contains("cannot start the platform: cannot make data folder"),
            "{refused:?}"
        );
        assert!(refused.err.contains("--data-dir"), "{refused:?}");
    }
}

#[test]
fn other_machines_are_let_in_only_when_asked_and_with_a_warning() {
    let mut up = Command::new(running::GAPLESS);
    up.args(["up", "--gateway", "0.0.0.0:0", "--api", "127.0.0.1:0", "--data-dir", "/proc/x"]);
    let warned = run(&mut up);
    let expected = "warning: the gateway listens on 0.0.0.0:0, where other machines may reach it";
    assert!(warned.err.contains(expected), "{warned:?}");
    assert!(!warned.err.contains("the API listens"), "{warned:?}");
}
