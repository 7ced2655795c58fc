//! The Python client of Kubernetes against a real platform; also a watch that goes on
//! across a kill of the server, without a gap and without a duplicate.

#[allow(dead_code, reason = "kubectl.rs uses the rest of it")]
mod clients;
#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use std::process::{Command, Stdio};

use clients::Running;
use running::{Up, run};
use rustix::process::Signal;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/client.py");

/// A Python that has the client, if there is one; said on stderr if not.
fn python() -> Option<String> {
    let named = std::env::var("GAPLESS_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut probe = Command::new(&named);
    let probe = probe.args(["-c", "import kubernetes"]).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        return Some(named);
    }
    eprintln!(
        "SKIPPED: {named} cannot import kubernetes; get it with `pip install kubernetes`, or name \
         another Python by GAPLESS_TEST_PYTHON"
    );
    None
}

fn client(python: &str, api: &str, what: &str) -> Command {
    let mut command = Command::new(python);
    command.args([CLIENT, api, what]).env_remove("http_proxy").env_remove("HTTP_PROXY");
    command.stdin(Stdio::null());
    command
}

fn data() -> tempfile::TempDir {
    // Short, because sockets below it have short paths.
    tempfile::Builder::new().prefix("gp-").tempdir_in("/tmp").unwrap()
}

#[test]
fn a_program_declares_watches_and_deletes() {
    let Some(python) = python() else { return };
    let dir = data();
    let up = Up::start(&dir.path().join("data"), &["--fake-nodes", "1"]);
    for what in ["functions", "core"] {
        let done = run(&mut client(&python, &up.api, what));
        assert_eq!((done.code, done.out.as_str()), (0, "done\n"), "{what}: {}", done.err);
    }
}

#[test]
fn a_watch_goes_on_across_a_killed_server() {
    let Some(python) = python() else { return };
    let dir = data();
    let folder = dir.path().join("data");
    let mut up = Up::start(&folder, &[]);
    let address = up.api.trim_start_matches("http://").to_owned();
    let mut following = client(&python, &up.api, "follow");
    following.stderr(Stdio::null());
    let mut following = Running::start(following);
    following.line("it follows", |line| line == "following");
    let mut made = 0;
    for _ in 0..3 {
        // Some before the kill that are told, and some that may not be.
        for _ in 0..5 {
            create(&up, &format!("c{made:04}"));
            made += 1;
        }
        let told = format!("c{:04}", made - 3);
        following.line("the first of them", |line| line == told);
        up.signal(Signal::KILL);
        up.wait();
        up = Up::start_at(&folder, &address, &[]);
        for _ in 0..5 {
            create(&up, &format!("c{made:04}"));
            made += 1;
        }
    }
    create(&up, "last");
    following.line("all of them", |line| line == format!("told {made}"));
    assert_eq!(following.wait(), 0);
}

/// Creates a config map as the client's own process would.
fn create(up: &Up, name: &str) {
    use std::io::{Read as _, Write as _};
    let address = up.api.trim_start_matches("http://");
    let body =
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: {address}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
