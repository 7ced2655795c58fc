//! What the probe answers to which path.

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::head::Head;

/// What `/die` exits with.
const DEATH_STATUS: i32 = 3;

/// How a request is answered.
pub(crate) enum Reply {
    /// A status line's end and a body.
    Full(&'static str, Cow<'static, [u8]>),
    /// The request's own body.
    Echo,
    /// These bytes as they are, and the connection's end.
    Raw(&'static [u8]),
}

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Does what the path asks for.
pub(crate) fn route(head: &Head) -> Reply {
    let seen = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
    let path = head.path.as_str();
    let (first, rest) = match path[1.min(path.len())..].split_once('/') {
        Some((first, rest)) => (first, rest),
        None => (&path[1.min(path.len())..], ""),
    };
    match first {
        "hello" => Reply::Full("200 OK", Cow::Borrowed(b"hello\n")),
        "echo" if head.is_post => Reply::Echo,
        "env" => match std::env::var_os(rest) {
            Some(value) => Reply::Full("200 OK", Cow::Owned(value.into_encoded_bytes())),
            None => Reply::Full("404 Not Found", Cow::Borrowed(b"not set\n")),
        },
        "file" => match file(rest) {
            Some(content) => Reply::Full("200 OK", Cow::Owned(content)),
            None => Reply::Full("404 Not Found", Cow::Borrowed(b"no such file\n")),
        },
        "log" => log(rest),
        "die" => {
            eprintln!("dying, as asked");
            std::process::exit(DEATH_STATUS);
        }
        "spin" => loop {
            std::hint::spin_loop();
        },
        "memory" => numbered(rest, take_memory),
        "sleep" => numbered(rest, |ms| std::thread::sleep(Duration::from_millis(ms))),
        "work" => work(head.query.as_deref()),
        "count" => text(seen),
        "instance" => text(u64::from(std::process::id())),
        "garbage" => Reply::Raw(b"\x16\x03\x01 this is not HTTP\r\nat all\r\n\r\n"),
        _ => Reply::Full("404 Not Found", Cow::Borrowed(b"the probe does not know this path\n")),
    }
}

fn file(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("GAPLESS_FILES")?;
    std::fs::read(std::path::Path::new(&folder).join(name)).ok()
}

fn text(number: u64) -> Reply {
    Reply::Full("200 OK", Cow::Owned(format!("{number}\n").into_bytes()))
}

fn numbered(argument: &str, act: impl FnOnce(u64)) -> Reply {
    match argument.parse() {
        Ok(number) => {
            act(number);
            Reply::Full("200 OK", Cow::Borrowed(b"done\n"))
        }
        Err(_) => Reply::Full("400 Bad Request", Cow::Borrowed(b"not a number\n")),
    }
}

/// Sleeps for as many microseconds as the query says and says how many it was: a
/// function that takes a given time and no processor.
fn work(query: Option<&str>) -> Reply {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let us = pairs.find(|(name, _)| *name == "us").and_then(|(_, value)| value.parse().ok());
    let Some(us) = us else {
        return Reply::Full("400 Bad Request", Cow::Borrowed(b"say how long: /work?us=NUMBER\n"));
    };
    std::thread::sleep(Duration::from_micros(us));
    Reply::Full("200 OK", Cow::Owned(format!("worked {us}\n").into_bytes()))
}

fn log(line: &str) -> Reply {
    let line = format!("{line}\n");
    // A log that nobody reads is no reason not to answer.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
    Reply::Full("200 OK", Cow::Borrowed(b"logged\n"))
}

/// Takes memory and keeps it, so that whoever watches sees it.
fn take_memory(mib: u64) {
    let bytes = usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::mem::forget(std::hint::black_box(memory));
}
