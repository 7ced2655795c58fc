//! The warden's starts: from an order to a program that listens, or the reason why
//! it does not.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::thread;
use std::time::{Duration, Instant};

use gapless_proto::{StartFailure, StartKind, StartPhase, StartReport};
use gapless_sandbox::LogStream;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use tokio::sync::{oneshot, watch};

use super::Warden;
use crate::config::DATA_HEADROOM_BYTES;
use crate::diagnose::{GivenUp, not_created, not_spawned, wrong_port};
use crate::examine::{listens_elsewhere, owns};
use crate::launch::Launch;
use crate::orders::{Address, Live, Order};
use crate::process::{Outcome, Output, Process, Stage, Starting};
use crate::readiness::unix_accepts;
use crate::spawn::{Limits, Program, SpawnError, Spawned, Streams};

/// A program that listens elsewhere is looked at this often before it is given up.
const EXAMINATIONS: u32 = 4;

impl Warden {
    /// Starts a program, and puts it among those looked at.
    pub(super) fn start(
        &mut self,
        mut launch: Box<Launch>,
        reply: oneshot::Sender<Result<Live, StartFailure>>,
    ) {
        if reply.is_closed() {
            return;
        }
        let port = match self.ports.take() {
            Ok(port) => port,
            Err(error) => return drop(reply.send(Err(not_created("a port", &error)))),
        };
        let raised = match self.raise(&launch, port) {
            Ok(raised) => raised,
            Err(failure) => {
                self.clear(&mut launch, port);
                // Dropped: nobody waits for it any more.
                return drop(reply.send(Err(failure.explain(&launch.command))));
            }
        };
        let examine_every = self.config.wrong_port_patience / EXAMINATIONS;
        let starting = Starting::new(reply, raised.report, raised.exec_at, examine_every);
        let key = launch.key;
        let process = Process::new(launch, port, raised.spawned, raised.outputs, starting);
        if let Some(guardian) = &mut self.guardian {
            guardian.add(process.pid);
        }
        self.watch(&process);
        self.unsettled.insert(key);
        self.processes.insert(key, process);
    }

    /// Makes what the instance needs and starts its program. What was made before
    /// a failure is the caller's to clear.
    fn raise(&mut self, launch: &Launch, port: u16) -> Result<Raised, NotRaised> {
        DirBuilder::new()
            .mode(0o700)
            .create(&launch.scratch)
            .map_err(|error| NotRaised::Made("the instance's scratch folder", error))?;
        let pipe = || output_pipe().map_err(|error| NotRaised::Made("a pipe", error));
        let ((stdout, stdout_write), (stderr, stderr_write)) = (pipe()?, pipe()?);
        let mut environment = launch.environment.clone();
        environment.extend(CString::new(format!("PORT={port}")));
        let program = Program {
            path: &launch.program,
            arguments: &launch.arguments,
            environment: &environment,
            directory: &launch.directory,
            limits: Limits {
                open_files_max: self.config.open_files_max,
                data_bytes_max: launch.memory_bytes_max.saturating_add(DATA_HEADROOM_BYTES),
            },
        };
        let streams = Streams {
            stdin: self.null.as_fd(),
            stdout: stdout_write.as_fd(),
            stderr: stderr_write.as_fd(),
        };
        let created = Instant::now();
        let spawned = self.spawner.spawn(&program, streams).map_err(NotRaised::Spawned)?;
        let report = StartReport::new(StartKind::Cold)
            .with(StartPhase::Create, created - launch.begun)
            .with(StartPhase::Boot, spawned.to_exec);
        let outputs = [
            Output::new(stdout.into(), LogStream::Stdout),
            Output::new(stderr.into(), LogStream::Stderr),
        ];
        Ok(Raised { exec_at: created + spawned.to_exec, spawned, outputs, report })
    }

    /// Looks whether a program listens, or has had its time.
    pub(super) fn look_at_start(&mut self, key: u64) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        let Stage::Starting(starting) = &mut process.stage else { return };
        let now = Instant::now();
        if starting.look_at <= now {
            let found = if starting.has_socket && unix_accepts(&process.launch.socket) {
                Some(Address::Socket)
            } else {
                let listener = self.listeners.find(process.port);
                let is_other = |inode| owns(process.pid, inode) == Some(false);
                starting.has_lost_port =
                    listener.is_some_and(|listener| listener.inode.is_some_and(is_other));
                listener
                    .filter(|_| !starting.has_lost_port)
                    .map(|listener| Address::Tcp(listener.address))
            };
            if let Some(address) = found {
                return self.ready(key, address);
            }
            starting.looked(Instant::now());
        }
        if now >= starting.exec_at + self.config.start_timeout {
            let after = self.config.start_timeout;
            let elsewhere = starting.elsewhere.take();
            return self.give_up(key, GivenUp::Timeout { after, elsewhere });
        }
        if starting.examine_at <= now {
            starting.examine_at = now + self.config.wrong_port_patience / EXAMINATIONS;
            let (post, pid, port) = (self.post.clone(), process.pid, process.port);
            let thread = thread::Builder::new().name("gapless-examine".to_owned());
            let examination = thread.spawn(move || {
                post.give(Order::Examined { key, elsewhere: listens_elsewhere(pid, port) });
            });
            if let Err(error) = examination {
                tracing::warn!(%error, "cannot look where a program listens");
            }
        }
    }

    /// It listens: tells whoever waits.
    fn ready(&mut self, key: u64, address: Address) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        let (sender, died) = watch::channel(None);
        let before = std::mem::replace(&mut process.stage, Stage::Live(sender));
        let Stage::Starting(starting) = before else { return };
        let report = starting.report.with(StartPhase::Init, starting.exec_at.elapsed());
        self.unsettled.remove(&key);
        if starting.reply.send(Ok(Live { address, report, died })).is_err() {
            process.end(Duration::ZERO, Outcome::Wanted);
            self.unsettled.insert(key);
        }
    }

    fn give_up(&mut self, key: u64, why: GivenUp) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        process.signal(Signal::KILL);
        let ending = Stage::Ending { kill_at: None, outcome: Outcome::Wanted };
        if let Stage::Starting(starting) = std::mem::replace(&mut process.stage, ending) {
            let outcome = Outcome::NotStarted(starting.reply, Some(why));
            process.stage = Stage::Ending { kill_at: None, outcome };
        }
    }

    /// A program that starts was looked at: says so in its log when it listens
    /// elsewhere, and gives up when it has done so for long.
    pub(super) fn examined(&mut self, key: u64, elsewhere: Option<String>) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        let Stage::Starting(starting) = &mut process.stage else { return };
        if let Some(elsewhere) = &elsewhere {
            if starting.elsewhere.is_none() {
                let line = wrong_port(elsewhere, process.port);
                process.launch.logs.line(LogStream::Platform, line.as_bytes());
            } else if starting.exec_at.elapsed() >= self.config.wrong_port_patience {
                let elsewhere = elsewhere.clone();
                return self.give_up(key, GivenUp::WrongPort { elsewhere });
            }
        }
        starting.elsewhere = elsewhere;
    }
}

/// A program that has taken over its process.
struct Raised {
    exec_at: Instant,
    spawned: Spawned,
    outputs: [Output; 2],
    report: StartReport,
}

/// Why there is none.
enum NotRaised {
    /// Something it needs could not be made.
    Made(&'static str, io::Error),
    Spawned(SpawnError),
}

impl NotRaised {
    fn explain(&self, command: &str) -> StartFailure {
        match self {
            NotRaised::Made(what, error) => not_created(what, error),
            NotRaised::Spawned(failure) => not_spawned(command, failure),
        }
    }
}

/// A pipe whose reading end never blocks.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read, write))
}
