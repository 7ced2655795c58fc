//! A node that is killed takes its programs, and what they started, with it; the
//! next driver on its folder clears the files.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gapless_sandbox::Driver;
use gapless_sandbox::conformance::Fixture;
use gapless_sandbox_linux::{LinuxConfig, LinuxDriver};
use support::{processes, spec, wait_until};

const RUN_DIR: &str = "TEST_NODE_RUN_DIR";

/// Not a test: the node that the test below kills.
#[tokio::test]
#[ignore = "no test but the process that `a_killed_node_leaves_no_process_and_the_next_one_no_file` runs and kills, in CI too"]
async fn node() {
    let run_dir = PathBuf::from(std::env::var_os(RUN_DIR).expect("run by the test below"));
    let driver: Arc<dyn Driver> = LinuxDriver::new(LinuxConfig::new(run_dir)).unwrap();
    let script = format!("echo x > $HOME/file; {} & wait", support::probe().display());
    let fixture = Fixture::new(spec(&["sh", "-c", &script]), None);
    let started = [fixture.start(&driver, 1).await, fixture.start(&driver, 2).await];
    println!("\nserving");
    std::future::pending::<()>().await;
    drop(started);
}

async fn start_node(run_dir: &Path) -> std::process::Child {
    let mut node = Command::new(std::env::current_exe().unwrap());
    node.args(["--exact", "node", "--ignored", "--nocapture"]);
    let mut node = node.env(RUN_DIR, run_dir).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "serving"), "the node did not start");
    node
}

#[tokio::test]
async fn a_killed_node_leaves_no_process_and_the_next_one_no_file() {
    support::probe();
    let root = tempfile::tempdir().unwrap();
    let run_dir = root.path().join("run");
    let mut node = start_node(&run_dir).await;
    wait_until("two shells and two probes run", || processes(&run_dir).len() == 4).await;
    node.kill().unwrap();
    node.wait().unwrap();
    wait_until("every process is gone", || processes(&run_dir).is_empty()).await;
    assert!(!support::leftovers(&run_dir).is_empty(), "files are left by a killed node");

    let _next = LinuxDriver::new(LinuxConfig::new(&run_dir)).unwrap();
    wait_until("every file is gone", || support::leftovers(&run_dir).is_empty()).await;
}

#[tokio::test]
async fn two_nodes_do_not_share_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let first = LinuxDriver::new(LinuxConfig::new(root.path())).unwrap();
    let error = LinuxDriver::new(LinuxConfig::new(root.path())).unwrap_err();
    assert!(error.to_string().contains("in use by another gapless process"), "{error}");
    drop(first);
    // The warden lets go when its last process is gone.
    let mut again = LinuxDriver::new(LinuxConfig::new(root.path()));
    for _ in 0..1_000 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        again = LinuxDriver::new(LinuxConfig::new(root.path()));
    }
    again.unwrap();
}
