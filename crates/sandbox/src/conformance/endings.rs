//! Checks of how an instance ends: told to, dropped, or by itself. Whichever way,
//! nothing of it is left.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::fixture::{Ability, Fixture, Lines, PATIENCE};
use super::guest::get;
use crate::Driver;

/// Delays after which a start under way is dropped: before its first step,
/// and at points that differ from machine to machine.
const DROP_AFTER_MICROS: [u64; 8] = [0, 50, 200, 500, 1_000, 3_000, 10_000, 30_000];

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// Stopping an idle instance leaves nothing, and is not a death.
pub async fn stop_while_idle_leaves_nothing(driver: Arc<dyn Driver>, fixture: Fixture) {
    for grace in [Duration::from_secs(10), Duration::ZERO] {
        let started = fixture.start(&driver, 1).await;
        get(&started.sandbox.endpoint(), "/hello").await.expect("an answer");
        let mut died = started.sandbox.died();
        assert!(died.as_mut().now_or_never().is_none(), "an instance that lives has died");
        in_time("a stop", started.sandbox.stop(grace)).await;
        fixture.assert_nothing_left_now();
        assert!(died.now_or_never().is_none(), "an instance that was stopped has died");
    }
}

/// Stopping an instance that serves ends the call, one way or the other.
pub async fn stop_while_serving_ends_the_call(driver: Arc<dyn Driver>, fixture: Fixture) {
    if !fixture.can(Ability::Sleep) {
        return;
    }
    let started = fixture.start(&driver, 1).await;
    let endpoint = started.sandbox.endpoint();
    let call = tokio::spawn(async move { get(&endpoint, "/sleep/600000").await });
    // Long enough for the request to have arrived almost always; the check holds either way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    in_time("a stop", started.sandbox.stop(Duration::from_millis(20))).await;
    fixture.assert_nothing_left_now();
    let answer = in_time("the call", call).await.expect("the call does not panic");
    assert!(
        answer.as_ref().map_or(true, |answer| !answer.status.is_success()),
        "a call that sleeps ten minutes was answered: {answer:?}"
    );
}

/// Dropping a sandbox is stopping it without grace.
pub async fn a_dropped_sandbox_is_gone(driver: Arc<dyn Driver>, fixture: Fixture) {
    let started = fixture.start(&driver, 1).await;
    let endpoint = started.sandbox.endpoint();
    get(&endpoint, "/hello").await.expect("an answer");
    drop(started);
    fixture.assert_nothing_left().await;

    let started = fixture.start(&driver, 2).await;
    // A stop that is begun and not waited for ends it all the same.
    let mut stop = started.sandbox.stop(Duration::from_secs(600));
    let _ = stop.as_mut().now_or_never();
    drop(stop);
    fixture.assert_nothing_left().await;
}

/// A start that is dropped on its way leaves nothing, and harms no later one.
pub async fn a_dropped_start_leaves_nothing(driver: Arc<dyn Driver>, fixture: Fixture) {
    drop(driver.start(fixture.start_task(1, &Lines::new())));
    for (instance, micros) in (2..).zip(DROP_AFTER_MICROS) {
        let start = driver.start(fixture.start_task(instance, &Lines::new()));
        let _ = tokio::time::timeout(Duration::from_micros(micros), start).await;
    }
    fixture.assert_nothing_left().await;
    let started = fixture.start(&driver, 100).await;
    get(&started.sandbox.endpoint(), "/hello").await.expect("an answer");
    in_time("a stop", started.sandbox.stop(Duration::from_secs(10))).await;
    fixture.assert_nothing_left_now();
}

/// A guest that dies is reported with the cause, and leaves nothing.
pub async fn a_dead_guest_is_reported(driver: Arc<dyn Driver>, fixture: Fixture) {
    if !fixture.can(Ability::Die) {
        return;
    }
    let started = fixture.start(&driver, 1).await;
    let (first, second) = (started.sandbox.died(), started.sandbox.died());
    let answer = in_time("the last call", get(&started.sandbox.endpoint(), "/die")).await;
    assert!(
        answer.as_ref().map_or(true, |answer| !answer.status.is_success()),
        "a guest that dies answered: {answer:?}"
    );
    let failure = in_time("word of the death", first).await;
    assert!(!failure.message.is_empty() && !failure.kind.is_empty());
    assert_eq!(in_time("word of the death", second).await, failure);
    assert_eq!(in_time("late word of the death", started.sandbox.died()).await, failure);
    in_time("a stop", started.sandbox.stop(Duration::from_secs(10))).await;
    fixture.assert_nothing_left_now();
}
