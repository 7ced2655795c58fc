//! What a spawned program finds, and what spawning costs.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::{Limits, Program, SpawnError, Spawned, Spawner, Step, Streams, is_open_for_writing};

const LIMITS: Limits = Limits { open_files_max: 123, data_bytes_max: 64 << 20 };

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn spawn(path: &str, arguments: &[&str], directory: &str) -> Result<(Spawned, File), SpawnError> {
    let null = File::open("/dev/null").unwrap();
    let (read, write): (OwnedFd, OwnedFd) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let arguments: Vec<_> = arguments.iter().copied().map(c).collect();
    let program = Program {
        path: &c(path),
        arguments: &arguments,
        environment: &[c("A=1")],
        directory: &c(directory),
        limits: LIMITS,
    };
    let streams = Streams { stdin: null.as_fd(), stdout: write.as_fd(), stderr: write.as_fd() };
    Ok((Spawner::new().spawn(&program, streams)?, read.into()))
}

fn output(script: &str) -> String {
    let (spawned, mut read) = spawn("/bin/sh", &["sh", "-c", script], "/usr").unwrap();
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    waitid(WaitId::PidFd(spawned.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
    text
}

#[test]
fn a_program_finds_only_what_it_was_given() {
    assert_eq!(output("pwd; echo $A; ulimit -n; ulimit -c; ulimit -d"), "/usr\n1\n123\n0\n65536\n");
    // Its three streams, and the folder ls reads.
    assert_eq!(output("exec ls /proc/self/fd"), "0\n1\n2\n3\n");
    // A session and a group of its own, fields 5 and 6 after the name.
    let ids = output("cut -d' ' -f1,5,6 /proc/$$/stat");
    let ids: Vec<&str> = ids.split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    let masks = output("grep -E 'Sig(Blk|Ign)' /proc/self/status");
    for line in masks.lines() {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn what_stood_in_the_way_is_named() {
    let failed = |path: &str, directory: &str| {
        let error = spawn(path, &["x"], directory).unwrap_err();
        (error.step, error.error.raw_os_error().unwrap())
    };
    assert_eq!(failed("/no/such/program", "/"), (Step::Exec, libc::ENOENT));
    assert_eq!(failed("/etc/passwd", "/"), (Step::Exec, libc::EACCES));
    assert_eq!(failed("/bin/sh", "/no/such/folder"), (Step::Directory, libc::ENOENT));
    // The next one starts all the same.
    assert_eq!(output("echo fine"), "fine\n");
}

#[test]
fn a_file_is_open_for_writing_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let writing = File::create(&path).unwrap();
    let reading = File::open(&path).unwrap();
    assert!(is_open_for_writing(&reading));
    drop(writing);
    // Another test's child may hold a copy until its exec.
    while is_open_for_writing(&reading) {
        std::thread::yield_now();
    }
}

/// Prints what spawning costs in a process with 200 MB of touched memory, against
/// the standard library with the same work before exec.
#[test]
#[ignore = "a measurement of the machine, neither right nor wrong: `cargo xtask measure` runs it"]
fn spawn_cost() {
    let mut ballast = vec![1_u8; 200 << 20];
    ballast.iter_mut().step_by(4096).for_each(|byte| *byte = 2);
    let parent = std::process::id();
    let ours = measure(|| {
        let begun = Instant::now();
        let (spawned, read) = spawn("/bin/true", &["true"], "/").unwrap();
        let took = begun.elapsed();
        drop(read);
        waitid(WaitId::PidFd(spawned.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
        took
    });
    let plain = measure(|| {
        let mut command = Command::new("/bin/true");
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped());
        time_std(&mut command)
    });
    let fork = measure(|| {
        let mut command = Command::new("/bin/true");
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::setsid();
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                assert_eq!(libc::getppid() as u32, parent);
                let limit = libc::rlimit { rlim_cur: 123, rlim_max: 123 };
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                Ok(())
            });
        }
        time_std(&mut command)
    });
    std::hint::black_box(&ballast);
    println!("spawn to exec, us          p50     p99");
    for (name, (p50, p99)) in [
        ("this spawner", ours),
        ("std Command, no pre_exec", plain),
        ("std Command + pre_exec", fork),
    ] {
        println!("{name:25} {:6} {:7}", p50.as_micros(), p99.as_micros());
    }
}

fn time_std(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let took = begun.elapsed();
    child.wait().unwrap();
    took
}

fn measure(mut once: impl FnMut() -> Duration) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..500).map(|_| once()).collect();
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
