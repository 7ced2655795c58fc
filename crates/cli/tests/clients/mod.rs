//! Clients of Kubernetes, unmodified, against a real platform: each in a home folder of
//! its own, told nothing but where the server is.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::running::{Run, Up, run};

/// Longest wait for something that is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A platform, and kubectl pointed at it.
pub(crate) struct Kubectl {
    program: PathBuf,
    home: tempfile::TempDir,
    pub(crate) up: Up,
}

impl Kubectl {
    /// `None`, said on stderr, where there is no kubectl.
    pub(crate) fn start() -> Option<Self> {
        let named = std::env::var_os("KUBECTL").map(PathBuf::from);
        let Some(program) = named.or_else(|| in_path("kubectl")) else {
            eprintln!(
                "SKIPPED: no kubectl in PATH, nor named by KUBECTL; get one with \
                 `apt-get install kubernetes-client`"
            );
            return None;
        };
        // Short, because sockets below it have short paths.
        let home = tempfile::Builder::new().prefix("gk-").tempdir_in("/tmp").unwrap();
        let up = Up::start(&home.path().join("data"), &["--fake-nodes", "3"]);
        Some(Kubectl { program, home, up })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(format!("--server={}", self.up.api)).args(arguments);
        // Nothing of whoever runs the test reaches it.
        command.env("HOME", self.home.path()).env_remove("KUBECONFIG").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// What it prints; it must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "kubectl {arguments:?}: {run:?}");
        run.out
    }

    /// What it says against it; it must fail.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_ne!(run.code, 0, "kubectl {arguments:?}: {run:?}");
        run.err
    }

    /// Runs it with a manifest as its input.
    pub(crate) fn given(&self, arguments: &[&str], manifest: &str) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Run { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Applies a manifest and returns what is said of it.
    pub(crate) fn apply(&self, manifest: &str) -> String {
        let applied = self.given(&["apply", "-f", "-"], manifest);
        assert_eq!(applied.code, 0, "{manifest}\n{applied:?}");
        applied.out
    }

    /// One field of an object.
    pub(crate) fn field(&self, object: &str, path: &str) -> String {
        self.ok(&["get", object, "-o", &format!("jsonpath={{{path}}}")])
    }
}

/// A program of this name, where a shell would look.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A client that goes on, and what it has printed.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Running { child, lines, seen: Vec::new() }
    }

    /// The next line that `is_meant`; those before it stay seen.
    pub(crate) fn line(&mut self, what: &str, is_meant: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if is_meant(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{what}: not within {PATIENCE:?}: {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{what}: it ended before: {:#?}", self.seen)
                }
            }
        }
    }

    /// The next line, if it is there already.
    pub(crate) fn printed(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Waits until it has ended by itself; how.
    pub(crate) fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
