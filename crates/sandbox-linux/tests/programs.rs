//! Programs good and bad: how they are reached, what they are told, how they fail,
//! and that nothing of them is left.

mod support;

use std::time::Duration;

use gapless_proto::{Endpoint, StartPhase};
use gapless_sandbox::LogStream;
use gapless_sandbox::conformance::{Lines, get};
use gapless_types::{Bytes, Fault};
use support::{setup, setup_with, wait_until};

const GRACE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_program_on_the_unix_socket_is_reached_there() {
    let setup = setup(&["gapless-probe"]);
    let started = setup.start().await;
    assert!(matches!(started.sandbox.endpoint(), Endpoint::Unix(_)), "{started:?}");
    for phase in [StartPhase::Create, StartPhase::Boot, StartPhase::Init] {
        assert!(!started.report.phases[phase as usize].is_zero(), "{phase:?}: {started:?}");
    }
    started.sandbox.stop(GRACE).await;
    setup.fixture.assert_nothing_left_now();
}

#[tokio::test]
async fn a_program_on_the_port_is_reached_there() {
    let script = "unset GAPLESS_SOCKET; exec ./gapless-probe";
    let setup = setup(&["sh", "-c", script]);
    let started = setup.start().await;
    let Endpoint::Tcp(address) = started.sandbox.endpoint() else { panic!("{started:?}") };
    assert!(address.ip().is_loopback());
    let seen = get(&started.sandbox.endpoint(), "/env/PORT").await.unwrap();
    assert_eq!(seen.text(), address.port().to_string());
    started.sandbox.stop(GRACE).await;
    setup.fixture.assert_nothing_left_now();
}

#[tokio::test]
async fn the_environment_is_exactly_what_the_documentation_says() {
    let mut setup = setup(&["sh", "-c", "env; pwd; exec ./gapless-probe"]);
    setup.fixture.spec.env.insert("QUALITY".to_owned(), "80".into());
    setup.fixture.spec.env.insert("LANG".to_owned(), "de_DE.UTF-8".into());
    let logs = Lines::new();
    let started = setup.fixture.start_logged(&setup.driver, 0x2a, &logs).await;
    let lines = logs.of(LogStream::Stdout);
    let mut names: Vec<_> = lines.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort();
    // PWD and the like are the shell's own.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    let expected = [
        "GAPLESS_FUNCTION",
        "GAPLESS_INSTANCE",
        "GAPLESS_REVISION",
        "GAPLESS_SOCKET",
        "HOME",
        "K_CONFIGURATION",
        "K_REVISION",
        "K_SERVICE",
        "LANG",
        "PATH",
        "PORT",
        "QUALITY",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    for line in [
        "GAPLESS_INSTANCE=i00002a",
        "GAPLESS_FUNCTION=default/probe",
        "GAPLESS_REVISION=default/probe-00001",
        "K_SERVICE=probe",
        "K_REVISION=probe-00001",
        "LANG=de_DE.UTF-8",
        "QUALITY=80",
    ] {
        assert!(lines.iter().any(|seen| seen == line), "{line} is not in {lines:#?}");
    }
    let directory = lines.iter().find(|line| line.starts_with('/')).unwrap();
    assert!(directory.contains("/run/revisions/"), "{directory}");
    started.sandbox.stop(GRACE).await;
}

#[tokio::test]
async fn scratch_is_private_and_goes_with_the_instance() {
    let script = "mkdir -p \"$TMPDIR/deep/er\" && echo $$ > \"$HOME/deep/er/mine\" \
                  && ls -R \"$HOME\" && exec ./gapless-probe";
    let setup = setup(&["sh", "-c", script]);
    let logs = [Lines::new(), Lines::new()];
    let one = setup.fixture.start_logged(&setup.driver, 1, &logs[0]).await;
    let two = setup.fixture.start_logged(&setup.driver, 2, &logs[1]).await;
    for logs in &logs {
        assert_eq!(logs.of(LogStream::Stdout).iter().filter(|line| *line == "mine").count(), 1);
    }
    one.sandbox.stop(GRACE).await;
    two.sandbox.stop(GRACE).await;
    setup.fixture.assert_nothing_left().await;
}

#[tokio::test]
async fn a_program_that_exits_is_explained_by_its_last_words() {
    let script = "echo starting; echo 'config.json: no such file' >&2; exit 7";
    let setup = setup(&["sh", "-c", script]);
    let failure = setup.fail().await;
    assert_eq!((failure.kind, failure.fault), ("ExitedEarly", Fault::Function));
    assert!(failure.message.contains("exited with status 7 before it listened"), "{failure}");
    assert!(failure.message.ends_with("on stderr:\n  config.json: no such file"), "{failure}");
}

#[tokio::test]
async fn a_program_that_crashes_is_explained_by_its_signal() {
    let setup = setup(&["sh", "-c", "kill -SEGV $$"]);
    let failure = setup.fail().await;
    assert!(failure.message.contains("was ended by SIGSEGV"), "{failure}");
}

#[tokio::test]
async fn a_program_that_never_listens_is_given_up() {
    let setup = setup_with(&["sh", "-c", "echo waiting; sleep 600"], &[], |config| {
        config.start_timeout = Duration::from_millis(300);
    });
    let failure = setup.fail().await;
    assert_eq!(failure.kind, "NeverListened");
    assert!(failure.message.contains("did not listen within 300ms"), "{failure}");
    assert!(failure.message.contains("waiting"), "{failure}");
}

#[tokio::test]
async fn a_program_on_the_wrong_port_is_told_early_which() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let script = format!("unset GAPLESS_SOCKET; PORT={port} ./gapless-probe");
    let setup = setup_with(&["sh", "-c", &script], &[], |config| {
        config.wrong_port_patience = Duration::from_millis(400);
    });
    let logs = Lines::new();
    let start = setup.driver.start(setup.fixture.start_task(1, &logs));
    let failure = start.await.expect_err("nobody can reach it");
    setup.fixture.assert_nothing_left_now();
    assert_eq!((failure.kind, failure.fault), ("WrongPort", Fault::Function));
    let says = format!("it listens on 127.0.0.1:{port} but $PORT is ");
    assert!(failure.message.contains(&says), "{failure}");
    let noted = logs.of(LogStream::Platform);
    assert!(noted.len() == 1 && noted[0].contains(&says), "{noted:?}");
}

#[tokio::test]
async fn files_that_are_no_programs_are_explained() {
    let items: [support::Item<'_>; 3] = [
        ("no-interpreter", b"#!/no/such/interpreter\n", true),
        ("no-first-line", b"print('hello')\n", true),
        ("noise", b"\x01\x02\x03\x04", true),
    ];
    for (name, says) in [
        ("./no-interpreter", "the interpreter or loader it asks for does not"),
        ("./no-first-line", "must begin with a line such as"),
        ("./noise", "is not a program for this machine"),
    ] {
        let setup = setup_with(&[name], &items, |_| {});
        let failure = setup.fail().await;
        assert_eq!(failure.fault, Fault::Function);
        assert!(failure.message.contains(says), "{failure}");
        assert!(failure.message.contains(name), "{failure}");
    }
}

#[tokio::test]
async fn a_program_that_answers_and_dies_is_reported() {
    let setup = setup(&["./gapless-probe"]);
    let started = setup.start().await;
    let endpoint = started.sandbox.endpoint();
    get(&endpoint, "/hello").await.unwrap();
    get(&endpoint, "/die").await.unwrap_err();
    let failure = started.sandbox.died().await;
    assert_eq!((failure.kind, failure.fault), ("Exited", Fault::Function));
    assert!(failure.message.contains("exited with status 3"), "{failure}");
    assert!(failure.message.contains("dying, as asked"), "{failure}");
    // Nothing is left of it, though its handle is still held.
    setup.fixture.assert_nothing_left_now();
    drop(started);
}

#[tokio::test]
async fn what_a_program_started_goes_with_it() {
    for script in ["./gapless-probe & wait", "sleep 600 & exec ./gapless-probe"] {
        let setup = setup(&["sh", "-c", script]);
        let run_dir = setup.root.path().join("run");
        let started = setup.start().await;
        wait_until("both run", || support::processes(&run_dir).len() == 2).await;
        started.sandbox.stop(GRACE).await;
        setup.fixture.assert_nothing_left_now();

        let started = setup.start().await;
        drop(started);
        setup.fixture.assert_nothing_left().await;
    }
    // The leader dies, the other would live on.
    let setup = setup(&["sh", "-c", "sleep 600 & exec ./gapless-probe"]);
    let started = setup.start().await;
    get(&started.sandbox.endpoint(), "/die").await.unwrap_err();
    started.sandbox.died().await;
    setup.fixture.assert_nothing_left_now();
}

#[tokio::test]
async fn a_program_that_will_not_end_is_ended() {
    let setup = setup(&["sh", "-c", "trap '' TERM; ./gapless-probe & wait; wait; sleep 600"]);
    let started = setup.start().await;
    started.sandbox.stop(Duration::from_millis(100)).await;
    setup.fixture.assert_nothing_left_now();
}

#[tokio::test]
async fn a_program_may_end_in_its_own_time() {
    let script = "trap 'echo bye; kill $!; exit 0' TERM; ./gapless-probe & wait";
    let setup = setup(&["sh", "-c", script]);
    let logs = Lines::new();
    let started = setup.fixture.start_logged(&setup.driver, 1, &logs).await;
    started.sandbox.stop(GRACE).await;
    assert_eq!(logs.of(LogStream::Stdout), ["bye"]);
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_program_and_says_so() {
    // A little more than allowed: seen at the next look. Far more: refused at once.
    for mib in [200, 2_000] {
        let mut setup = setup(&["./gapless-probe"]);
        setup.fixture.spec.resources.memory = Bytes(64 << 20);
        let started = setup.start().await;
        let endpoint = started.sandbox.endpoint();
        get(&endpoint, "/memory/16").await.expect("within the limit");
        let call = tokio::spawn(async move { get(&endpoint, &format!("/memory/{mib}")).await });
        let failure = started.sandbox.died().await;
        assert_eq!(failure.kind, "OutOfMemory", "{failure}");
        assert!(failure.message.contains("64Mi"), "{failure}");
        let _ = call.await.unwrap();
        setup.fixture.assert_nothing_left_now();
    }
}

#[tokio::test]
async fn a_talkative_program_is_read_to_its_last_line() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; exit 1";
    let setup = setup(&["sh", "-c", script]);
    let logs = Lines::new();
    let failure = setup.driver.start(setup.fixture.start_task(1, &logs)).await.unwrap_err();
    let lines = logs.of(LogStream::Stdout);
    assert_eq!(lines.len(), 20_000);
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("line-{number}")));
    assert!(failure.message.contains("line-19999"), "{failure}");
}

#[tokio::test]
async fn a_command_needs_no_folder() {
    let mut setup = setup(&["x"]);
    setup.fixture.spec.command = Some(vec![support::probe().display().to_string()]);
    setup.fixture.artifact = None;
    let started = setup.start().await;
    assert_eq!(get(&started.sandbox.endpoint(), "/hello").await.unwrap().text(), "hello\n");
    started.sandbox.stop(GRACE).await;
    setup.fixture.assert_nothing_left_now();
}

#[tokio::test]
async fn forgotten_folders_are_removed_when_nobody_runs_in_them() {
    let setup = setup(&["./gapless-probe"]);
    let revisions = setup.root.path().join("run/revisions");
    let count = || std::fs::read_dir(&revisions).unwrap().count();
    let started = setup.start().await;
    assert_eq!(count(), 1);
    setup.driver.forget(&setup.fixture.prepare_task().revision.name);
    assert_eq!(count(), 1, "somebody runs in it");
    started.sandbox.stop(GRACE).await;
    wait_until("the folder is removed", || count() == 0).await;
    setup.fixture.assert_nothing_left().await;
}

#[tokio::test]
async fn python_serves_on_the_port() {
    let has_python = std::process::Command::new("python3").arg("--version").output();
    if !has_python.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: python3 is not installed; get it with `apt-get install python3`");
        return;
    }
    let server = b"import os, http.server as h\n\
        class H(h.BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       self.send_response(200); self.send_header('content-length', '2')\n\
        \x20       self.end_headers(); self.wfile.write(b'hi')\n\
        h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";
    let setup = setup_with(&["python3", "server.py"], &[("server.py", server, false)], |_| {});
    let logs = Lines::new();
    let started = setup.fixture.start_logged(&setup.driver, 1, &logs).await;
    assert_eq!(get(&started.sandbox.endpoint(), "/").await.unwrap().text(), "hi");
    started.sandbox.stop(GRACE).await;
    setup.fixture.assert_nothing_left().await;

    let broken =
        setup_with(&["python3", "server.py"], &[("server.py", b"import nope", false)], |_| {});
    let failure = broken.fail().await;
    assert!(failure.message.contains("No module named 'nope'"), "{failure}");
}
