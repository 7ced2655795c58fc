//! Checks of an instance that lives: it answers, alone and beside others, with
//! its environment and its logs; and of what goes before: prepare and refusal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::{StartFailure, StartPhase};
use gapless_types::Fault;
use http::{Method, StatusCode};

use super::fixture::{Ability, Fixture, Lines, PATIENCE, prepare_task};
use super::guest::{get, send};
use crate::{Driver, LOG_LINE_BYTES_MAX, LogStream, StartTask};

/// How long a stop in these checks waits before it ends the guest.
const GRACE: Duration = Duration::from_secs(10);
/// How many instances start at once.
const STARTS_AT_ONCE: u64 = 8;

/// Prepare, start, answer, stop. The driver says that it runs this code.
pub async fn an_instance_answers(driver: Arc<dyn Driver>, fixture: Fixture) {
    let task = fixture.prepare_task();
    assert!(driver.runs(&task.revision.spec.code()), "{driver:?} does not run its own probe");
    assert!(!driver.kind().is_empty());
    assert!(driver.starts_at_once(1) >= 1 && driver.starts_at_once(64) >= driver.starts_at_once(1));
    driver.prepare(task).await.expect("the probe prepares");
    let started = fixture.start(&driver, 1).await;
    let phases = [StartPhase::Place, StartPhase::Fetch];
    for phase in phases {
        assert!(started.report.phases[phase as usize].is_zero(), "{phase:?} is the node's to say");
    }
    assert!(!started.report.total().is_zero(), "a start takes time");
    for _ in 0..3 {
        let answer = get(&started.sandbox.endpoint(), "/hello").await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK);
        if let Some(hello) = fixture.hello {
            assert_eq!(answer.text(), hello);
        }
    }
    started.sandbox.stop(GRACE).await;
    fixture.assert_nothing_left_now();
}

/// A body of a mebibyte comes back as it went.
pub async fn a_body_is_echoed(driver: Arc<dyn Driver>, fixture: Fixture) {
    if !fixture.can(Ability::Echo) {
        return;
    }
    let started = fixture.start(&driver, 1).await;
    let body: Bytes = (0..1_u32 << 20).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
    let endpoint = started.sandbox.endpoint();
    for sent in [Bytes::new(), Bytes::from_static(b"x"), body] {
        let answer = send(&endpoint, Method::POST, "/echo", sent.clone()).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body == sent, "{} bytes went, {} came", sent.len(), answer.body.len());
    }
    started.sandbox.stop(GRACE).await;
}

/// Two instances of one revision share nothing, and one survives the other.
pub async fn two_at_once_are_separate(driver: Arc<dyn Driver>, fixture: Fixture) {
    let (one, two) = tokio::join!(fixture.start(&driver, 1), fixture.start(&driver, 2));
    if fixture.can(Ability::Count) {
        let count = |of: gapless_proto::Endpoint| async move {
            let answer = get(&of, "/count").await.expect("an answer");
            answer.text().trim().parse::<u64>().expect("a number")
        };
        let first = count(one.sandbox.endpoint()).await;
        for further in 1..=3 {
            assert_eq!(count(one.sandbox.endpoint()).await, first + further);
        }
        assert_eq!(count(two.sandbox.endpoint()).await, 1, "the other saw no request yet");
    }
    one.sandbox.stop(GRACE).await;
    let answer = get(&two.sandbox.endpoint(), "/hello").await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    two.sandbox.stop(GRACE).await;
    fixture.assert_nothing_left_now();
}

/// Starts that run at the same time all end in an instance that serves.
pub async fn many_starts_at_once_all_serve(driver: Arc<dyn Driver>, fixture: Fixture) {
    let starts = (0..STARTS_AT_ONCE).map(|instance| {
        let (driver, fixture) = (driver.clone(), fixture.clone());
        tokio::spawn(async move {
            let started = fixture.start(&driver, instance).await;
            let answer = get(&started.sandbox.endpoint(), "/hello").await.expect("an answer");
            assert_eq!(answer.status, StatusCode::OK);
            started.sandbox.stop(GRACE).await;
        })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.expect("every start serves");
    }
    fixture.assert_nothing_left_now();
}

/// `spec.env` reaches the guest, the platform's own environment does not.
pub async fn environment_reaches_the_guest(driver: Arc<dyn Driver>, mut fixture: Fixture) {
    if !fixture.can(Ability::Env) {
        return;
    }
    fixture.spec.env.insert("GREETING".to_owned(), "good morning, Zoë".into());
    let started = fixture.start(&driver, 1).await;
    let endpoint = started.sandbox.endpoint();
    let answer = get(&endpoint, "/env/GREETING").await.expect("an answer");
    assert_eq!((answer.status, answer.text().trim_end()), (StatusCode::OK, "good morning, Zoë"));
    // Cargo sets the second one for every test it runs.
    for absent in ["NOT_SET_BY_ANYONE", "CARGO_MANIFEST_DIR"] {
        let answer = get(&endpoint, &format!("/env/{absent}")).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{absent} is {:?}", answer.text());
    }
    started.sandbox.stop(GRACE).await;
}

/// What the guest writes arrives line by line, and a line too long in pieces.
pub async fn logs_arrive_by_line(driver: Arc<dyn Driver>, fixture: Fixture) {
    if !fixture.can(Ability::Log) {
        return;
    }
    let logs = Lines::new();
    let started = fixture.start_logged(&driver, 1, &logs).await;
    let endpoint = started.sandbox.endpoint();
    for text in ["one", "two"] {
        get(&endpoint, &format!("/log/{text}")).await.expect("an answer");
    }
    let has = |stream: LogStream, text: &'static str| {
        move |logs: &Lines| logs.of(stream).iter().any(|line| line == text)
    };
    for text in ["one", "two"] {
        logs.wait_for("a line on stdout", has(LogStream::Stdout, text)).await;
        logs.wait_for("a line on stderr", has(LogStream::Stderr, text)).await;
    }
    let long = LOG_LINE_BYTES_MAX + LOG_LINE_BYTES_MAX / 2;
    get(&endpoint, &format!("/log/{}", "x".repeat(long))).await.expect("an answer");
    let all_of_it = |logs: &Lines| {
        let lines = logs.of(LogStream::Stdout);
        lines.iter().map(|line| line.matches('x').count()).sum::<usize>() == long
    };
    logs.wait_for("the whole of a long line", all_of_it).await;
    let longest = logs.all().iter().map(|(_, line)| line.len()).max();
    assert!(longest <= Some(LOG_LINE_BYTES_MAX), "a line of {longest:?} bytes was passed on");
    started.sandbox.stop(GRACE).await;
}

/// Preparing again, also at the same time, changes nothing.
pub async fn prepare_twice_is_once(driver: Arc<dyn Driver>, fixture: Fixture) {
    let task = fixture.prepare_task();
    let (one, two) = tokio::join!(driver.prepare(task.clone()), driver.prepare(task.clone()));
    one.and(two).expect("both prepare");
    driver.prepare(task).await.expect("once more");
    let started = fixture.start(&driver, 1).await;
    get(&started.sandbox.endpoint(), "/hello").await.expect("an answer");
    started.sandbox.stop(GRACE).await;
}

/// `forget` harms no instance that runs, and a later start prepares again.
pub async fn a_forgotten_revision_starts_again(driver: Arc<dyn Driver>, fixture: Fixture) {
    let before = fixture.start(&driver, 1).await;
    driver.forget(&fixture.prepare_task().revision.name);
    get(&before.sandbox.endpoint(), "/hello").await.expect("an answer of the one that runs");
    let after = fixture.start(&driver, 2).await;
    get(&after.sandbox.endpoint(), "/hello").await.expect("an answer");
    before.sandbox.stop(GRACE).await;
    after.sandbox.stop(GRACE).await;
    fixture.assert_nothing_left().await;
}

/// A bad artifact is refused with a sentence, by `prepare` and by `start`, and
/// leaves nothing behind.
pub async fn bad_artifacts_fail_clearly(driver: Arc<dyn Driver>, fixture: Fixture) {
    for bad in &fixture.bad {
        let task = prepare_task(&bad.spec, bad.artifact.clone());
        let prepare = driver.prepare(task.clone());
        let prepared = tokio::time::timeout(PATIENCE, prepare).await.expect("an end");
        assert_is_clear(bad.name, prepared.expect_err(bad.name), &bad.says);
        let instance = gapless_types::InstanceId(1);
        let start =
            StartTask { instance, prepare: task, config: Arc::default(), logs: Lines::new() };
        let started = tokio::time::timeout(PATIENCE, driver.start(start)).await.expect("an end");
        assert_is_clear(bad.name, started.expect_err(bad.name), &bad.says);
        fixture.assert_nothing_left().await;
    }
}

fn assert_is_clear(name: &str, failure: StartFailure, says: &[&str]) {
    assert_eq!(failure.fault, Fault::Function, "{name}: {failure}");
    let is_word = failure.kind.starts_with(|first: char| first.is_ascii_uppercase())
        && failure.kind.chars().all(|letter| letter.is_ascii_alphanumeric());
    assert!(is_word, "{name}: kind {:?} is not one CamelCase word", failure.kind);
    for text in says {
        assert!(failure.message.contains(text), "{name}: {:?} lacks {text:?}", failure.message);
    }
}
