//! One process from its start to its end, as the warden holds it.
//!
//! ```text
//!            listens             exits by itself
//!  Starting ────────> Live ───────────────────────┐
//!     │ ╲              │ told to stop, or dropped │
//!     │  ╲ given up,   v                          │
//!     │   ╲ dropped  Ending (SIGTERM, SIGKILL)    │
//!     │    ╲──────────>│ exits                    │
//!     │ exits          v                          v
//!     └────────────> Emptying: the leader is reaped, its group is killed
//!                      │ nobody of the group is left
//!                      v
//!                    gone: scratch folder, socket and port too; whoever waits is told
//! ```

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_proto::{StartFailure, StartReport};
use gapless_sandbox::{LogSink, LogStream};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};
use tokio::sync::{oneshot, watch};

use crate::diagnose::{Evidence, Exit, GivenUp, died, exited_early, gave_up};
use crate::examine::has_living;
use crate::launch::Launch;
use crate::logs::Lines;
use crate::orders::Live;
use crate::spawn::Spawned;

/// Shortest and longest pause between two looks at a program that starts.
const LOOK_MIN: Duration = Duration::from_micros(100);
const LOOK_MAX: Duration = Duration::from_millis(1);
/// The pause grows with the time passed, by this part of it.
const LOOK_PART: u32 = 16;
/// Pause before the first look at a group that is dying, and between further ones.
const EMPTY_LOOK_FIRST: Duration = Duration::from_millis(1);
const EMPTY_LOOK: Duration = Duration::from_millis(10);
/// The pause after a look that found another program on the port.
const LOST_PORT_LOOK: Duration = Duration::from_millis(20);
/// How long a killed group may take to be gone before it is left to the kernel.
const EMPTYING_MAX: Duration = Duration::from_secs(1);
/// Bytes taken of one output in a turn, so that a talkative program delays nobody.
const READ_BYTES: usize = 64 * 1024;
/// Turns after which what a dead program wrote is not read any further.
const LAST_READS_MAX: usize = 64;

/// A process and what belongs to it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) launch: Box<Launch>,
    pub(crate) port: u16,
    pub(crate) pid: Pid,
    /// Gone once the process is reaped.
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) stage: Stage,
    /// How much it used when it was ended for that.
    pub(crate) over_memory: Option<u64>,
    /// Dropped, and so told, when nothing is left.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

/// Where it is in its life.
#[derive(Debug)]
pub(crate) enum Stage {
    Starting(Starting),
    Live(watch::Sender<Option<StartFailure>>),
    /// Told to end; killed when its time is up.
    Ending {
        kill_at: Option<Instant>,
        outcome: Outcome,
    },
    Emptying {
        since: Instant,
        look_at: Instant,
        exit: Exit,
        outcome: Outcome,
    },
}

/// A start that somebody waits for.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) reply: oneshot::Sender<Result<Live, StartFailure>>,
    pub(crate) report: StartReport,
    pub(crate) exec_at: Instant,
    pub(crate) look_at: Instant,
    /// Whether its Unix socket has appeared.
    pub(crate) has_socket: bool,
    pub(crate) examine_at: Instant,
    /// Where it was last seen to listen instead.
    pub(crate) elsewhere: Option<String>,
    /// Whether another program took its port.
    pub(crate) has_lost_port: bool,
}

/// Who is told what at the end.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was to end.
    Wanted,
    /// It did not become ready.
    NotStarted(oneshot::Sender<Result<Live, StartFailure>>, Option<GivenUp>),
    /// It died.
    Died(watch::Sender<Option<StartFailure>>),
}

/// One of the program's output streams.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) pipe: Option<File>,
    pub(crate) lines: Lines,
}

impl Output {
    /// A stream that is read from `pipe`.
    pub(crate) fn new(pipe: File, stream: LogStream) -> Self {
        Output { pipe: Some(pipe), lines: Lines::new(stream) }
    }

    /// Reads what there is, once. Returns whether there may be more.
    pub(crate) fn read_once(&mut self, buffer: &mut Vec<u8>, sink: &dyn LogSink) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        buffer.resize(READ_BYTES, 0);
        match pipe.read(buffer) {
            Ok(0) => {
                self.lines.finish(sink);
                self.pipe = None;
                false
            }
            Ok(read) => {
                self.lines.push(&buffer[..read], sink);
                true
            }
            Err(error) => error.kind() == std::io::ErrorKind::Interrupted,
        }
    }

    /// Reads what a dead program wrote last.
    fn read_last(&mut self, buffer: &mut Vec<u8>, sink: &dyn LogSink) {
        for _ in 0..LAST_READS_MAX {
            if !self.read_once(buffer, sink) {
                break;
            }
        }
    }
}

impl Starting {
    /// A start that has come as far as exec.
    pub(crate) fn new(
        reply: oneshot::Sender<Result<Live, StartFailure>>,
        report: StartReport,
        exec_at: Instant,
        examine_every: Duration,
    ) -> Self {
        Starting {
            reply,
            report,
            exec_at,
            look_at: exec_at + LOOK_MIN,
            has_socket: false,
            examine_at: exec_at + examine_every,
            elsewhere: None,
            has_lost_port: false,
        }
    }

    /// Sets the next look: soon for a young process or one whose socket is there.
    pub(crate) fn looked(&mut self, now: Instant) {
        let pause = if self.has_lost_port {
            LOST_PORT_LOOK
        } else if self.has_socket {
            LOOK_MIN
        } else {
            ((now - self.exec_at) / LOOK_PART).clamp(LOOK_MIN, LOOK_MAX)
        };
        self.look_at = now + pause;
    }
}

impl Process {
    /// A process whose program has just taken over.
    pub(crate) fn new(
        launch: Box<Launch>,
        port: u16,
        spawned: Spawned,
        [stdout, stderr]: [Output; 2],
        starting: Starting,
    ) -> Self {
        Process {
            launch,
            port,
            pid: spawned.pid,
            pidfd: Some(spawned.pidfd),
            stdout,
            stderr,
            stage: Stage::Starting(starting),
            over_memory: None,
            waiting: Vec::new(),
        }
    }

    /// When the warden has to look at it next.
    pub(crate) fn wakes_at(&self, start_timeout: Duration) -> Option<Instant> {
        match &self.stage {
            Stage::Starting(starting) => Some(
                starting.look_at.min(starting.examine_at).min(starting.exec_at + start_timeout),
            ),
            Stage::Live(_) => None,
            Stage::Ending { kill_at, .. } => *kill_at,
            Stage::Emptying { look_at, .. } => Some(*look_at),
        }
    }

    /// Signals it and everything it started.
    pub(crate) fn signal(&self, signal: Signal) {
        // Until the leader is reaped, the group's number cannot be another's.
        if self.pidfd.is_some() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Tells it to end, and ends it after `grace`.
    pub(crate) fn end(&mut self, grace: Duration, outcome: Outcome) {
        let now = Instant::now();
        if grace.is_zero() {
            self.signal(Signal::KILL);
            self.stage = Stage::Ending { kill_at: None, outcome };
        } else {
            self.signal(Signal::TERM);
            self.stage = Stage::Ending { kill_at: now.checked_add(grace), outcome };
        }
    }

    /// Its leader has exited: takes its status and kills the rest of its group.
    pub(crate) fn reap(&mut self, buffer: &mut Vec<u8>) {
        let Some(pidfd) = self.pidfd.take() else { return };
        let _ = kill_process_group(self.pid, Signal::KILL);
        let exit = match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => Exit::Status(status),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            Ok(None) | Err(_) => Exit::Unknown,
        };
        self.read_last(buffer);
        let since = Instant::now();
        let emptying = |outcome| {
            let look_at = since + EMPTY_LOOK_FIRST;
            Stage::Emptying { since, look_at, exit, outcome }
        };
        let before = std::mem::replace(&mut self.stage, emptying(Outcome::Wanted));
        let outcome = match before {
            Stage::Starting(starting) => {
                let given_up = starting.has_lost_port.then_some(GivenUp::LostPort);
                Outcome::NotStarted(starting.reply, given_up)
            }
            Stage::Live(died) => Outcome::Died(died),
            Stage::Ending { outcome, .. } | Stage::Emptying { outcome, .. } => outcome,
        };
        self.stage = emptying(outcome);
    }

    /// Whether nobody of its group is left, or nobody is waited for any longer.
    pub(crate) fn is_empty(&mut self) -> bool {
        let Stage::Emptying { since, look_at, .. } = &mut self.stage else { return false };
        let now = Instant::now();
        if test_kill_process_group(self.pid).is_err() || now - *since >= EMPTYING_MAX {
            return true;
        }
        if now < *look_at {
            return false;
        }
        *look_at = now + EMPTY_LOOK;
        // The dead are init's to reap, which some do late or never.
        !has_living(self.pid)
    }

    /// Reads its last words.
    pub(crate) fn read_last(&mut self, buffer: &mut Vec<u8>) {
        let logs: &Arc<dyn LogSink> = &self.launch.logs;
        self.stdout.read_last(buffer, &**logs);
        self.stderr.read_last(buffer, &**logs);
    }

    /// The end: tells whoever waits.
    pub(crate) fn finish(self) {
        let Process { launch, port, mut stdout, mut stderr, stage, over_memory, waiting, .. } =
            self;
        stdout.lines.finish(&*launch.logs);
        stderr.lines.finish(&*launch.logs);
        let Stage::Emptying { exit, outcome, .. } = stage else { return };
        let evidence = Evidence {
            command: &launch.command,
            memory_bytes_max: launch.memory_bytes_max,
            over_memory,
            stdout: &stdout.lines,
            stderr: &stderr.lines,
        };
        match outcome {
            Outcome::Wanted => {}
            Outcome::NotStarted(reply, given_up) => {
                let failure = match given_up {
                    Some(why) => gave_up(&why, port, &evidence),
                    None => exited_early(exit, port, &evidence),
                };
                // Dropped: nobody waits for it any more.
                let _ = reply.send(Err(failure));
            }
            Outcome::Died(sender) => {
                sender.send_replace(Some(died(exit, &evidence)));
            }
        }
        drop(waiting);
    }
}
