//! `window`: Knative's autoscaler. Every two seconds it divides the concurrency
//! seen, averaged over a stable window of 60 s or a panic window of 6 s, by a
//! target per instance.
//!
//! As Knative documents and ships it (`config-autoscaler`, and
//! `pkg/autoscaler/scaling/autoscaler.go` in knative/serving): concurrency is
//! averaged in buckets of a second; the target is 70% of an instance's slots; when
//! the panic window's wish is twice what is ready, scale-up follows it and never
//! falls until a stable window has passed without that; in a tick it grows at most
//! a thousandfold and shrinks at most by half. A revision at zero does not wait for
//! the tick: the activator's first report is acted on at once. It is taken to zero
//! when a stable window saw nothing, after a grace of 30 s.
//!
//! What is ours: surplus instances that are idle go first, where Kubernetes would
//! end any; and none of the control path's delay, which belongs to the
//! environment and not to the plan.

use std::collections::VecDeque;
use std::time::Duration;

use gapless_types::Time;

use super::{Planner, Situation};

/// How an autoscaler of this kind is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Between two decisions.
    pub(super) tick: Duration,
    /// Over how long concurrency is averaged.
    pub(super) stable: Duration,
    /// Over how long, to notice a burst.
    pub(super) panic: Duration,
    /// The panic window's wish over what is ready, from which on it is a burst.
    pub(super) panic_threshold: f64,
    /// The share of an instance's slots that is to be in use.
    pub(super) target: f64,
    /// Growth in a tick at the most.
    pub(super) scale_up_max: f64,
    /// Shrinking in a tick at the most.
    pub(super) scale_down_max: f64,
    /// How long the last instance stays once nothing is wanted.
    pub(super) zero_grace: Duration,
    /// How concurrency is measured.
    pub(super) sampling: Sampling,
}

/// How concurrency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    /// Its average over each interval.
    Average(Duration),
    /// What it is at the end of each interval.
    Latest(Duration),
}

impl Sampling {
    fn interval(self) -> Duration {
        match self {
            Sampling::Average(interval) | Sampling::Latest(interval) => interval,
        }
    }
}

pub(super) const KNATIVE: Settings = Settings {
    tick: Duration::from_secs(2),
    stable: Duration::from_secs(60),
    panic: Duration::from_secs(6),
    panic_threshold: 2.0,
    target: 0.7,
    scale_up_max: 1000.0,
    scale_down_max: 2.0,
    zero_grace: Duration::from_secs(30),
    sampling: Sampling::Average(Duration::from_secs(1)),
};

/// The planner.
#[derive(Debug)]
pub(super) struct Window {
    settings: Settings,
    samples: Samples,
    /// When the next decision is due; none while there is nothing to decide.
    next: Option<Time>,
    desired: u32,
    panic: Option<Panic>,
    /// Since when nothing was wanted.
    zero_since: Option<Time>,
}

/// A burst that is being followed.
#[derive(Clone, Copy, Debug)]
struct Panic {
    /// When the threshold was last exceeded.
    since: Time,
    /// The most wanted since it began.
    most: u32,
}

impl Window {
    pub(super) fn new(settings: Settings) -> Self {
        Window {
            settings,
            samples: Samples::default(),
            next: None,
            desired: 0,
            panic: None,
            zero_since: None,
        }
    }

    pub(super) fn knative() -> Self {
        Window::new(KNATIVE)
    }

    fn decide(&mut self, situation: &Situation) {
        let now = situation.now;
        let settings = self.settings;
        self.samples.close(now, settings.sampling);
        let ready = situation.live.max(1);
        let per_instance = (settings.target * f64::from(situation.slots_each)).max(0.01);
        let bound = |wish: f64| {
            let high = (settings.scale_up_max * f64::from(ready)).ceil();
            let low = (f64::from(situation.live) / settings.scale_down_max).floor();
            wish.clamp(low, high.max(low)) as u32
        };
        let wish = |window| (self.samples.mean(window, settings.sampling) / per_instance).ceil();
        let (stable, urgent) = (bound(wish(settings.stable)), bound(wish(settings.panic)));
        if f64::from(urgent) / f64::from(ready) >= settings.panic_threshold {
            let most = self.panic.map_or(0, |panic| panic.most);
            self.panic = Some(Panic { since: now, most: most.max(urgent).max(situation.live) });
        } else if self.panic.is_some_and(|panic| now - panic.since > settings.stable) {
            self.panic = None;
        }
        self.desired = match &mut self.panic {
            Some(panic) => {
                panic.most = panic.most.max(urgent);
                panic.most
            }
            None => stable,
        };
        self.keep_last(now);
    }

    /// The last instance stays for the grace.
    fn keep_last(&mut self, now: Time) {
        if self.desired > 0 {
            self.zero_since = None;
            return;
        }
        let since = *self.zero_since.get_or_insert(now);
        if now - since < self.settings.zero_grace {
            self.desired = 1;
        }
    }
}

impl Planner for Window {
    fn wanted(&mut self, situation: &Situation) -> u32 {
        let now = situation.now;
        let is_due = self.next.is_some_and(|next| next <= now);
        let is_at_zero = situation.live + situation.starting == 0;
        if is_at_zero && situation.queued > 0 && self.desired == 0 {
            // The activator's report: act at once, then tick.
            let per_instance = (self.settings.target * f64::from(situation.slots_each)).max(0.01);
            self.desired = (f64::from(situation.queued) / per_instance).ceil() as u32;
            self.zero_since = None;
        } else if is_due {
            self.decide(situation);
        }
        let is_over = is_at_zero && situation.queued == 0 && self.desired == 0;
        if is_over {
            (self.next, self.panic, self.zero_since) = (None, None, None);
            self.samples = Samples::default();
        } else if is_due || self.next.is_none() {
            self.next = Some(now + self.settings.tick);
        }
        self.desired
    }

    fn note(&mut self, now: Time, in_flight: u32) {
        self.samples.note(now, in_flight, self.settings.sampling);
    }

    fn tick(&self) -> Option<Time> {
        self.next
    }

    fn owns_scale_down(&self) -> Option<u32> {
        Some(self.desired)
    }
}

/// Concurrency per interval, the longest window's worth.
#[derive(Debug, Default)]
struct Samples {
    /// Of past intervals, latest last.
    past: VecDeque<f64>,
    /// Number of the open interval.
    open: Option<u64>,
    /// Concurrency times nanoseconds in the open interval.
    sum: f64,
    at: Time,
    current: u32,
}

/// Samples that are kept: the stable window's, at the shortest interval.
const SAMPLES_MAX: usize = 60;

impl Samples {
    fn note(&mut self, now: Time, in_flight: u32, sampling: Sampling) {
        self.close(now, sampling);
        self.sum += f64::from(self.current) * (now - self.at).as_nanos() as f64;
        (self.at, self.current) = (now, in_flight);
    }

    /// Closes the intervals that have ended by `now`.
    fn close(&mut self, now: Time, sampling: Sampling) {
        let length = sampling.interval().as_nanos() as u64;
        let interval = now.as_nanos() / length;
        let Some(mut open) = self.open else {
            (self.open, self.at) = (Some(interval), now);
            return;
        };
        // Beyond a window's worth of silence nothing is left but what is now.
        if interval - open > SAMPLES_MAX as u64 + 1 {
            let skipped = interval - open - SAMPLES_MAX as u64;
            open += skipped;
            (self.sum, self.at) = (0.0, Time::from_nanos(open * length));
        }
        while open < interval {
            let end = Time::from_nanos((open + 1) * length);
            self.sum += f64::from(self.current) * (end - self.at).as_nanos() as f64;
            let sample = match sampling {
                Sampling::Average(_) => self.sum / length as f64,
                Sampling::Latest(_) => f64::from(self.current),
            };
            if self.past.len() == SAMPLES_MAX {
                self.past.pop_front();
            }
            self.past.push_back(sample);
            (self.sum, self.at) = (0.0, end);
            open += 1;
        }
        self.open = Some(open);
    }

    /// The mean over the latest `window`, or since the first sample.
    fn mean(&self, window: Duration, sampling: Sampling) -> f64 {
        let count = (window.as_nanos() / sampling.interval().as_nanos()).max(1) as usize;
        let count = count.min(self.past.len());
        if count == 0 {
            return f64::from(self.current);
        }
        self.past.iter().rev().take(count).sum::<f64>() / count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::situation;
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn from_zero_it_acts_at_once_and_then_every_two_seconds() {
        let mut window = Window::knative();
        window.note(at(0), 7);
        let burst = Situation { queued: 7, ..situation() };
        assert_eq!(window.wanted(&burst), 10, "seven at 70% each");
        assert_eq!(window.tick(), Some(at(2000)));
        window.note(at(500), 70);
        let more = Situation { now: at(500), queued: 63, live: 10, live_slots: 10, ..situation() };
        assert_eq!(window.wanted(&more), 10, "not before the tick");
        let tick = Situation { now: at(2000), ..more };
        // (3.5 + 35) in the first second, 70 in the second.
        assert_eq!(window.wanted(&tick), (((3.5 + 35.0) + 70.0) / 2.0 / 0.7_f64).ceil() as u32);
    }

    #[test]
    fn a_burst_is_held_for_a_window_and_then_shrinks_by_half_a_tick() {
        let mut window = Window::knative();
        window.note(at(0), 100);
        window.wanted(&Situation { queued: 100, ..situation() });
        let live = |now, live| Situation {
            now: at(now),
            queued: 0,
            live,
            live_slots: live,
            ..situation()
        };
        window.note(at(60_000), 0);
        let mut desired = Vec::new();
        let mut count = 143;
        for tick in 31..=110 {
            count = count.min(window.wanted(&live(tick * 2000, count)));
            desired.push(count);
        }
        assert!(desired[10] > 71, "the window still remembers: {desired:?}");
        assert!(desired.contains(&0), "{desired:?}");
        let first_zero = desired.iter().position(|count| *count == 0).unwrap();
        assert!(first_zero * 2 >= 60 + 30, "a stable window and the grace: {first_zero} ticks");
        assert_eq!(desired[first_zero - 1], 1);
        assert_eq!(window.tick(), None, "at zero it sleeps");
    }
}
