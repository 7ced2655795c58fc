//! Clone and exec, without copying the node.
//!
//! `fork` copies the page tables of a node that may have hundreds of megabytes,
//! and then pays for every page either side touches. Here the child borrows the
//! node's memory (`CLONE_VM`) while the calling thread stands still
//! (`CLONE_VFORK`) until the exec, so the cost does not depend on the node's
//! size. `posix_spawn` works the same way but knows neither `PR_SET_PDEATHSIG`
//! nor rlimits nor a pidfd; a helper program in between would cost a second exec.
//! `cargo test --release -p gapless-sandbox-linux spawn_cost -- --ignored --nocapture`
//! measures this against `std::process::Command`.
//!
//! The price is a child that shares memory with a process whose other threads run
//! on: between clone and exec it makes system calls on data prepared before, and
//! nothing else; no allocation, no lock, no panic. All signals are blocked around
//! it and every handler is reset before they are let through again, so no handler
//! of the node runs in the child.
//!
//! `PR_SET_PDEATHSIG` follows the *thread* that cloned: only a thread that lives
//! as long as the node may call [`Spawner::spawn`] (the warden).
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_char, c_int, c_ulong, c_void, pid_t};
use rustix::process::Pid;

/// The child needs a few hundred bytes; a debug build some more.
const STACK_BYTES: usize = 64 * 1024;
/// Highest signal number, real-time ones included.
const SIGNAL_MAX: c_int = 64;
/// Size of the kernel's signal set.
const SIGNAL_SET_BYTES: c_ulong = 8;
/// What the child exits with when it could not become the program.
const NO_EXEC_STATUS: c_int = 127;

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = c_int;

/// A program to become.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a CString,
    pub(crate) arguments: &'a [CString],
    pub(crate) environment: &'a [CString],
    pub(crate) directory: &'a CString,
    pub(crate) limits: Limits,
}

/// What the kernel holds a program to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) open_files_max: u64,
    pub(crate) data_bytes_max: u64,
}

/// A program's three standard streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams<'a> {
    pub(crate) stdin: BorrowedFd<'a>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
}

/// A process that runs its program. The caller reaps it.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// From the call until the child called exec, by the child's clock: the parent
    /// may get a processor back only when the program first waits.
    pub(crate) to_exec: Duration,
}

/// Which step a child did not get over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Clone,
    Session,
    Limits,
    Directory,
    Streams,
    Exec,
}

/// Why there is no process.
#[derive(Debug)]
pub(crate) struct SpawnError {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

/// Spawns programs, one at a time.
#[derive(Debug)]
pub(crate) struct Spawner {
    /// The child's stack, used by one child after the other.
    stack: Box<[u128]>,
    open_files_hard_max: u64,
}

/// All a child reads, and where it says what went wrong.
struct Child {
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    directory: *const c_char,
    streams: [c_int; 3],
    limits: [(Resource, libc::rlimit); 3],
    parent: pid_t,
    exec_at: libc::timespec,
    step: Step,
    errno: c_int,
}

impl Spawner {
    pub(crate) fn new() -> Self {
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        Spawner {
            stack: vec![0; STACK_BYTES / size_of::<u128>()].into(),
            open_files_hard_max: hard.unwrap_or(u64::MAX),
        }
    }

    /// Starts `program` in a session and process group of its own. Returns when
    /// the program has taken over.
    pub(crate) fn spawn(
        &mut self,
        program: &Program<'_>,
        streams: Streams<'_>,
    ) -> Result<Spawned, SpawnError> {
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(program.arguments), pointers(program.environment));
        let limit = |max: u64| libc::rlimit { rlim_cur: max, rlim_max: max };
        let mut child = Child {
            path: program.path.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: program.directory.as_ptr(),
            streams: [streams.stdin, streams.stdout, streams.stderr].map(|fd| fd.as_raw_fd()),
            limits: [
                (libc::RLIMIT_CORE, limit(0)),
                (
                    libc::RLIMIT_NOFILE,
                    limit(program.limits.open_files_max.min(self.open_files_hard_max)),
                ),
                (libc::RLIMIT_DATA, limit(program.limits.data_bytes_max)),
            ],
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            exec_at: now(),
            step: Step::Clone,
            errno: 0,
        };
        let begun = child.exec_at;
        let cloned = self.clone_child(&mut child);
        // SAFETY: `child` outlives the call, and its pointers the vectors above. The
        // child wrote to it through the pointer it got, so it is read as volatile.
        let Child { step, errno, exec_at, .. } = unsafe { ptr::read_volatile(&child) };
        let (pid, pidfd) = cloned.map_err(|error| SpawnError { step: Step::Clone, error })?;
        if errno == 0 {
            return Ok(Spawned { pid, pidfd, to_exec: between(begun, exec_at) });
        }
        // It has exited; nobody else waits for it.
        let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
        Err(SpawnError { step, error: io::Error::from_raw_os_error(errno) })
    }

    fn clone_child(&mut self, child: &mut Child) -> io::Result<(Pid, OwnedFd)> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        let stack_end = self.stack.as_mut_ptr_range().end;
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the signal sets are written before they are read. The stack is ours
        // until the child has exec'd or exited, which `CLONE_VFORK` waits for, as it
        // does for `child` and all it points to. `run_child` keeps to the rules in
        // the module's head.
        let pid = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            let pid = libc::clone(
                run_child,
                stack_end.cast(),
                flags,
                ptr::from_mut(child).cast(),
                ptr::from_mut(&mut pidfd),
                ptr::null_mut::<c_void>(),
                ptr::null_mut::<pid_t>(),
            );
            let error = io::Error::last_os_error();
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
            if pid < 0 {
                return Err(error);
            }
            pid
        };
        // SAFETY: the kernel has just made this descriptor for us alone.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("clone returned 0"))?;
        Ok((pid, pidfd))
    }
}

/// The monotonic clock. Safe between clone and exec: it allocates and locks nothing.
fn now() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given, and cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now
}

fn between(from: libc::timespec, to: libc::timespec) -> Duration {
    let nanos = |at: libc::timespec| i128::from(at.tv_sec) * 1_000_000_000 + i128::from(at.tv_nsec);
    Duration::from_nanos(u64::try_from(nanos(to) - nanos(from)).unwrap_or(0))
}

/// Whether anybody has the file open for writing. A read lease is given only when
/// nobody has; where the file system has no leases, the answer is no.
pub(crate) fn is_open_for_writing(file: &File) -> bool {
    // SAFETY: plain system calls on an open descriptor.
    unsafe {
        let given = libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) == 0;
        let is_refused = !given && *libc::__errno_location() == libc::EAGAIN;
        if given {
            libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK);
        }
        is_refused
    }
}

/// The child's whole life before the exec.
extern "C" fn run_child(child: *mut c_void) -> c_int {
    let child: *mut Child = child.cast();
    // SAFETY: `spawn` passes a `Child` that lives until this process execs or exits;
    // its strings and arrays end in NUL and null. Only system calls from here on.
    unsafe {
        let step = become_program(child);
        ptr::write_volatile(&raw mut (*child).errno, *libc::__errno_location());
        ptr::write_volatile(&raw mut (*child).step, step);
        libc::_exit(NO_EXEC_STATUS)
    }
}

/// Returns only when a step failed, with that step.
///
/// # Safety
///
/// `child` points to a whole `Child`; the process is a clone that shares its
/// parent's memory, on a stack of its own, with every signal blocked.
unsafe fn become_program(child: *mut Child) -> Step {
    // SAFETY: see above; every call is a plain system call on prepared data.
    unsafe {
        if libc::setsid() < 0
            || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong) < 0
            // Set-user-id programs would shed the line above; none are wanted.
            || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0, 0, 0) < 0
        {
            return Step::Session;
        }
        if libc::getppid() != (*child).parent {
            // The node died before the request to die with it was in place.
            libc::_exit(NO_EXEC_STATUS);
        }
        for (resource, limit) in &(*child).limits {
            if libc::setrlimit(*resource, limit) < 0 {
                return Step::Limits;
            }
        }
        if libc::chdir((*child).directory) < 0 {
            return Step::Directory;
        }
        libc::umask(0o022);
        // The node's own streams are 0 to 2, so these are above and none is overwritten.
        for (target, stream) in (0..).zip((*child).streams) {
            if libc::dup2(stream, target) < 0 {
                return Step::Streams;
            }
        }
        // Everything of the node's is close-on-exec; this is for what others opened
        // without. A kernel that does not know the call loses only that.
        libc::syscall(libc::SYS_close_range, 3 as c_ulong, u32::MAX as c_ulong, 0 as c_ulong);
        reset_signals();
        ptr::write_volatile(&raw mut (*child).exec_at, now());
        libc::execve((*child).path, (*child).arguments, (*child).environment);
        Step::Exec
    }
}

/// Every signal does what it does by default, and none is blocked.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn reset_signals() {
    // SAFETY: all zeroes are the kernel's `struct sigaction` of the default action.
    // Asked directly, because libc keeps two signals to itself. The calls change only
    // this process, whose table of handlers is its own (no `CLONE_SIGHAND`).
    unsafe {
        let default = [0_u64; 8];
        let nowhere = ptr::null_mut::<c_void>();
        for signal in 1..=SIGNAL_MAX as c_ulong {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                nowhere,
                SIGNAL_SET_BYTES,
            );
        }
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

#[cfg(test)]
mod tests;
