//! `gapless replay` against a real platform.

#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use running::{GAPLESS, Up, folder, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn data() -> tempfile::TempDir {
    // Short, because sockets below it have short paths.
    tempfile::Builder::new().prefix("gl-").tempdir_in("/tmp").unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A trace of `functions` functions, each invoked `each` times in one minute.
fn trace(root: &Path, functions: usize, each: u32, mean_ms: u32) -> PathBuf {
    let mut csv = "function,workload,mean_ms,minute_1\n".to_owned();
    for function in 0..functions {
        csv.push_str(&format!("F_{function},x,{mean_ms},{each}\n"));
    }
    let path = root.join(format!("trace-{functions}-{each}-{mean_ms}.csv"));
    std::fs::write(&path, csv).unwrap();
    path
}

fn functions(up: &Up) -> String {
    up.run(&["get", "functions", "-o", "name"]).out
}

#[test]
fn every_request_of_a_trace_is_answered_and_counted() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    let path = trace(dir.path(), 20, 4, 10);
    let ran = up.run(&["replay", "--trace", text(&path), "--speed", "20", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let is = |field: &str, count: u64| assert_eq!(report[field], count, "{field}: {report}");
    is("invocations", 80);
    is("served", 80);
    for field in ["sheds", "timeouts", "failed", "wrong", "unsent", "unanswered"] {
        is(field, 0);
    }
    assert_eq!(report["is_partial"], false);
    // The first request of each function waits for its start.
    assert!(report["starts"].as_u64().unwrap() >= 20, "{report}");
    assert!(report["cold_ratio"].as_f64().unwrap() >= 0.25, "{report}");
    for field in ["slowdown", "latency_ms", "wait_ms"] {
        for of in ["mean", "p50", "p99", "p999", "max"] {
            assert!(report[field][of].is_number(), "{field} {of}: {report}");
        }
    }
    // A function that works for 10 ms answers after that at the earliest.
    assert!(report["slowdown"]["p50"].as_f64().unwrap() >= 1.0, "{report}");
    assert!(report["late_ms"]["p50"].is_number() && report["late_ms"]["p99"].is_number());
    assert!(report["memory_gb_s"]["idle"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["memory_gb_s"]["used"].is_number());
    assert!(report["wall_s"].is_number() && report["simulated_s"].is_number());
    assert_eq!(functions(&up), "", "what was deployed is deleted");
    up.stop();
}

#[test]
fn functions_of_ones_own_are_deployed_called_and_kept() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    let path = trace(dir.path(), 2, 3, 1);
    let own = dir.path().join("own");
    folder(&own, "F_0", "command: []");
    let yaml = |name: &str| {
        format!(
            "apiVersion: gapless.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\n\
             spec:\n  command: [{GAPLESS:?}, probe]\n"
        )
    };
    std::fs::write(own.join("F_0/gapless.yaml"), yaml("a")).unwrap();
    let replay = ["replay", "--trace", text(&path), "--speed", "60", "--functions", text(&own)];
    let missing = up.run(&replay);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("no folder for F_1;"), "{missing:?}");
    folder(&own, "F_1", "command: []");
    std::fs::write(own.join("F_1/gapless.yaml"), yaml("b")).unwrap();
    let ran = up.run(&[&replay[..], &["--path", "/hello", "--keep"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("invocations         6: "), "{ran:?}");
    assert_eq!(functions(&up), "function/replay-f-0\nfunction/replay-f-1\n");
    // What they do not know is theirs to fail.
    let ran = up.run(&[&replay[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["failed"], &report["served"]), (&6.into(), &0.into()), "{report}");
    assert_eq!(functions(&up), "");
    up.stop();
}

#[test]
fn an_interrupted_replay_says_what_it_has_and_cleans_up() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    let path = trace(dir.path(), 2, 200, 1);
    let mut replay = up.command(&["replay", "--trace", text(&path), "--speed", "0.5", "--json"]);
    let replay = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&replay);
    until("the functions are called", || {
        up.run(&["get", "instances", "-o", "name"]).out.contains("replay-f-")
    });
    kill_process(pid, Signal::INT).unwrap();
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["is_partial"], true);
    assert!(report["invocations"].as_u64().unwrap() < 400, "{report}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted: this is what"));
    assert_eq!(functions(&up), "");
    up.stop();
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &[]);
    let path = trace(dir.path(), 3, 1, 1);
    let wrong = up.run(&["replay", "--trace", text(&path), "--speed", "0"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("must be above 0"), "{wrong:?}");
    let missing = up.run(&["replay", "--trace", "no-such-trace.csv"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("no-such-trace.csv: cannot be read"), "{missing:?}");
    let unreadable = dir.path().join("bad.csv");
    std::fs::write(&unreadable, "function,workload,mean_ms,minute_1\na,x,20,many\n").unwrap();
    let bad = up.run(&["replay", "--trace", text(&unreadable)]);
    assert!(bad.err.contains("bad.csv:2: column \"minute_1\""), "{bad:?}");
    let many = up.run(&["replay", "--trace", text(&path), "--functions-max", "2"]);
    assert!(many.err.contains("--functions-max 3") && many.err.contains("--for"), "{many:?}");
    let none = up.run(&["replay", "--trace", text(&path), "--for", "0s"]);
    assert!(none.err.contains("invokes nothing"), "{none:?}");
    let api = up.api.clone();
    up.stop();
    let mut gone = std::process::Command::new(GAPLESS);
    gone.args(["replay", "--trace", text(&path), "--api", &api]);
    let gone = run(&mut gone);
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("no gapless answers") && gone.err.contains("gapless up"), "{gone:?}");
}
