//! The side that looks ahead: what the planner and the keeper are told, and what
//! follows from their answers.

use std::time::Duration;

use gapless_types::{InstanceId, Time};

use super::{Dispatch, IDLE_REPORT_MIN, REVIEW_MIN};
use crate::Action;
use crate::keep::Times;
use crate::planner::Situation;
use crate::slots::Live;

impl Dispatch {
    /// The idle instance whose time is nearest its end, of those that were not
    /// reported, and when that is.
    pub(super) fn soonest_idle(&self) -> Option<(Time, InstanceId)> {
        let unreported = self.slots.idle().filter(|(_, live)| live.reported.is_none());
        let until = |live: &Live| self.keeper.until(live.unused_since, live.is_unused);
        unreported.map(|(instance, live)| (until(live), instance)).min()
    }

    /// Whether there is nothing, nothing comes and nobody waits.
    pub(super) fn has_none(&self) -> bool {
        self.queue.is_empty() && self.slots.live_count() + self.slots.starting_count() == 0
    }

    /// When the first in the queue must be served, and when the plan is reviewed.
    pub(super) fn waiting(&self, now: Time) -> Option<(Time, Time)> {
        let (_, deadline) = self.queue.first_key_value()?;
        Some((*deadline, self.review_at(now)))
    }

    /// Reports instances whose time is over. Returns when to look again.
    pub(super) fn report_idle(&mut self, now: Time, actions: &mut Vec<Action>) -> Time {
        let live = self.slots.live_count();
        let mut surplus = self.planner.owns_scale_down().map(|wanted| live.saturating_sub(wanted));
        let again = self.keeper.stay().max(IDLE_REPORT_MIN);
        let mut next = Time::NEVER;
        for (instance, live) in self.slots.idle_mut() {
            let due = match (&mut surplus, live.reported) {
                // One that nobody came for after all: it had a request of its own.
                _ if live.is_for_one => live.unused_since + IDLE_REPORT_MIN,
                (Some(0), _) => continue,
                (Some(surplus), reported) => {
                    *surplus -= 1;
                    reported.map_or(now, |reported| reported + IDLE_REPORT_MIN)
                }
                (None, None) => self.keeper.until(live.unused_since, live.is_unused),
                (None, Some(reported)) => reported + again,
            };
            if due <= now {
                live.reported = Some(now);
                actions.push(Action::Idle { instance });
                next = next.min(now + again);
            } else {
                next = next.min(due);
            }
        }
        next
    }

    /// Says how many instances are wanted, if that changed, or if `again` and
    /// more are wanted than there are: an instance was lost, and control, which
    /// counted it as wanted, must hear the wish anew.
    pub(super) fn plan(&mut self, now: Time, again: bool, actions: &mut Vec<Action>) {
        let live = self.slots.live_count();
        let wanted = if self.is_closed { 0 } else { self.wanted(now, live) };
        if wanted != self.demand || (again && wanted > live) {
            self.demand = wanted;
            actions.push(Action::Demand { instances: wanted });
        }
        if self.is_closed {
            // The planner was not asked, so its tick would stay where it is.
            return;
        }
        if let Some(tick) = self.planner.tick() {
            self.arm(tick, actions);
        }
        if let (true, Some((from, _))) = (self.has_none(), self.keeper.ahead())
            && from > now
        {
            self.arm(from, actions);
        }
    }

    /// How many instances are wanted, all told.
    fn wanted(&mut self, now: Time, live: u32) -> u32 {
        let ahead = u32::from(self.keeper.is_ahead(now));
        let wanted = self.planner.wanted(&self.situation(now)).max(ahead);
        let for_one = self.slots.for_one_count();
        let there_are = live + for_one;
        let all = wanted.saturating_add(for_one);
        all.min(self.config.instances_max).max(there_are)
    }

    pub(super) fn situation(&self, now: Time) -> Situation {
        let starting = self.slots.starting_count();
        let is_blocked = self.blocked.is_some_and(|(until, _)| now < until);
        let instances_max = self.config.instances_max;
        let there_are = self.slots.live_count() + starting;
        Situation {
            now,
            queued: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            live: self.slots.live_count(),
            live_slots: self.slots.slot_count(),
            starting,
            starting_age: self.slots.starting_age_mean(now),
            slots_each: self.config.concurrency.max(1),
            start: self.learned.start_beside(starting),
            start_each: self.learned.start_each(),
            service: self.service_expected(now),
            instances_max: if is_blocked { instances_max.min(there_are) } else { instances_max },
        }
    }

    /// How long a service is expected to take: what was learned, or longer when
    /// those in service have been there longer on average. So requests that hang
    /// are not waited for.
    fn service_expected(&self, now: Time) -> Option<Duration> {
        let learned = self.learned.service()?;
        let count = self.in_service.len() as u128;
        let age_nanos = (u128::from(now.as_nanos()) * count).saturating_sub(self.sent_sum);
        let age_mean = u64::try_from(age_nanos / count.max(1)).unwrap_or(u64::MAX);
        Some(learned.max(Duration::from_nanos(age_mean)))
    }

    pub(super) fn times(&self) -> Times {
        Times { start: self.learned.start(), service: self.learned.service() }
    }

    /// When to look again at the plan while something waits.
    pub(super) fn review_at(&self, now: Time) -> Time {
        now + self.learned.start().max(REVIEW_MIN)
    }
}
