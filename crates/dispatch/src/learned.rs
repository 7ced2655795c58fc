//! What a core has learned about its revision: how long a start and a service
//! take. Decayed, so that a change shows after a few observations.
//!
//! Starts slow each other down, so their time is learned as a line: `a + b k` with
//! `k` others of the revision under way, by decayed least squares. As long as `k`
//! was always the same the line is flat.

use std::time::Duration;

use gapless_types::Time;

/// Share of a new observation in what is known of starts: they are few.
const START_SHARE: f64 = 0.1;
/// Share of a new observation in the mean of service times, at the least: services
/// are many, and what is predicted of a long queue is only as good as their mean.
const SERVICE_SHARE: f64 = 0.02;
/// The variance of `k` below which no slope is drawn.
const VARIANCE_MIN: f64 = 0.5;

/// Learned times of one revision.
#[derive(Clone, Debug)]
pub struct Learned {
    start_prior: Duration,
    starts: Line,
    service_secs: Option<f64>,
    services_seen: u32,
}

/// Decayed least squares.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    seen: u32,
    mean_k: f64,
    mean_t: f64,
    mean_kk: f64,
    mean_kt: f64,
}

impl Line {
    fn add(&mut self, k: f64, t: f64) {
        self.seen = self.seen.saturating_add(1);
        // The plain mean until there are enough for the decayed one.
        let share = START_SHARE.max(1.0 / f64::from(self.seen));
        let toward = |mean: &mut f64, value: f64| *mean += share * (value - *mean);
        toward(&mut self.mean_k, k);
        toward(&mut self.mean_t, t);
        toward(&mut self.mean_kk, k * k);
        toward(&mut self.mean_kt, k * t);
    }

    /// `b`: seconds for each other start.
    fn slope(&self) -> f64 {
        let variance = self.mean_kk - self.mean_k * self.mean_k;
        if variance < VARIANCE_MIN || self.mean_k <= 0.0 {
            return 0.0;
        }
        let slope = (self.mean_kt - self.mean_k * self.mean_t) / variance;
        // `a` is not negative.
        slope.clamp(0.0, self.mean_t / self.mean_k)
    }

    fn at(&self, k: f64) -> f64 {
        self.mean_t + self.slope() * (k - self.mean_k)
    }
}

impl Learned {
    /// Nothing learned yet: starts are expected to take `start_prior`.
    pub fn new(start_prior: Duration) -> Self {
        Learned { start_prior, starts: Line::default(), service_secs: None, services_seen: 0 }
    }

    /// How long a start is expected to take.
    pub fn start(&self) -> Duration {
        match self.starts.seen {
            0 => self.start_prior,
            _ => Duration::from_secs_f64(self.starts.mean_t),
        }
    }

    /// How long a start is expected to take with so many others under way.
    pub fn start_beside(&self, others: u32) -> Duration {
        match self.starts.seen {
            0 => self.start_prior,
            _ => Duration::from_secs_f64(self.starts.at(f64::from(others)).max(0.0)),
        }
    }

    /// How much longer a start takes for each other one under way.
    pub fn start_each(&self) -> Duration {
        Duration::from_secs_f64(self.starts.slope())
    }

    /// How long a service is expected to take, once one was seen.
    pub fn service(&self) -> Option<Duration> {
        self.service_secs.map(Duration::from_secs_f64)
    }

    /// A start took this long, with so many others under way meanwhile.
    pub fn saw_start(&mut self, took: Duration, others: u32) {
        self.starts.add(f64::from(others), took.as_secs_f64());
    }

    /// A service took from `sent` to `now`.
    pub fn saw_service(&mut self, sent: Time, now: Time) {
        let seen = (now - sent).as_secs_f64();
        self.services_seen = self.services_seen.saturating_add(1);
        let share = SERVICE_SHARE.max(1.0 / f64::from(self.services_seen));
        let mean = self.service_secs.get_or_insert(seen);
        *mean += share * (seen - *mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_prior_holds_until_something_was_seen_and_change_shows_soon() {
        let mut learned = Learned::new(MS(200));
        assert_eq!(learned.start(), MS(200));
        assert_eq!(learned.service(), None);
        learned.saw_start(MS(10), 0);
        assert_eq!(learned.start(), MS(10));
        for _ in 0..40 {
            learned.saw_start(MS(100), 0);
        }
        assert!(learned.start() > MS(95));
        assert_eq!(learned.start_each(), Duration::ZERO);
    }

    #[test]
    fn starts_that_slow_each_other_down_are_told_by_their_slope() {
        let mut learned = Learned::new(MS(200));
        for round in 0..100u32 {
            let others = round % 20;
            learned.saw_start(MS(100) + MS(5) * others, others);
        }
        let each = learned.start_each();
        assert!((MS(4)..MS(6)).contains(&each), "{each:?}");
        let (alone, beside) = (learned.start_beside(0), learned.start_beside(40));
        assert!((MS(90)..MS(110)).contains(&alone), "{alone:?}");
        assert!((MS(270)..MS(330)).contains(&beside), "{beside:?}");
    }
}
