//! A real platform, as `gapless up` in a process of its own, on free ports and a
//! temporary folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for something that is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const GAPLESS: &str = env!("CARGO_BIN_EXE_gapless");

/// A running platform. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Up {
    child: Child,
    pub(crate) line: String,
    pub(crate) gateway: String,
    pub(crate) api: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Up {
    pub(crate) fn start(data_dir: &Path, flags: &[&str]) -> Self {
        Up::start_at(data_dir, "127.0.0.1:0", flags)
    }

    /// One whose API is at `api`, where the one before was.
    pub(crate) fn start_at(data_dir: &Path, api: &str, flags: &[&str]) -> Self {
        let mut child = command_at(data_dir, api, flags).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let urls: Vec<String> = line
            .split_whitespace()
            .filter(|word| word.starts_with("http://"))
            .map(str::to_owned)
            .collect();
        let [gateway, api] = <[String; 2]>::try_from(urls).expect("two URLs");
        Up { child, line, gateway, api }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Prepares `gapless` against this platform.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(GAPLESS);
        command.args(arguments).env("GAPLESS_API", &self.api).stdin(Stdio::null());
        command
    }

    /// Runs `gapless` against this platform.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it has ended, without reaping it.
    pub(crate) fn has_ended(&self) -> bool {
        !is_alive(&self.pid().as_raw_nonzero().to_string())
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it as a person would.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `gapless up` on free ports.
pub(crate) fn command(data_dir: &Path, flags: &[&str]) -> Command {
    command_at(data_dir, "127.0.0.1:0", flags)
}

fn command_at(data_dir: &Path, api: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(GAPLESS);
    command.args(["up", "--gateway", "127.0.0.1:0", "--api", api, "--data-dir"]);
    command.arg(data_dir).args(flags).stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// Writes a function's folder with one line of `spec` and returns it.
pub(crate) fn folder(root: &Path, name: &str, spec: &str) -> PathBuf {
    let folder = root.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let yaml = format!(
        "apiVersion: gapless.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n"
    );
    std::fs::write(folder.join("gapless.yaml"), yaml).unwrap();
    folder
}

/// A function that runs the probe program.
pub(crate) fn probe(root: &Path, name: &str) -> PathBuf {
    folder(root, name, &format!("command: [{GAPLESS:?}, probe]"))
}

/// Waits until `is_so`; for what is certain to happen, but not at once.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there and not merely waiting to be reaped.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z")
}
