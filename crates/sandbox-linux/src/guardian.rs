//! A tiny process that outlives the node by a moment, to end what the node left.
//!
//! `PR_SET_PDEATHSIG` ends a program with the node, but not what that program
//! started: `sh -c "python3 server.py"` would leave python behind when the node is
//! killed. The guardian is a fork of the node that holds the reading end of a
//! pipe and a list of process groups. While the node lives it sleeps; when the
//! pipe closes, however the node ended, it kills every group on its list and
//! exits. Two small writes per instance, none of which a start waits for.
//!
//! It runs in a fork of a process with threads, so it only makes system calls on
//! memory set aside before. It is forked when the driver is made, when the node is
//! still small.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_int, c_ulong, c_void, pid_t};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

/// Groups it can hold: more than a node has instances.
const GROUPS_MAX: usize = 16_384;
/// Records read at a time.
const RECORDS: usize = 64;
const RECORD_BYTES: usize = size_of::<pid_t>();

/// The node's side.
#[derive(Debug)]
pub(crate) struct Guardian {
    pid: Pid,
    /// Closed by the node's end.
    pipe: Option<File>,
}

impl Guardian {
    /// Forks the guardian.
    pub(crate) fn start() -> io::Result<Self> {
        let (read, write): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&write, true)?;
        let mut groups = vec![0 as pid_t; GROUPS_MAX];
        let fd = read.as_raw_fd();
        // SAFETY: the child calls only `watch`, which keeps to system calls and to
        // `groups`, which is its own copy.
        let pid = unsafe {
            match libc::fork() {
                -1 => return Err(io::Error::last_os_error()),
                0 => watch(fd, groups.as_mut_ptr()),
                pid => pid,
            }
        };
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned 0"))?;
        Ok(Guardian { pid, pipe: Some(write.into()) })
    }

    /// Puts a process group on the list.
    pub(crate) fn add(&mut self, group: Pid) {
        self.tell(group.as_raw_nonzero().get());
    }

    /// Takes it off, before its number can be another's.
    pub(crate) fn remove(&mut self, group: Pid) {
        self.tell(-group.as_raw_nonzero().get());
    }

    fn tell(&mut self, record: pid_t) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Err(error) = pipe.write_all(&record.to_ne_bytes()) {
            // It was killed, or it hangs. Programs still die with the node.
            tracing::warn!(%error, "the guardian of this node's processes is gone");
            self.pipe = None;
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// The guardian's whole life. Never returns.
///
/// # Safety
///
/// The process is a fresh fork; `groups` points to `GROUPS_MAX` zeroes.
unsafe fn watch(pipe: c_int, groups: *mut pid_t) -> ! {
    let mut records = [0 as pid_t; RECORDS];
    let mut used = 0;
    // SAFETY: system calls on memory of this process; every index is below
    // `GROUPS_MAX`, and reads are whole records because writes are.
    unsafe {
        // Not of the terminal's group: Ctrl-C is the node's to handle.
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"gapless-guard".as_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        keep_only(pipe);
        loop {
            let read =
                libc::read(pipe, records.as_mut_ptr().cast::<c_void>(), RECORDS * RECORD_BYTES);
            if read < 0 && *libc::__errno_location() == libc::EINTR {
                continue;
            }
            if read <= 0 {
                break;
            }
            let mut next = 0;
            while next < read as usize / RECORD_BYTES && next < RECORDS {
                note(records[next], groups, &mut used);
                next += 1;
            }
        }
        let mut at = 0;
        while at < used {
            if *groups.add(at) > 0 {
                libc::kill(-*groups.add(at), libc::SIGKILL);
            }
            at += 1;
        }
        libc::_exit(0)
    }
}

/// Puts a group on the list, or takes it off when the record is negative.
///
/// # Safety
///
/// `groups` points to `GROUPS_MAX` numbers, of which the first `used` are in use.
unsafe fn note(record: pid_t, groups: *mut pid_t, used: &mut usize) {
    let (old, new) = if record > 0 { (0, record) } else { (-record, 0) };
    let mut at = 0;
    // SAFETY: `at` stays below `GROUPS_MAX`.
    unsafe {
        while at < *used && *groups.add(at) != old {
            at += 1;
        }
        if at < *used || (record > 0 && at < GROUPS_MAX) {
            *groups.add(at) = new;
            *used = (*used).max(at + 1);
        }
    }
}

/// Closes every descriptor but one, the node's sockets and locks among them.
///
/// # Safety
///
/// The process is a fresh fork that owns nothing it has open.
unsafe fn keep_only(fd: c_int) {
    // SAFETY: plain system calls.
    unsafe {
        if fd > 0 {
            libc::syscall(libc::SYS_close_range, 0 as c_ulong, fd as c_ulong - 1, 0 as c_ulong);
        }
        let above = fd as c_ulong + 1;
        libc::syscall(libc::SYS_close_range, above, u32::MAX as c_ulong, 0 as c_ulong);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn groups_on_the_list_die_with_the_node_and_others_live() {
        let sleeper = || {
            let mut command = Command::new("sleep");
            command.arg("600").stdin(Stdio::null()).process_group(0);
            command.spawn().unwrap()
        };
        let (mut kept, mut removed) = (sleeper(), sleeper());
        let mut guardian = Guardian::start().unwrap();
        guardian.add(Pid::from_child(&removed));
        guardian.add(Pid::from_child(&kept));
        guardian.remove(Pid::from_child(&removed));
        // Closes the pipe, as the kernel does when the node ends.
        drop(guardian);
        let status = kept.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
        assert!(removed.try_wait().unwrap().is_none());
        removed.kill().unwrap();
        removed.wait().unwrap();
    }
}
