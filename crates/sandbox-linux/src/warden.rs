//! The thread that owns every process of a driver.
//!
//! One thread, one epoll: orders, exits (pidfds), outputs, sockets that appear.
//! Why a thread and not tasks: a program dies with the *thread* that spawned it
//! (`PR_SET_PDEATHSIG`), which must therefore live as long as the node; a spawn
//! stands still until the exec; and one owner needs no locks and no order of
//! locks. A start crosses threads twice, to here and back, however much happens
//! in between. No request passes through here.
//!
//! What always holds: nothing here waits for a program. Every wait has a time at
//! which it is looked at again, and between two spawns the others get their turn.

mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gapless_sandbox::LogStream;
use rustix::event::{Timespec, epoll};
use rustix::fs::inotify;
use rustix::process::Signal;
use tokio::sync::oneshot;

use crate::config::LinuxConfig;
use crate::diagnose::over_memory;
use crate::examine::anonymous_bytes;
use crate::guardian::Guardian;
use crate::launch::Launch;
use crate::orders::{Order, Post};
use crate::ports::Ports;
use crate::process::{Outcome, Process, Stage};
use crate::readiness::Listeners;
use crate::run_dir::{RunDir, key_of_socket, remove_scratch};
use crate::spawn::Spawner;

/// Events taken at a time.
const EVENTS_MAX: usize = 256;
/// How often each process's memory is read.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// Processes whose memory is read in one turn, so that a turn stays short.
const MEMORY_SLICE: usize = 16;

/// What an epoll event is about, packed beside the instance's key.
const BELL: u64 = 0;
const SOCKETS: u64 = 1;
const EXIT: u64 = 2;
const STDOUT: u64 = 3;
const STDERR: u64 = 4;
const KIND_BITS: u32 = 3;

fn token(key: u64, kind: u64) -> epoll::EventData {
    epoll::EventData::new_u64(key << KIND_BITS | kind)
}

/// The thread's state.
struct Warden {
    config: LinuxConfig,
    run_dir: Arc<RunDir>,
    post: Arc<Post>,
    epoll: OwnedFd,
    /// Tells of sockets that appear.
    inotify: OwnedFd,
    null: File,
    guardian: Option<Guardian>,
    spawner: Spawner,
    listeners: Listeners,
    ports: Ports,
    processes: BTreeMap<u64, Process>,
    /// Those that are not live, and so have a time at which to be looked at.
    unsettled: BTreeSet<u64>,
    orders: VecDeque<Order>,
    is_closed: bool,
    memory_at: Instant,
    /// The process whose memory is read next.
    memory_next: u64,
    buffer: Vec<u8>,
}

/// Starts the thread. It ends when the post is closed and the last process is gone.
pub(crate) fn start(config: LinuxConfig, run_dir: Arc<RunDir>, post: Arc<Post>) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let inotify = inotify::init(flags)?;
    let appears = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&inotify, run_dir.sockets(), appears)?;
    epoll::add(&epoll, post.bell(), token(0, BELL), epoll::EventFlags::IN)?;
    epoll::add(&epoll, &inotify, token(0, SOCKETS), epoll::EventFlags::IN)?;
    let warden = Warden {
        null: File::open("/dev/null")?,
        // A node without it still works; it leaves more behind when it is killed.
        guardian: Guardian::start()
            .inspect_err(|error| tracing::warn!(%error, "no guardian for this node's processes"))
            .ok(),
        spawner: Spawner::new(),
        listeners: Listeners::new(),
        ports: Ports::new(),
        processes: BTreeMap::new(),
        unsettled: BTreeSet::new(),
        orders: VecDeque::new(),
        is_closed: false,
        memory_at: Instant::now() + MEMORY_EVERY,
        memory_next: 0,
        buffer: Vec::new(),
        config,
        run_dir,
        post,
        epoll,
        inotify,
    };
    thread::Builder::new().name("gapless-warden".to_owned()).spawn(move || warden.run())?;
    Ok(())
}

impl Warden {
    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while !(self.is_closed && self.processes.is_empty() && self.orders.is_empty()) {
            let pause = self.pause();
            let buffer = rustix::buffer::spare_capacity(&mut events);
            if let Err(error) = epoll::wait(&self.epoll, buffer, pause.as_ref())
                && error != rustix::io::Errno::INTR
            {
                tracing::error!(%error, "the warden of this node's processes cannot wait");
                thread::sleep(Duration::from_millis(10));
            }
            for event in events.drain(..) {
                self.take_event(event.data.u64());
            }
            self.post.take_all(&mut self.orders);
            self.carry_out();
            self.look_at_unsettled();
            self.look_at_memory();
        }
    }

    /// How long nothing needs doing.
    fn pause(&self) -> Option<Timespec> {
        if !self.orders.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let unsettled = self.unsettled.iter().filter_map(|key| self.processes.get(key));
        let timeout = self.config.start_timeout;
        let looks = unsettled.filter_map(|process| process.wakes_at(timeout));
        let memory = (!self.processes.is_empty()).then_some(self.memory_at);
        let next = looks.chain(memory).min()?;
        let pause = next.saturating_duration_since(Instant::now());
        Some(Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        })
    }

    fn take_event(&mut self, token: u64) {
        let (key, kind) = (token >> KIND_BITS, token & ((1 << KIND_BITS) - 1));
        if kind == SOCKETS {
            return self.note_sockets();
        }
        let Some(process) = self.processes.get_mut(&key) else { return };
        let logs = &*process.launch.logs;
        match kind {
            STDOUT => drop(process.stdout.read_once(&mut self.buffer, logs)),
            STDERR => drop(process.stderr.read_once(&mut self.buffer, logs)),
            EXIT => {
                if let Some(guardian) = &mut self.guardian {
                    guardian.remove(process.pid);
                }
                process.reap(&mut self.buffer);
                self.unsettled.insert(key);
                self.finish_if_empty(key);
            }
            // The bell is silenced when orders are taken.
            _ => {}
        }
    }

    /// Notes whose socket has appeared.
    fn note_sockets(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut appeared = Vec::new();
        let mut has_lost_some = false;
        while let Ok(event) = reader.next() {
            has_lost_some |= event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
            appeared.extend(event.file_name().and_then(|name| key_of_socket(name.to_bytes())));
        }
        if has_lost_some {
            appeared.extend(&self.unsettled);
        }
        for key in appeared {
            if let Some(Process { stage: Stage::Starting(starting), .. }) =
                self.processes.get_mut(&key)
            {
                starting.has_socket = true;
                starting.look_at = Instant::now();
            }
        }
    }

    /// Carries out orders up to and with one start; those behind it get their turn
    /// after the others have been looked at.
    fn carry_out(&mut self) {
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Start(launch, reply) => {
                    self.start(launch, reply);
                    return;
                }
                Order::Stop { key, grace, done } => self.stop(key, grace, done),
                Order::Kill { key } => self.kill(key),
                Order::Examined { key, elsewhere } => self.examined(key, elsewhere),
                Order::Close => self.is_closed = true,
            }
        }
    }

    /// Has the process's exit and output reported. What is closed later leaves the
    /// epoll by itself.
    fn watch(&self, process: &Process) {
        let key = process.launch.key;
        let pipes = [(&process.stdout, STDOUT), (&process.stderr, STDERR)];
        let pipes = pipes.map(|(output, kind)| (output.pipe.as_ref().map(AsFd::as_fd), kind));
        let exit = (process.pidfd.as_ref().map(AsFd::as_fd), EXIT);
        for (fd, kind) in pipes.into_iter().chain([exit]) {
            let Some(fd) = fd else { continue };
            let added = epoll::add(&self.epoll, fd, token(key, kind), epoll::EventFlags::IN);
            if let Err(error) = added {
                // Out of kernel memory. The start's timeout ends it.
                tracing::error!(%error, "cannot watch a process");
            }
        }
    }

    fn stop(&mut self, key: u64, grace: Duration, done: oneshot::Sender<()>) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        process.waiting.push(done);
        if matches!(process.stage, Stage::Live(_) | Stage::Starting(_)) {
            process.end(grace, Outcome::Wanted);
            self.unsettled.insert(key);
        }
    }

    fn kill(&mut self, key: u64) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        match &mut process.stage {
            Stage::Live(_) | Stage::Starting(_) => {
                process.end(Duration::ZERO, Outcome::Wanted);
                self.unsettled.insert(key);
            }
            Stage::Ending { kill_at, .. } => {
                if kill_at.take().is_some() {
                    process.signal(Signal::KILL);
                }
            }
            Stage::Emptying { .. } => {}
        }
    }

    fn look_at_unsettled(&mut self) {
        // A copy of the keys: looking settles some.
        let keys: Vec<u64> = self.unsettled.iter().copied().collect();
        for key in keys {
            let Some(process) = self.processes.get_mut(&key) else {
                self.unsettled.remove(&key);
                continue;
            };
            match &mut process.stage {
                Stage::Live(_) => drop(self.unsettled.remove(&key)),
                Stage::Starting(_) => self.look_at_start(key),
                Stage::Ending { kill_at, .. } => {
                    if kill_at.is_some_and(|at| at <= Instant::now()) {
                        *kill_at = None;
                        process.signal(Signal::KILL);
                    }
                }
                Stage::Emptying { .. } => self.finish_if_empty(key),
            }
        }
    }

    /// Reads some processes' memory, and ends those that use too much.
    fn look_at_memory(&mut self) {
        let now = Instant::now();
        if now < self.memory_at {
            return;
        }
        let slices = self.processes.len().div_ceil(MEMORY_SLICE).max(1) as u32;
        self.memory_at = now + MEMORY_EVERY / slices;
        let slice: Vec<u64> = self
            .processes
            .range(self.memory_next..)
            .map(|(key, _)| *key)
            .take(MEMORY_SLICE)
            .collect();
        self.memory_next = match slice.len() {
            MEMORY_SLICE => slice[MEMORY_SLICE - 1] + 1,
            _ => 0,
        };
        for key in slice {
            let Some(process) = self.processes.get_mut(&key) else { continue };
            let max = process.launch.memory_bytes_max;
            let used = anonymous_bytes(process.pid).filter(|used| *used > max);
            let Some(used) = used else { continue };
            if process.pidfd.is_some() && process.over_memory.replace(used).is_none() {
                let line = format!("ended: {}", over_memory(used, max));
                process.launch.logs.line(LogStream::Platform, line.as_bytes());
                process.signal(Signal::KILL);
            }
        }
    }

    /// Removes what is left of an instance whose group is gone, and tells whoever waits.
    fn finish_if_empty(&mut self, key: u64) {
        if !self.processes.get_mut(&key).is_some_and(Process::is_empty) {
            return;
        }
        self.unsettled.remove(&key);
        if let Some(mut process) = self.processes.remove(&key) {
            process.read_last(&mut self.buffer);
            self.clear(&mut process.launch, process.port);
            process.finish();
        }
    }

    fn clear(&mut self, launch: &mut Launch, port: u16) {
        self.ports.give_back(port);
        // Most have none, or removed it themselves.
        let _ = std::fs::remove_file(&launch.socket);
        remove_scratch(self.run_dir.trash(), &launch.scratch);
        launch.files = None;
    }
}
