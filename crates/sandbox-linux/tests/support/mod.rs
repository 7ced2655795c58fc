//! What the tests of this crate share: the probe's program, folders as archives,
//! and a look at what instances left behind.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gapless_proto::StartFailure;
use gapless_sandbox::conformance::{Fixture, Lines, PATIENCE};
use gapless_sandbox::{Driver, Started};
use gapless_sandbox_linux::{LinuxConfig, LinuxDriver};
use gapless_types::FunctionSpec;

/// The probe's program, built if need be.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        // TARGET/PROFILE/deps/THIS_TEST
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test.parent().and_then(Path::parent).expect("a test is built in a folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "gapless-probe", "--bin", "gapless-probe"]);
        build.arg("--target-dir").arg(profile.parent().expect("TARGET/PROFILE"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the probe does not build");
        profile.join("gapless-probe")
    })
}

/// One file of a folder: name, content, whether it may be executed.
pub type Item<'a> = (&'a str, &'a [u8], bool);

/// The archive of a folder, as `deploy` makes it.
pub fn archive(at: &Path, items: &[Item<'_>]) -> PathBuf {
    let path = at.join("folder.tar");
    let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
    for (name, content, is_executable) in items {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if *is_executable { 0o755 } else { 0o644 });
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.finish().unwrap();
    path
}

/// A specification that runs `command`.
pub fn spec(command: &[&str]) -> FunctionSpec {
    let mut spec = FunctionSpec::with_defaults();
    spec.command = Some(command.iter().map(ToString::to_string).collect());
    spec
}

/// A driver with a folder of its own, and the probe deployed.
pub struct Setup {
    pub driver: Arc<dyn Driver>,
    pub fixture: Fixture,
    pub root: Arc<tempfile::TempDir>,
}

/// A driver with the defaults, and the probe run by `command`.
pub fn setup(command: &[&str]) -> Setup {
    setup_with(command, &[], |_| {})
}

/// A driver configured by `configure`, and a folder with the probe and `items`.
pub fn setup_with(
    command: &[&str],
    items: &[Item<'_>],
    configure: impl FnOnce(&mut LinuxConfig),
) -> Setup {
    let root = Arc::new(tempfile::tempdir().unwrap());
    let probe = fs::read(probe()).unwrap();
    let mut all = vec![("gapless-probe", &probe[..], true)];
    all.extend_from_slice(items);
    let artifact = archive(root.path(), &all);
    let mut config = LinuxConfig::new(root.path().join("run"));
    configure(&mut config);
    let driver = LinuxDriver::new(config).expect("a driver");
    let run_dir = root.path().join("run");
    let fixture = Fixture::new(spec(command), Some(artifact))
        .with_leftovers(move || leftovers(&run_dir))
        .keeping(root.clone());
    Setup { driver, fixture, root }
}

impl Setup {
    /// Starts one instance that must come up.
    pub async fn start(&self) -> Started {
        self.fixture.start(&self.driver, 1).await
    }

    /// Starts one instance that must not come up, and checks that nothing is left.
    pub async fn fail(&self) -> StartFailure {
        let start = self.driver.start(self.fixture.start_task(1, &Lines::new()));
        let failure = tokio::time::timeout(PATIENCE, start).await.expect("an end");
        self.fixture.assert_nothing_left_now();
        failure.expect_err("a start that fails")
    }
}

/// What instances of a run folder left: processes, sockets, files.
pub fn leftovers(run_dir: &Path) -> Vec<String> {
    let mut left = processes(run_dir);
    for name in ["sockets", "instances", "trash"] {
        let entries = fs::read_dir(run_dir.join(name)).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    left
}

/// Processes whose environment names the run folder.
pub fn processes(run_dir: &Path) -> Vec<String> {
    let needle = run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_owned());
    let needle = needle.to_str().unwrap().to_owned();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let is_ours = String::from_utf8_lossy(&environment).contains(&format!("={needle}/"));
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        is_ours.then(|| format!("process {}: {command}", entry.file_name().display()))
    });
    processes.collect()
}

/// Waits until `is_so`.
pub async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "not within {PATIENCE:?}: {what}");
}
