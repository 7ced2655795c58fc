//! `planned`: gapless's own. A start is made when the requests that wait would be
//! served enough sooner by it, given what the slots there are, and the starts under
//! way, will do.
//!
//! It begins as [`async`](super::async_start) does: by the time a start begun now
//! is ready, live slots and earlier starts will have served so many; what is left
//! is what new instances are for. Two things are added.
//!
//! **Starts slow each other down.** A start takes `a + b k` with `k` others under
//! way (`b` is learned; kernel locks and disks make it large, see AFaaS, OSDI'25,
//! section 3). With `L` slots, a service time `s` and `q` requests waiting, `n` new
//! instances end the queue at
//!
//! ```text
//!   T(n) = (q s + n (a + b n)) / (L + n)        least at
//!   n*   = sqrt(L^2 + (q s - a L) / b) - L
//! ```
//!
//! Beyond `n*` another start makes everybody's wait longer, its own request's
//! too: so no more than that are made, however many wait.
//!
//! **A start that gains little is not made.** Where a start takes ten services or
//! more, those who wait are late by then whatever is done, and an instance that
//! serves many of them one after the other costs less than many that serve one
//! each: as with `async`, a gain below a quarter of the start is not worth one.
//! Where a start takes no longer than a service, the wait for somebody else's slot
//! is what makes a request late, and nearly any gain is.
//!
//! **Who would wait in vain is told so at once.** When every instance there may be is
//! there and the queue would take nearly the longest wait to serve, the next request
//! is refused on arrival instead of after that wait. Requests of a revision have one
//! longest wait, so the order of arrival is also that of the deadlines.

use std::time::Duration;

use super::async_start::plan;
use super::{Planner, Situation};

/// The planner. What it knows is in the [`Situation`].
#[derive(Debug)]
pub(super) struct Planned;

/// The share of its own time that a start's gain must exceed where it takes much
/// longer than a service,
const SLACK_MAX: f64 = 0.25;
/// and the part of that where it does not.
const SLACK_PART_MIN: f64 = 0.05;
/// A start that takes this many services takes much longer.
const MUCH_LONGER: f64 = 10.0;

/// The share of the longest wait that may be expected of a request that is let in.
const SHED_ABOVE: f64 = 0.9;

impl Planner for Planned {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        if situation.queued == 0 {
            return situation.live;
        }
        let (useful, more) = plan(situation, slack(situation));
        let more = match most_of_use(situation) {
            Some(most) => more.min(most.max(1).saturating_sub(useful)),
            None => more,
        };
        situation.live.saturating_add(useful).saturating_add(more)
    }

    fn sheds(&self, situation: &Situation, wait: Duration) -> bool {
        let is_all_there = situation.live >= situation.instances_max && situation.live_slots > 0;
        let Some(service) = situation.service.filter(|_| is_all_there) else {
            return false;
        };
        let turns = f64::from(situation.queued) / f64::from(situation.live_slots);
        turns * service.as_secs_f64() > wait.as_secs_f64() * SHED_ABOVE
    }
}

/// How much sooner a start must serve a request to be worth it.
fn slack(situation: &Situation) -> Duration {
    let start = situation.start.as_secs_f64();
    let service = situation.service.map_or(0.0, |service| service.as_secs_f64());
    let services = start / service.max(1e-9);
    let part = (services - 1.0) / (MUCH_LONGER - 1.0);
    situation.start.mul_f64(SLACK_MAX * part.clamp(SLACK_PART_MIN, 1.0))
}

/// `n*`: how many instances end the queue soonest; none when starts do not slow
/// each other down, or no service was seen.
fn most_of_use(situation: &Situation) -> Option<u32> {
    let slots = f64::from(situation.slots_each);
    let each = situation.start_each.as_secs_f64() / slots;
    if each <= 0.0 {
        return None;
    }
    let (live, service) = (f64::from(situation.live_slots), situation.service?.as_secs_f64());
    let work = f64::from(situation.queued) * service - situation.start.as_secs_f64() * live;
    if work <= 0.0 {
        return Some(0);
    }
    let most = (live * live + work / each).sqrt() - live;
    Some((most / slots).ceil().min(f64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::situation;
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn starts_that_slow_each_other_down_are_fewer() {
        let burst = Situation { queued: 1000, service: Some(MS(50)), ..situation() };
        assert_eq!(Planned.wanted(&burst), 1000, "nothing is gained by waiting");
        let slowed = Situation { start_each: Duration::from_micros(960), ..burst };
        let wanted = Planned.wanted(&slowed);
        assert_eq!(wanted, 229, "sqrt(1000 * 50 / 0.96)");
        let ends = |n: f64| (1000.0 * 50.0 + n * (100.0 + 0.96 * n)) / n;
        assert!(ends(229.0) <= ends(200.0) && ends(229.0) <= ends(260.0));
        assert!(ends(229.0) < 0.5 * ends(1000.0));
    }

    #[test]
    fn a_single_request_is_always_worth_its_start() {
        let one = Situation { start_each: MS(50), service: Some(MS(1)), ..situation() };
        assert_eq!(Planned.wanted(&one), 1);
    }

    #[test]
    fn nothing_that_waits_wants_nothing_more() {
        assert_eq!(
            Planned.wanted(&Situation { queued: 0, live: 3, starting: 2, ..situation() }),
            3
        );
    }
}
