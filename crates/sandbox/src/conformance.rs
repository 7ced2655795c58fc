//! The suite every driver passes.
//!
//! A driver's `tests/conformance.rs` says how to make the driver and describes
//! its guest once, in a [`Fixture`]; [`conformance_tests!`](crate::conformance_tests)
//! turns every check into a test of its own:
//!
//! ```ignore
//! gapless_sandbox::conformance_tests!(setup); // fn setup() -> (Arc<dyn Driver>, Fixture)
//! ```
//!
//! The guest is a *probe*: a program or component that answers the paths of the
//! probe contract (`/hello`, `/echo`, `/env/NAME`, ...). A guest that knows only
//! some of them says so by [`Ability`], and the checks that need the others
//! pass by saying that they were skipped. Guests are reached only through their
//! [`Endpoint`](gapless_proto::Endpoint), as the gateway reaches them.
//!
//! A check waits for what must happen up to [`PATIENCE`] and never asserts that
//! something was fast.

mod checks;
mod configuration;
mod endings;
mod fixture;
mod guest;

pub use checks::{
    a_body_is_echoed, a_forgotten_revision_starts_again, an_instance_answers,
    bad_artifacts_fail_clearly, environment_reaches_the_guest, logs_arrive_by_line,
    many_starts_at_once_all_serve, prepare_twice_is_once, two_at_once_are_separate,
};
pub use configuration::{files_reach_the_guest, kept_values_reach_the_guest};
pub use endings::{
    a_dead_guest_is_reported, a_dropped_sandbox_is_gone, a_dropped_start_leaves_nothing,
    stop_while_idle_leaves_nothing, stop_while_serving_ends_the_call,
};
pub use fixture::{Ability, BadArtifact, Fixture, Lines, PATIENCE};
pub use guest::{Answer, get, send};

use std::sync::Arc;

use crate::Driver;

/// Every check, one after the other.
pub async fn run_all(driver: Arc<dyn Driver>, fixture: Fixture) {
    an_instance_answers(driver.clone(), fixture.clone()).await;
    a_body_is_echoed(driver.clone(), fixture.clone()).await;
    two_at_once_are_separate(driver.clone(), fixture.clone()).await;
    many_starts_at_once_all_serve(driver.clone(), fixture.clone()).await;
    environment_reaches_the_guest(driver.clone(), fixture.clone()).await;
    kept_values_reach_the_guest(driver.clone(), fixture.clone()).await;
    files_reach_the_guest(driver.clone(), fixture.clone()).await;
    logs_arrive_by_line(driver.clone(), fixture.clone()).await;
    prepare_twice_is_once(driver.clone(), fixture.clone()).await;
    a_forgotten_revision_starts_again(driver.clone(), fixture.clone()).await;
    bad_artifacts_fail_clearly(driver.clone(), fixture.clone()).await;
    stop_while_idle_leaves_nothing(driver.clone(), fixture.clone()).await;
    stop_while_serving_ends_the_call(driver.clone(), fixture.clone()).await;
    a_dropped_sandbox_is_gone(driver.clone(), fixture.clone()).await;
    a_dropped_start_leaves_nothing(driver.clone(), fixture.clone()).await;
    a_dead_guest_is_reported(driver, fixture).await;
}

/// Makes a `#[tokio::test]` of every check. `$setup` is called for each and
/// returns `(Arc<dyn Driver>, Fixture)`.
#[macro_export]
macro_rules! conformance_tests {
    ($setup:path) => {
        $crate::conformance_tests! { @each $setup;
            an_instance_answers
            a_body_is_echoed
            two_at_once_are_separate
            many_starts_at_once_all_serve
            environment_reaches_the_guest
            kept_values_reach_the_guest
            files_reach_the_guest
            logs_arrive_by_line
            prepare_twice_is_once
            a_forgotten_revision_starts_again
            bad_artifacts_fail_clearly
            stop_while_idle_leaves_nothing
            stop_while_serving_ends_the_call
            a_dropped_sandbox_is_gone
            a_dropped_start_leaves_nothing
            a_dead_guest_is_reported
        }
    };
    (@each $setup:path; $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let (driver, fixture) = $setup();
                $crate::conformance::$check(driver, fixture).await;
            }
        )*
    };
}
