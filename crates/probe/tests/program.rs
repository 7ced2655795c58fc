//! The program as it is started by a platform: by its environment, over sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

struct Probe(Child);

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Held while a process is made and while a free port is looked for: a child has a copy
/// of every socket until its exec, so the port would still be listened on.
static MAKING: Mutex<()> = Mutex::new(());

fn free_port() -> u16 {
    let _alone = MAKING.lock().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn start(variable: &str, value: &str) -> Probe {
    let _alone = MAKING.lock().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless-probe"));
    command.env_clear().env("GREETING", "hi").env(variable, value).stdout(Stdio::null());
    Probe(command.spawn().expect("the probe starts"))
}

fn on_unix() -> (Probe, UnixStream, std::path::PathBuf) {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let socket = std::env::temp_dir().join(format!("probe-{}-{next}.sock", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let probe = start("GAPLESS_SOCKET", socket.to_str().unwrap());
    let stream = retry(|| UnixStream::connect(&socket));
    (probe, stream, socket)
}

fn retry<T>(mut connect: impl FnMut() -> std::io::Result<T>) -> T {
    for _ in 0..10_000 {
        if let Ok(stream) = connect() {
            return stream;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the probe never listened");
}

fn ask(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let is_whole = match length {
                Some(length) => body.len() >= length.parse().unwrap(),
                None => body.ends_with("0\r\n\r\n"),
            };
            if is_whole || request.starts_with("HEAD") {
                return text;
            }
        }
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the connection ended after {text:?}");
        bytes.extend_from_slice(&piece[..read]);
    }
}

#[test]
fn answers_many_requests_on_one_connection() {
    let (_probe, mut stream, socket) = on_unix();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(ask(&mut stream, &get("/hello")).ends_with("\r\n\r\nhello\n"));
    assert!(ask(&mut stream, &get("/env/GREETING")).ends_with("\r\n\r\nhi"));
    assert!(ask(&mut stream, &get("/env/NOPE")).starts_with("HTTP/1.1 404"));
    assert!(ask(&mut stream, &get("/count")).ends_with("\r\n\r\n4\n"));
    let head = ask(&mut stream, "HEAD /hello HTTP/1.1\r\n\r\n");
    assert!(head.contains("content-length: 6") && head.ends_with("\r\n\r\n"), "{head:?}");
    let echoed = ask(&mut stream, "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    assert!(echoed.ends_with("\r\n\r\nabc"), "{echoed:?}");
    let chunked = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert!(ask(&mut stream, chunked).ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    assert!(ask(&mut stream, &get("/nothing")).starts_with("HTTP/1.1 404"));
    let _ = std::fs::remove_file(socket);
}

#[test]
fn serves_many_connections_at_a_time() {
    let (_probe, first, socket) = on_unix();
    let mut streams: Vec<_> = (0..50).map(|_| retry(|| UnixStream::connect(&socket))).collect();
    streams.push(first);
    for stream in &mut streams {
        assert!(ask(stream, "GET /hello HTTP/1.1\r\n\r\n").ends_with("hello\n"));
    }
    let _ = std::fs::remove_file(socket);
}

#[test]
fn listens_on_the_port_it_is_given_and_dies_when_asked() {
    let port = free_port();
    let mut probe = start("PORT", &port.to_string());
    let mut stream = retry(|| TcpStream::connect(("127.0.0.1", port)));
    assert!(ask(&mut stream, "GET /hello HTTP/1.1\r\n\r\n").ends_with("hello\n"));
    let mut rest = String::new();
    stream.write_all(b"GET /die HTTP/1.1\r\n\r\n").unwrap();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(probe.0.wait().unwrap().code(), Some(3));
}

#[test]
fn works_for_as_long_as_it_is_told() {
    let (_probe, mut stream, socket) = on_unix();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let begun = std::time::Instant::now();
    assert!(ask(&mut stream, &get("/work?us=20000")).ends_with("\r\n\r\nworked 20000\n"));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    for wrong in ["/work", "/work?us=soon", "/work?ms=1"] {
        assert!(ask(&mut stream, &get(wrong)).starts_with("HTTP/1.1 400"), "{wrong}");
    }
    let _ = std::fs::remove_file(socket);
}
