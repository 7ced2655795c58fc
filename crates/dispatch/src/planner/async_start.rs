//! `async`: a queued request takes whichever slot frees first, and a start is
//! asked for when that would take longer than a start.
//!
//! Live slots together finish a request every `service / slots`. By the time a
//! start begun now would be ready, they will have taken some requests off the
//! queue, and so will the starts already under way. A request that is then still
//! waiting would be served sooner by a start, so as many are asked for as it
//! takes to drain what is left within a [slack](SLACK) of a quarter of a start:
//! at once where a service takes longer than that, and by a few instances where
//! each would serve many requests in that time. A start that would gain less is
//! not worth its cost. The same sum, done for the time left to the starts under
//! way, says how many of *them* are still of use.
//!
//! Until a first service was seen nothing says that waiting is better than
//! starting, so live slots are expected to free nothing.
//!
//! Why not Knative's way (a target of concurrency over a window): a window
//! answers seconds late, and its answer does not depend on how long a start
//! takes, which is what the trade is about.

use std::time::Duration;

use super::{Planner, Situation};

/// The planner. It has no state of its own.
#[derive(Debug)]
pub(super) struct AsyncStart;

/// The share of a start's time that its gain must exceed.
const SLACK: f64 = 0.25;

impl Planner for AsyncStart {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        let (useful, more) = plan(situation, situation.start.mul_f64(SLACK));
        situation.live.saturating_add(useful).saturating_add(more)
    }
}

/// How many of the starts under way are of use, and how many more would be, to have
/// the queue served within `slack` of a start's time.
pub(super) fn plan(situation: &Situation, slack: Duration) -> (u32, u32) {
    let left = time_left(situation.start, situation.starting_age);
    let unserved = situation.queued.saturating_sub(served_by_live(situation, left + slack));
    let useful = instances_for(situation, unserved, slack).min(situation.starting);

    let horizon = situation.start + slack;
    let served = served_by_live(situation, horizon).saturating_add(served_by_starting(
        situation,
        useful,
        horizon.saturating_sub(left),
    ));
    let unserved = situation.queued.saturating_sub(served);
    (useful, instances_for(situation, unserved, slack))
}

/// Instances that serve `requests` within `slack` of being ready: each slot one
/// at once, then at its pace.
fn instances_for(situation: &Situation, requests: u32, slack: Duration) -> u32 {
    let per_slot = served(1, situation.service, slack).saturating_add(1);
    requests.div_ceil(per_slot.saturating_mul(situation.slots_each))
}

/// How long until a start of this age is ready. One that is late is expected to
/// take as long again as half of what it took so far, so that a wrong
/// expectation corrects itself.
fn time_left(start: Duration, age: Duration) -> Duration {
    start.saturating_sub(age).max(age / 2).min(start.max(age / 2))
}

/// Requests that live slots take off the queue within `span`.
fn served_by_live(situation: &Situation, span: Duration) -> u32 {
    served(situation.live_slots, situation.service, span)
}

/// Requests that `useful` starts take off the queue within `span` of being ready, on
/// average: one each at once, and one more after each *whole* service. They become
/// ready at different times, so half a service of each one's span comes to nothing.
fn served_by_starting(situation: &Situation, useful: u32, span: Duration) -> u32 {
    let slots = useful.saturating_mul(situation.slots_each);
    let unfinished = situation.service.unwrap_or_default() / 2;
    slots.saturating_add(served(slots, situation.service, span.saturating_sub(unfinished)))
}

fn served(slots: u32, service: Option<Duration>, span: Duration) -> u32 {
    match service {
        None => 0,
        // A service too short to measure: nothing is worth a start.
        Some(service) if service.is_zero() => u32::MAX * slots.min(1),
        Some(service) => {
            let turns = span.as_secs_f64() / service.as_secs_f64();
            (turns * f64::from(slots)).min(f64::from(u32::MAX)) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::situation;
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn with_nothing_live_every_request_gets_a_start() {
        assert_eq!(AsyncStart.wanted(&Situation { queued: 7, ..situation() }), 7);
        assert_eq!(AsyncStart.wanted(&Situation { queued: 7, slots_each: 4, ..situation() }), 2);
    }

    #[test]
    fn a_slot_that_frees_before_a_start_would_be_ready_is_waited_for() {
        let one_live = Situation { live: 1, live_slots: 1, service: Some(MS(10)), ..situation() };
        assert_eq!(AsyncStart.wanted(&Situation { queued: 10, ..one_live }), 1);
        assert_eq!(AsyncStart.wanted(&Situation { queued: 12, ..one_live }), 1, "hardly longer");
        assert_eq!(AsyncStart.wanted(&Situation { queued: 15, ..one_live }), 2);
    }

    #[test]
    fn what_a_few_instances_drain_soon_is_not_given_to_many() {
        let long =
            Situation { queued: 1000, live: 1, live_slots: 1, service: Some(MS(1)), ..situation() };
        assert_eq!(AsyncStart.wanted(&Situation { start: MS(500), ..long }), 4);
        assert_eq!(AsyncStart.wanted(&Situation { start: MS(4), ..long }), 499);
    }

    #[test]
    fn a_slow_service_is_not_waited_for() {
        let slow = Situation { live: 2, live_slots: 2, service: Some(MS(5000)), ..situation() };
        assert_eq!(AsyncStart.wanted(&Situation { queued: 3, ..slow }), 5);
    }

    #[test]
    fn starts_under_way_count_and_are_dropped_when_of_no_use() {
        let under_way = Situation { starting: 4, starting_age: MS(50), ..situation() };
        assert_eq!(AsyncStart.wanted(&Situation { queued: 4, ..under_way }), 4);
        assert_eq!(AsyncStart.wanted(&Situation { queued: 2, ..under_way }), 2);
        let drained = Situation { live: 1, live_slots: 1, service: Some(MS(1)), ..under_way };
        assert_eq!(AsyncStart.wanted(&Situation { queued: 30, ..drained }), 1);
    }

    #[test]
    fn a_late_start_is_expected_later_the_later_it_is() {
        assert_eq!(time_left(MS(100), MS(0)), MS(100));
        assert_eq!(time_left(MS(100), MS(60)), MS(40));
        assert_eq!(time_left(MS(100), MS(400)), MS(200));
    }
}
