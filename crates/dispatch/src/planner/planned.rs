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
//! **Each wait makes the pool one larger.** That those who wait are soon served by
//! slots that free says nothing of the next ones. So each time requests begin to
//! wait, one instance more than there was is wanted, whether or not it comes in time
//! for them: under load that rises or returns the pool grows to what is needed, and a
//! single burst costs one more. What turns out not to be needed the keeper gives
//! back. (`sync` does the same with one for each request that waits, and so pays for
//! a burst's every request.)
//!
//! **Who would wait in vain is told so at once.** When every instance there may be is
//! there and the queue would take nearly the longest wait to serve, the next request
//! is refused on arrival instead of after that wait. Requests of a revision have one
//! longest wait, so the order of arrival is also that of the deadlines.

use std::time::Duration;

use gapless_types::Time;

use super::async_start::plan;
use super::{Planner, Situation};

/// The planner. What it knows of times is in the [`Situation`]; its own is where it
/// has got to with growing.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Whether requests wait, without a break since the floor was set.
    is_waiting: bool,
    /// How many instances there should be, though those who wait are served without.
    floor: u32,
    /// Until when. A start that has not come about by then is not insisted on.
    floor_until: Time,
}

/// The share of its own time that a start's gain must exceed where it takes much
/// longer than a service,
const SLACK_MAX: f64 = 0.25;
/// and the part of that where it does not.
const SLACK_PART_MIN: f64 = 0.05;
/// A start that takes this many services takes much longer.
const MUCH_LONGER: f64 = 10.0;

/// How many starts' time a floor stands.
const FLOOR_STARTS: u32 = 2;
/// The share of the longest wait that may be expected of a request that is let in.
const SHED_ABOVE: f64 = 0.85;

impl Planner for Planned {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        if situation.queued == 0 {
            self.is_waiting = false;
            return situation.live.max(self.floor(situation));
        }
        let (useful, more) = plan(situation, slack(situation));
        let more = match most_of_use(situation) {
            Some(most) => more.min(most.max(1).saturating_sub(useful)),
            None => more,
        };
        let in_time = situation.live.saturating_add(useful).saturating_add(more);
        in_time.max(self.grown(situation))
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

impl Planned {
    /// The floor: one more than there was when the present wait began.
    fn grown(&mut self, situation: &Situation) -> u32 {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let there_are = situation.live.saturating_add(situation.starting);
            self.floor = there_are.saturating_add(1);
            self.floor_until = situation.now + situation.start * FLOOR_STARTS;
        }
        self.floor(situation)
    }

    /// The floor, as long as it stands and was not reached: what is reached is the
    /// keeper's.
    fn floor(&mut self, situation: &Situation) -> u32 {
        if situation.live >= self.floor || situation.now >= self.floor_until {
            self.floor = 0;
        }
        self.floor
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
        assert_eq!(Planned::default().wanted(&burst), 1000, "nothing is gained by waiting");
        let slowed = Situation { start_each: Duration::from_micros(960), ..burst };
        let wanted = Planned::default().wanted(&slowed);
        assert_eq!(wanted, 229, "sqrt(1000 * 50 / 0.96)");
        let ends = |n: f64| (1000.0 * 50.0 + n * (100.0 + 0.96 * n)) / n;
        assert!(ends(229.0) <= ends(200.0) && ends(229.0) <= ends(260.0));
        assert!(ends(229.0) < 0.5 * ends(1000.0));
    }

    #[test]
    fn a_single_request_is_always_worth_its_start() {
        let one = Situation { start_each: MS(50), service: Some(MS(1)), ..situation() };
        assert_eq!(Planned::default().wanted(&one), 1);
    }

    #[test]
    fn a_wait_that_slots_will_end_still_makes_the_pool_one_larger() {
        let mut planned = Planned::default();
        let busy = Situation { live: 4, live_slots: 4, service: Some(MS(1)), ..situation() };
        assert_eq!(planned.wanted(&busy), 5);
        assert_eq!(planned.wanted(&Situation { queued: 3, starting: 1, ..busy }), 5, "once a wait");
        let served = Situation { queued: 0, starting: 1, ..busy };
        assert_eq!(planned.wanted(&served), 5, "it is not taken back when the queue is empty");
        assert_eq!(planned.wanted(&Situation { live: 5, live_slots: 5, ..served }), 5);
        assert_eq!(planned.wanted(&Situation { starting: 0, ..served }), 4, "nor asked for again");
        planned.wanted(&busy);
        let later = Situation { now: Time::from_millis(200), ..served };
        assert_eq!(planned.wanted(&later), 4, "nor insisted on");
    }

    #[test]
    fn nothing_that_waits_wants_nothing_more() {
        assert_eq!(
            Planned::default().wanted(&Situation {
                queued: 0,
                live: 3,
                starting: 2,
                ..situation()
            }),
            3
        );
    }
}
