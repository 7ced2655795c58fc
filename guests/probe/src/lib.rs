//! A component that does what a test asks of it, the twin of the process probe
//! in `crates/probe`: same paths, same answers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /hello` | `hello` |
//! | `POST /echo` | the body, streamed back with its content type |
//! | `GET /env/NAME` | the variable's value, or 404 |
//! | `GET /file/NAME` | the content of `$GAPLESS_FILES/NAME`, or 404 |
//! | `GET /write/NAME` | writes to that file: 200 when it could, 403 |
//! | `GET /log/TEXT` | writes TEXT as a line to stdout and to stderr |
//! | `GET /die` | none: traps |
//! | `GET /spin` | none: burns a core forever |
//! | `GET /memory/MIB` | allocates, touches and keeps that much memory |
//! | `GET /sleep/MS` | after that many milliseconds |
//! | `GET /count` | how many requests this memory has seen |
//! | `GET /fetch/HOST:PORT/PATH` | the status and body of `http://HOST:PORT/PATH`, or 502 with the error |

mod fetch;
mod file;

use std::sync::atomic::{AtomicU64, Ordering};

use kit::{Answer, Request};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasip2::io::streams::OutputStream;

/// The most that one write with a flush may carry.
const WRITE_BYTES_MAX: usize = 4096;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

struct Probe;

wasip2::http::proxy::export!(Probe);

impl Guest for Probe {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let seen = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        route(Request::new(request), Answer::new(out), seen);
    }
}

/// Does what the path asks for.
fn route(request: Request, answer: Answer, seen: u64) {
    // With its query: what is fetched may have one.
    let path = request.target().to_owned();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "hello" => answer.text(200, "hello\n"),
        "echo" if request.is_post() => echo(request, answer),
        "env" => match variable(rest) {
            Some(value) => answer.text(200, &value),
            None => answer.text(404, "not set\n"),
        },
        "file" => match file::read(rest) {
            Some(content) => answer.text(200, &String::from_utf8_lossy(&content)),
            None => answer.text(404, "no such file\n"),
        },
        "write" if file::write(rest) => answer.text(200, "written\n"),
        "write" => answer.text(403, "not to be written\n"),
        "log" => {
            log(rest);
            answer.text(200, "logged\n");
        }
        "die" => die(),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "memory" => numbered(rest, answer, take_memory),
        "sleep" => numbered(rest, answer, sleep),
        "count" => answer.text(200, &format!("{seen}\n")),
        "fetch" => fetch::fetch(rest, answer),
        _ => answer.text(404, "the probe does not know this path\n"),
    }
}

fn echo(request: Request, answer: Answer) {
    let content_type = request.header("content-type");
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    let content_type = content_type.as_deref().unwrap_or("application/octet-stream");
    let mut writer = answer.start(200, content_type, length);
    let mut body = request.into_body();
    // Either end may break off; then so does the answer, and its reader sees that.
    while let Ok(piece) = body.piece() {
        let Some(piece) = piece else { return writer.finish() };
        if writer.write(&piece).is_err() {
            return;
        }
    }
}

fn variable(name: &str) -> Option<String> {
    let variables = wasip2::cli::environment::get_environment();
    variables.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

fn log(line: &str) {
    let line = format!("{line}\n");
    write_all(&wasip2::cli::stdout::get_stdout(), line.as_bytes());
    write_all(&wasip2::cli::stderr::get_stderr(), line.as_bytes());
}

/// A log that nobody reads is no reason not to answer.
fn write_all(stream: &OutputStream, bytes: &[u8]) {
    for piece in bytes.chunks(WRITE_BYTES_MAX) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}

fn die() -> ! {
    write_all(&wasip2::cli::stderr::get_stderr(), b"dying, as asked\n");
    std::process::abort()
}

fn numbered(argument: &str, answer: Answer, act: impl FnOnce(u64)) {
    match argument.parse() {
        Ok(number) => {
            act(number);
            answer.text(200, "done\n");
        }
        Err(_) => answer.text(400, "not a number\n"),
    }
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

fn sleep(ms: u64) {
    let nanos = ms.saturating_mul(1_000_000);
    wasip2::clocks::monotonic_clock::subscribe_duration(nanos).block();
}
