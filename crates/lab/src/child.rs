//! A child process that does not outlive its owner.
//!
//! What always holds: when a [`ChildProcess`] is dropped, however that comes
//! about, the process has been told to stop as a person would (SIGTERM), has been
//! waited for, and if it did not stop, it and whatever is left of its process
//! group have been killed. Ctrl-C takes the same way, because it drops the work.
//! Killing at once would leave what the process itself should have cleaned up: the
//! workers of an nginx, the programs and folders of a platform.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, ChildStdout, Command};

/// How long a process may take to stop when told.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long dropping waits for that, and again after killing.
const DROP_WITHIN: Duration = Duration::from_secs(5);
/// Pause between looks at a process that is stopping.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// A running child.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    name: String,
    child: Child,
}

impl ChildProcess {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches
    /// this program alone, which then ends the child.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        Ok(ChildProcess { name, child })
    }

    /// Its process id; 0 once it has ended.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// What it prints, if that is piped and was not taken before.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, which it has begun by itself.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} does not end", self.name))??)
    }

    /// Tells it to stop and waits for that.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        self.wait().await
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It has not been reaped, so the id is its own; it may have ended.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits on this thread. Whether it has ended.
    fn ends_within(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN_AFTER),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let Some(group) = self.pid() else {
            return;
        };
        self.signal(Signal::TERM);
        if !self.ends_within(DROP_WITHIN) {
            eprintln!("{} does not stop when told: it is killed", self.name);
            let _ = kill_process_group(group, Signal::KILL);
            self.ends_within(DROP_WITHIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ChildProcess {
        ChildProcess::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    fn is_alive(id: u32) -> bool {
        std::path::Path::new(&format!("/proc/{id}")).exists()
    }

    #[tokio::test]
    async fn a_dropped_child_is_told_to_stop_and_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, told) = (folder.path().join("begun"), folder.path().join("told"));
        let script = format!(
            "trap 'touch {}; exit 0' TERM; touch {}; while :; do sleep 0.01; done",
            told.display(),
            begun.display()
        );
        let child = shell(&script);
        while !begun.exists() {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        let id = child.id();
        assert!(is_alive(id));
        drop(child);
        assert!(told.exists(), "it was not told");
        assert!(!is_alive(id));
    }

    #[tokio::test]
    async fn a_child_that_has_ended_is_left_alone() {
        let mut child = shell("exit 3");
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        assert_eq!(child.id(), 0);
    }

    #[tokio::test]
    async fn a_stopped_child_says_how_it_ended() {
        let mut child = shell("exec sleep 60");
        let status = child.stop().await.unwrap();
        assert!(!status.success());
        assert!(child.ended().unwrap().is_some());
    }
}
