//! `emergency`: PulseNet's dual track (arXiv 2505.24551, section 4). Traffic that
//! lasts is served by regular instances, whose number a conventional window
//! autoscaler decides; a request that finds no free slot gets an emergency
//! instance at once, which serves it alone and is given back, unseen by the
//! autoscaler.
//!
//! An emergency counts towards the autoscaler's concurrency only when the median
//! time between the function's invocations is below the keep-alive of 60 s
//! (their metric filter at percentile 50): then another invocation is likely to
//! profit from a regular instance.

use std::collections::VecDeque;
use std::time::Duration;

use gapless_types::Time;

use super::window::Window;
use super::{Planner, Situation};

/// The metric filter's bound: a median gap below it makes traffic regular.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Gaps that the median is taken of.
const GAPS: usize = 15;

/// The planner.
#[derive(Debug)]
pub(super) struct Emergency {
    manager: Window,
    gaps: VecDeque<Duration>,
    last: Option<Time>,
    in_flight: u32,
    regular: u32,
}

impl Default for Emergency {
    fn default() -> Self {
        Emergency {
            manager: Window::knative(),
            gaps: VecDeque::new(),
            last: None,
            in_flight: 0,
            regular: 0,
        }
    }
}

impl Emergency {
    fn is_regular(&self) -> bool {
        // The median is below a bound when more than half are.
        let below = self.gaps.iter().filter(|gap| **gap < KEEP_ALIVE).count();
        below > self.gaps.len() / 2
    }
}

impl Planner for Emergency {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        // The manager sees neither who waits nor the starts for them.
        let seen = Situation { queued: 0, starting: 0, ..*situation };
        self.regular = self.manager.wanted(&seen);
        if self.regular == 0 && situation.live == 0 && self.is_regular() && situation.queued > 0 {
            // Reported through the filter: the manager acts from zero at once.
            self.regular = self.manager.wanted(&Situation { starting: 0, ..*situation });
        }
        self.regular.max(situation.live).saturating_add(situation.queued)
    }

    fn binds_requests(&self) -> bool {
        true
    }

    fn note(&mut self, now: Time, in_flight: u32) {
        if in_flight > self.in_flight
            && let Some(last) = self.last.replace(now)
        {
            if self.gaps.len() == GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back(now - last);
        }
        self.in_flight = in_flight;
        let counted = if self.is_regular() { in_flight } else { 0 };
        self.manager.note(now, counted);
    }

    fn tick(&self) -> Option<Time> {
        self.manager.tick()
    }

    fn owns_scale_down(&self) -> Option<u32> {
        Some(self.regular)
    }

    fn is_for_one_request(&mut self, live: u32) -> bool {
        live >= self.regular
    }
}

#[cfg(test)]
mod tests {
    use super::super::situation;
    use super::*;

    #[test]
    fn a_rare_function_gets_emergencies_only_and_a_frequent_one_regular_instances() {
        let mut rare = Emergency::default();
        rare.note(Time::ZERO, 1);
        assert_eq!(rare.wanted(&Situation { queued: 1, ..situation() }), 1);
        assert!(rare.is_for_one_request(0));

        let mut frequent = Emergency::default();
        for second in 0..10 {
            frequent.note(Time::from_millis(second * 1000), 1);
            frequent.note(Time::from_millis(second * 1000 + 900), 0);
        }
        let now = Time::from_millis(10_000);
        frequent.note(now, 1);
        let wanted = frequent.wanted(&Situation { now, queued: 1, ..situation() });
        assert_eq!(wanted, 3, "two regular ones for a concurrency of one at 70%, and one now");
        assert!(!frequent.is_for_one_request(0) && frequent.is_for_one_request(2));
    }
}
