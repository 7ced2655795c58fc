//! The sentences: what happened to a program, why as far as can be known, and what
//! to do about it.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use gapless_proto::StartFailure;
use gapless_types::{Bytes, Fault};

use crate::logs::Lines;
use crate::spawn::{SpawnError, Step};

/// A failure that the function's author mends.
pub(crate) fn function_fault(kind: &'static str, message: String) -> StartFailure {
    StartFailure { fault: Fault::Function, kind, message }
}

/// A failure of this machine or of gapless.
pub(crate) fn platform_fault(kind: &'static str, message: String) -> StartFailure {
    StartFailure { fault: Fault::Platform, kind, message }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with a status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// The kernel did not say.
    Unknown,
}

/// What is known of a program when it failed.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) command: &'a str,
    pub(crate) memory_bytes_max: u64,
    /// Set when it was ended for using that much.
    pub(crate) over_memory: Option<u64>,
    pub(crate) stdout: &'a Lines,
    pub(crate) stderr: &'a Lines,
}

/// Why a program that runs is not waited for any longer.
#[derive(Clone, Debug)]
pub(crate) enum GivenUp {
    /// It had its time.
    Timeout { after: Duration, elsewhere: Option<String> },
    /// It listens, where nobody asks.
    WrongPort { elsewhere: String },
    /// It ended, and another program listens on its port.
    LostPort,
}

/// The program could not be started at all.
pub(crate) fn not_spawned(command: &str, failure: &SpawnError) -> StartFailure {
    let SpawnError { step, error } = failure;
    let name = command.split(' ').next().unwrap_or(command);
    match (step, error.raw_os_error()) {
        (Step::Exec, Some(libc::ENOENT)) => function_fault(
            "ProgramNotFound",
            format!(
                "spec.command: {name:?} exists, but the interpreter or loader it asks for does \
                 not. Check its first line (#!), and that it was built for this system"
            ),
        ),
        (Step::Exec, Some(libc::ENOEXEC)) => function_fault(
            "ProgramNotExecutable",
            format!(
                "spec.command: {name:?} is not a program for this machine. A script must begin \
                 with a line such as `#!/usr/bin/env python3`; a binary must be built for {}",
                std::env::consts::ARCH
            ),
        ),
        (Step::Exec, Some(libc::EACCES)) => function_fault(
            "ProgramNotExecutable",
            format!(
                "spec.command: {name:?} may not be executed by the node: check its permissions, \
                 its interpreter's, and that its file system is not mounted `noexec`"
            ),
        ),
        (Step::Exec, Some(libc::E2BIG)) => function_fault(
            "BadEnvironment",
            "spec.command and spec.env are too long together for a program to get".to_owned(),
        ),
        _ => platform_fault(
            "SpawnFailed",
            format!("the node could not start {command:?}: {step:?} failed: {error}"),
        ),
    }
}

/// Something of the instance's could not be made.
pub(crate) fn not_created(what: &str, error: &io::Error) -> StartFailure {
    platform_fault("CreateFailed", format!("the node could not make {what}: {error}"))
}

/// It ended before it could serve.
pub(crate) fn exited_early(exit: Exit, port: u16, evidence: &Evidence<'_>) -> StartFailure {
    let mut message = format!(
        "{:?} {} before it listened on $PORT ({port}) or $GAPLESS_SOCKET",
        evidence.command,
        describe(exit)
    );
    let is_over = add_hint(&mut message, exit, evidence);
    if exit == Exit::Status(0) {
        message.push_str(
            ". The program must stay and serve HTTP; \
             one that only computes something and ends is not a server",
        );
    }
    add_last_lines(&mut message, evidence);
    function_fault(if is_over { "OutOfMemory" } else { "ExitedEarly" }, message)
}

/// It ended after it had served.
pub(crate) fn died(exit: Exit, evidence: &Evidence<'_>) -> StartFailure {
    let mut message = format!("{:?} {}", evidence.command, describe(exit));
    let is_over = add_hint(&mut message, exit, evidence);
    add_last_lines(&mut message, evidence);
    function_fault(if is_over { "OutOfMemory" } else { "Exited" }, message)
}

/// It did not listen in time, or not where it should.
pub(crate) fn gave_up(why: &GivenUp, port: u16, evidence: &Evidence<'_>) -> StartFailure {
    let (kind, mut message) = match why {
        GivenUp::LostPort => {
            let message = format!(
                "another program on this machine took port {port} before {:?} could; \
                 the next start uses another port",
                evidence.command
            );
            return platform_fault("PortTaken", message);
        }
        GivenUp::WrongPort { elsewhere } => ("WrongPort", wrong_port(elsewhere, port)),
        GivenUp::Timeout { elsewhere: Some(elsewhere), .. } => {
            ("WrongPort", wrong_port(elsewhere, port))
        }
        GivenUp::Timeout { after, elsewhere: None } => {
            let message = format!(
                "{:?} did not listen within {after:?}: nothing accepts connections on \
                 127.0.0.1:{port} ($PORT) or on $GAPLESS_SOCKET. Make it listen on one of them; \
                 one that needs longer to start should do the rest after it listens",
                evidence.command
            );
            ("NeverListened", message)
        }
    };
    add_last_lines(&mut message, evidence);
    function_fault(kind, message)
}

/// It listens elsewhere.
pub(crate) fn wrong_port(elsewhere: &str, port: u16) -> String {
    format!(
        "it listens on {elsewhere} but $PORT is {port}. Make it listen on 127.0.0.1 with the \
         port in the environment variable PORT (or on the Unix socket in GAPLESS_SOCKET)"
    )
}

/// It used more memory than it may.
pub(crate) fn over_memory(used: u64, max: u64) -> String {
    format!(
        "it used {} MiB of memory, more than spec.resources.memory ({}) allows",
        used >> 20,
        Bytes(max)
    )
}

fn describe(exit: Exit) -> String {
    match exit {
        Exit::Status(status) => format!("exited with status {status}"),
        Exit::Signal(signal) => format!("was ended by {}", signal_name(signal)),
        Exit::Unknown => "ended".to_owned(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT (it aborted)",
        libc::SIGBUS => "SIGBUS (bad memory access)",
        libc::SIGFPE => "SIGFPE (arithmetic error)",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL (illegal instruction)",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE (it wrote to a connection that was closed)",
        libc::SIGSEGV => "SIGSEGV (bad memory access)",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// Says what memory had to do with it; returns whether it is known to be the cause.
fn add_hint(message: &mut String, exit: Exit, evidence: &Evidence<'_>) -> bool {
    const COMPLAINTS: [&str; 6] = [
        "memory allocation of",
        "MemoryError",
        "out of memory",
        "Out of memory",
        "OutOfMemory",
        "Cannot allocate memory",
    ];
    let limit = Bytes(evidence.memory_bytes_max);
    if let Some(used) = evidence.over_memory {
        let _ = write!(message, ": {}", over_memory(used, evidence.memory_bytes_max));
        return true;
    }
    let complains = |line: &str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    if evidence.stderr.tail().any(complains) {
        let _ = write!(message, ": it ran out of memory; spec.resources.memory is {limit}");
        return true;
    }
    if exit == Exit::Signal(libc::SIGKILL) {
        let _ = write!(
            message,
            ", not sent by gapless: perhaps the machine ran out of memory (see `dmesg`)"
        );
    }
    false
}

fn add_last_lines(message: &mut String, evidence: &Evidence<'_>) {
    let (name, lines) = match evidence.stderr.tail().next() {
        Some(_) => ("stderr", evidence.stderr),
        None => ("stdout", evidence.stdout),
    };
    if lines.tail().next().is_none() {
        message.push_str(". It wrote nothing to its output");
        return;
    }
    let _ = write!(message, ". Its last lines on {name}:");
    for line in lines.tail() {
        let _ = write!(message, "\n  {line}");
    }
}

#[cfg(test)]
mod tests {
    use gapless_sandbox::{LogSink, LogStream};

    use super::*;

    struct Nowhere;
    impl LogSink for Nowhere {
        fn line(&self, _: LogStream, _: &[u8]) {}
    }

    fn said(stdout: &str, stderr: &str, then: impl Fn(&Evidence<'_>) -> StartFailure) -> String {
        let mut out = Lines::new(LogStream::Stdout);
        let mut err = Lines::new(LogStream::Stderr);
        out.push(stdout.as_bytes(), &Nowhere);
        err.push(stderr.as_bytes(), &Nowhere);
        let failure = then(&Evidence {
            command: "python3 server.py",
            memory_bytes_max: 128 << 20,
            over_memory: None,
            stdout: &out,
            stderr: &err,
        });
        format!("{}: {failure}", failure.kind)
    }

    #[test]
    fn an_exit_shows_status_and_last_words() {
        let early = |evidence: &Evidence<'_>| exited_early(Exit::Status(1), 9, evidence);
        assert_eq!(
            said("hi\n", "Traceback\nImportError: no x\n", early),
            "ExitedEarly: \"python3 server.py\" exited with status 1 before it listened on $PORT \
             (9) or $GAPLESS_SOCKET. Its last lines on stderr:\n  Traceback\n  ImportError: no x"
        );
        assert!(said("hi\n", "", early).ends_with("Its last lines on stdout:\n  hi"));
        assert!(said("", "", early).ends_with("It wrote nothing to its output"));
        let done = said("", "", |evidence| exited_early(Exit::Status(0), 9, evidence));
        assert!(done.contains("must stay and serve"), "{done}");
    }

    #[test]
    fn memory_is_named_where_it_is_the_cause() {
        let aborted = |evidence: &Evidence<'_>| died(Exit::Signal(libc::SIGABRT), evidence);
        let said_so = said("", "memory allocation of 9 bytes failed\n", aborted);
        assert!(said_so.starts_with("OutOfMemory: "), "{said_so}");
        assert!(said_so.contains("spec.resources.memory is 128Mi"), "{said_so}");
        assert!(said("", "", aborted).starts_with("Exited: "));
        let killed = said("", "", |evidence| died(Exit::Signal(libc::SIGKILL), evidence));
        assert!(killed.contains("dmesg"), "{killed}");
    }

    #[test]
    fn a_wrong_port_is_named() {
        let why = GivenUp::WrongPort { elsewhere: "127.0.0.1:8000".to_owned() };
        let sentence = said("", "", |evidence| gave_up(&why, 40_123, evidence));
        assert!(
            sentence.starts_with("WrongPort: it listens on 127.0.0.1:8000 but $PORT is 40123"),
            "{sentence}"
        );
    }
}
