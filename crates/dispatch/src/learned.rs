//! What a core has learned about its revision: how long a start and a service
//! take. Decayed means, so that a change shows after a few observations.

use std::time::Duration;

use gapless_types::Time;

/// Share of a new observation in the mean of start times: starts are few.
const START_SHARE: f64 = 0.3;
/// Share of a new observation in the mean of service times: services are many.
const SERVICE_SHARE: f64 = 0.05;

/// Learned times of one revision.
#[derive(Clone, Debug)]
pub struct Learned {
    start_prior: Duration,
    start_secs: Option<f64>,
    service_secs: Option<f64>,
}

impl Learned {
    /// Nothing learned yet: starts are expected to take `start_prior`.
    pub fn new(start_prior: Duration) -> Self {
        Learned { start_prior, start_secs: None, service_secs: None }
    }

    /// How long a start is expected to take.
    pub fn start(&self) -> Duration {
        self.start_secs.map_or(self.start_prior, Duration::from_secs_f64)
    }

    /// How long a service is expected to take, once one was seen.
    pub fn service(&self) -> Option<Duration> {
        self.service_secs.map(Duration::from_secs_f64)
    }

    /// A start took this long.
    pub fn saw_start(&mut self, took: Duration) {
        observe(&mut self.start_secs, took, START_SHARE);
    }

    /// A service took from `sent` to `now`.
    pub fn saw_service(&mut self, sent: Time, now: Time) {
        observe(&mut self.service_secs, now - sent, SERVICE_SHARE);
    }
}

fn observe(mean: &mut Option<f64>, took: Duration, share: f64) {
    let seen = took.as_secs_f64();
    *mean = Some(mean.map_or(seen, |mean| mean + share * (seen - mean)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_holds_until_something_was_seen_and_change_shows_soon() {
        let mut learned = Learned::new(Duration::from_millis(200));
        assert_eq!(learned.start(), Duration::from_millis(200));
        assert_eq!(learned.service(), None);
        learned.saw_start(Duration::from_millis(10));
        assert_eq!(learned.start(), Duration::from_millis(10));
        for _ in 0..20 {
            learned.saw_start(Duration::from_millis(100));
        }
        assert!(learned.start() > Duration::from_millis(95));
    }
}
