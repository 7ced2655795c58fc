//! `gapless sim` and `gapless lab start`, as a user types them.

#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use std::process::{Command, Stdio};

use running::{GAPLESS, Run};
use serde_json::Value;

fn run(args: &[&str]) -> Run {
    running::run(Command::new(GAPLESS).args(args).stdin(Stdio::null()))
}

fn json(args: &[&str]) -> Value {
    let ran = run(args);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// A run that is wrong: what it says.
fn refused(args: &[&str]) -> String {
    let ran = run(args);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out, "", "{ran:?}");
    ran.err
}

#[test]
fn a_simulation_has_every_figure_and_follows_from_its_seed() {
    let args = ["sim", "--generate", "50:5000", "--for", "1h", "--nodes", "3", "--json"];
    let report = json(&args);
    for field in
        ["invocations", "cold_ratio", "starts", "sheds", "simulated_s", "wall_s", "rss_mib"]
    {
        assert!(report[field].is_number(), "{field}: {report}");
    }
    for field in ["p50", "p99", "p999"] {
        assert!(report["slowdown"][field].as_f64().unwrap() >= 1.0, "{field}: {report}");
        assert!(report["latency_ms"][field].is_number(), "{field}: {report}");
    }
    assert!(report["memory_gb_s"]["used"].as_f64().unwrap() > 0.0);
    assert!(report["memory_gb_s"]["idle"].as_f64().unwrap() > 0.0);
    assert_eq!(report["planner"], "planned");
    assert_eq!(json(&args)["slowdown"], report["slowdown"], "the same seed");
    let other = [&args[..], &["--seed", "1"]].concat();
    assert_ne!(json(&other)["latency_ms"], report["latency_ms"], "another");
}

#[test]
fn planners_and_start_models_matter_and_are_named_when_wrong() {
    let p99 = |planner: &str, model: &str| {
        let args = [
            "sim",
            "--nodes",
            "4",
            "--starts-at-once",
            "8",
            "--shape",
            "burst:200",
            "--json",
            "--planner",
            planner,
            "--start-model",
            model,
        ];
        json(&args)["latency_ms"]["p99"].as_f64().unwrap()
    };
    assert!(p99("planned", "contended") < 0.8 * p99("sync", "contended"));
    assert!(p99("sync", "1ms") < 60.0);
    let refused = |flag: &str, value: &str| refused(&["sim", "--shape", "burst:1", flag, value]);
    assert!(refused("--planner", "best").contains("emergency"));
    assert!(refused("--start-model", "fast").contains("catalyzer"));
    assert!(refused("--nodes", "0").contains("nodes: found 0, allowed is 1 to 1000000"));
    assert!(refused("--keep-alive", "long").contains("--keep-alive"));
    assert!(refused("--start-failures", "2").contains("start-failures: found 2"));
    assert!(refused("--memory", "1Mi").contains("needs 128 MiB of memory, and a node has 1 MiB"));
}

#[test]
fn a_trace_that_cannot_be_read_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    let path = path.to_str().unwrap();
    assert!(refused(&["sim", "--trace", path]).contains("trace.csv"), "there is none");
    let wrong = |text: &str| {
        std::fs::write(path, text).unwrap();
        refused(&["sim", "--trace", path])
    };
    assert!(wrong("a,b\n1,2\n").contains("unknown format"));
    let negative = wrong("function,workload,mean_ms,minute_1\nf,x,20,-3\n");
    assert!(negative.contains(":2") && negative.contains("minute_1"), "{negative}");
    let gap = wrong("function,workload,mean_ms,minute_1,minute_3\nf,x,20,3,1\n");
    assert!(gap.contains("gap"), "{gap}");
    assert!(refused(&["sim"]).contains("--generate"), "no workload");
}

#[test]
fn the_lab_compares_and_says_what_it_found() {
    let report = json(&["lab", "start", "--scenario", "burst-easy", "--seeds", "2", "--json"]);
    let rows = report["rows"].as_array().unwrap();
    for planner in ["planned", "sync", "async", "window", "dirigent", "emergency"] {
        assert!(rows.iter().any(|row| row["planner"] == planner), "{planner}");
    }
    let goals = report["goals"]["rows"].as_array().unwrap();
    assert!(!goals.is_empty() && goals.iter().all(|goal| goal["ok"] == true), "{goals:?}");
    assert!(refused(&["lab", "start", "--scenario", "none"]).contains("azure244"));
    assert!(refused(&["lab", "start", "--seeds", "0"]).contains("--seeds: found 0"));
    assert!(run(&["lab", "start", "--list"]).out.contains("keep-alive-gap"));
}

/// How often the platform is run before the machine is believed: a neighbour's burst
/// makes one run late, and nothing here is about the machine.
const ATTEMPTS: usize = 3;
/// The driver itself may be this late; beyond, the machine has no time for the test.
const LATE_MAX_MS: f64 = 20.0;

#[test]
fn the_simulator_is_within_a_quarter_of_the_platform() {
    for attempt in 1..=ATTEMPTS {
        let report = json(&["lab", "start", "--real", "--seeds", "1", "--json"]);
        let rows = report["rows"].as_array().unwrap();
        assert!(rows.len() >= 3, "{report}");
        let off = report["findings"]["rows"].as_array().unwrap();
        assert_eq!(off.len(), 2 * rows.len());
        if off.iter().all(|row| row["ok"] == true) {
            return;
        }
        let late = |row: &Value| row["driver_late_ms"].as_f64().unwrap() > LATE_MAX_MS;
        if attempt == ATTEMPTS {
            if rows.iter().any(late) {
                println!("SKIPPED: this machine is too busy, requests were sent late: {rows:?}");
                return;
            }
            panic!("{off:?}\n{rows:?}");
        }
    }
}
