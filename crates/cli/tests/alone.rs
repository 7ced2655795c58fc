//! What the command does without a platform: usage, exit codes, suggestions.

use std::process::Command;

fn gapless(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(arguments)
        .env_remove("GAPLESS_API")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn misspelt_commands_and_flags_are_suggested() {
    let (code, _, err) = gapless(&["deplyo"]);
    assert_eq!(code, 2);
    assert!(err.contains("'deploy'"), "{err}");
    let (code, _, err) = gapless(&["get", "functions", "--watc"]);
    assert_eq!(code, 2);
    assert!(err.contains("'--watch'"), "{err}");
}

#[test]
fn nobody_there_is_told_with_the_address() {
    // Port 1 is nobody's, and the kernel never gives it out.
    let url = "http://127.0.0.1:1";
    for command in [&["get", "nodes"][..], &["invoke", "x"], &["logs", "x"], &["top"]] {
        let arguments: Vec<&str> =
            ["--api", url].into_iter().chain(command.iter().copied()).collect();
        let (code, out, err) = gapless(&arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{command:?}");
        assert!(err.contains(&format!("no gapless answers at {url}")), "{err}");
        assert!(err.contains("help: start one with `gapless up`"), "{err}");
    }
}

#[test]
fn wrong_use_ends_with_2() {
    for command in [
        &["get", "functions", "-n", "A_B"][..],
        &["invoke", "Hello"],
        &["--api", "https://x", "get", "nodes"],
        &["deploy", "--timeout", "5"],
        &["up", "--gateway", "localhost"],
        &["up", "--fake-nodes", "999999"],
        &["delete"],
        &[],
    ] {
        let (code, _, err) = gapless(command);
        assert_eq!(code, 2, "{command:?}: {err}");
    }
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "up",
        "demo",
        "new",
        "deploy",
        "invoke",
        "get",
        "describe",
        "logs",
        "delete",
        "top",
        "bench",
        "doctor",
        "completions",
    ];
    for command in commands {
        let (code, out, err) = gapless(&[command, "--help"]);
        assert_eq!(code, 0, "{command}: {err}");
        assert!(out.contains("Examples:") && out.contains("Usage: gapless"), "{command}: {out}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = gapless(&["completions", shell]);
        assert_eq!(code, 0, "{shell}: {err}");
        assert!(out.contains("deploy"), "{shell}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    let (code, out, _) = gapless(&["--version"]);
    assert_eq!((code, out), (0, format!("gapless {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = gapless(&["deploy", "--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:"), "{out}");
}

#[test]
fn doctor_reports_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) =
        gapless(&["doctor", "-o", "json", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(of("data folder")["state"], "ok");
    assert_eq!(of("linux kernel")["state"], "ok");
    let (code, _, err) = gapless(&["doctor", "--data-dir", "/proc/gapless"]);
    assert_eq!(code, 1);
    assert!(err.contains("this machine cannot run gapless"), "{err}");
}
