//! What came of the requests: counts, and latencies of those that were served.
//!
//! What always holds: every arrival is counted once, as served, shed, timed out,
//! failed, wrong or unsent; only served ones are samples; latency counts from the
//! moment a request was due, and so does slowdown.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use gapless_sim::Percentiles;
use gapless_types::Reason;
use gapless_workload::Arrival;
use hdrhistogram::Histogram;
use serde::Deserialize;

use crate::load::{Answer, stage_ms};

/// Slowdowns are counted in thousandths, as the simulator does.
const SLOWDOWN_UNIT: f64 = 1000.0;
/// Different complaints remembered.
const COMPLAINTS_MAX: usize = 8;

/// What came of the requests until now.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Requests whose time has come.
    pub(crate) arrived: u64,
    /// Of which served, and rightly.
    pub(crate) served: u64,
    /// Of which waited for an instance's start.
    pub(crate) cold: u64,
    /// Refused because the queue was full.
    pub(crate) sheds: u64,
    /// Refused because they waited too long.
    pub(crate) timeouts: u64,
    /// Refused, failed or lost otherwise.
    pub(crate) failed: u64,
    /// Answered, but not rightly.
    pub(crate) wrong: u64,
    /// Not sent, because too many were under way.
    pub(crate) unsent: u64,
    /// The first few different complaints.
    pub(crate) complaints: BTreeSet<String>,
    /// When the last of them arrived, in the workload's own time.
    pub(crate) last_at: Duration,
    slowdown: Histogram<u64>,
    latency_us: Histogram<u64>,
    wait_us: Histogram<u64>,
    late_us: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, 1 << 50, 3).expect("three digits up to 2^50 are possible")
        };
        Tally {
            arrived: 0,
            served: 0,
            cold: 0,
            sheds: 0,
            timeouts: 0,
            failed: 0,
            wrong: 0,
            unsent: 0,
            complaints: BTreeSet::new(),
            last_at: Duration::ZERO,
            slowdown: histogram(),
            latency_us: histogram(),
            wait_us: histogram(),
            late_us: histogram(),
        }
    }
}

/// A refusal of the platform's.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    reason: Reason,
}

/// Why the platform refused. The body says it as `x-gapless-reason` does.
fn reason(answer: &Answer<'_>) -> Option<Reason> {
    let refusal = matches!(answer.status, 429 | 503 | 504)
        .then(|| serde_json::from_slice::<Refusal>(answer.body).ok())?;
    refusal.map(|refusal| refusal.error.reason)
}

impl Tally {
    /// A request's time has come.
    pub(super) fn arrived(&mut self, arrival: &Arrival) {
        self.arrived += 1;
        self.last_at = self.last_at.max(arrival.at);
    }

    /// A request is on its way, `late` after it was due.
    pub(super) fn sent(&mut self, late: Duration) {
        self.late_us.saturating_record(micros(late));
    }

    /// It was answered, `latency` after it was due. `check` judges what was served.
    pub(super) fn answered(
        &mut self,
        arrival: &Arrival,
        latency: Duration,
        answer: &Answer<'_>,
        check: impl FnOnce(&Answer<'_>) -> Result<(), String>,
    ) {
        if !(200..300).contains(&answer.status) {
            match reason(answer) {
                Some(Reason::QueueFull) => self.sheds += 1,
                Some(Reason::QueueTimeout) => self.timeouts += 1,
                _ => self.fail(answer.describe()),
            }
            return;
        }
        if let Err(complaint) = check(answer) {
            self.wrong += 1;
            self.complain(complaint);
            return;
        }
        self.served += 1;
        self.cold += u64::from(answer.start == "cold");
        let slowdown = latency.as_secs_f64() / arrival.service.as_secs_f64().max(1e-6);
        self.slowdown.saturating_record((slowdown * SLOWDOWN_UNIT).round() as u64);
        self.latency_us.saturating_record(micros(latency));
        // All but the time in the instance; an answer that does not say it gives none.
        if let Some(execute_ms) = stage_ms(answer.server_timing, "execute") {
            let wait_ms = (latency.as_secs_f64() * 1e3 - execute_ms).max(0.0);
            self.wait_us.saturating_record((wait_ms * 1e3).round() as u64);
        }
    }

    /// It got no answer.
    pub(super) fn broke(&mut self, error: &io::Error) {
        self.fail(error.to_string());
    }

    fn fail(&mut self, complaint: String) {
        self.failed += 1;
        self.complain(complaint);
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.insert(complaint);
        }
    }

    /// How many have come to an end.
    pub(crate) fn ended(&self) -> u64 {
        self.served + self.sheds + self.timeouts + self.failed + self.wrong + self.unsent
    }

    /// Latency over the workload's service time.
    pub(crate) fn slowdown(&self) -> Percentiles {
        Percentiles::of(&self.slowdown, 1.0 / SLOWDOWN_UNIT)
    }

    /// From the moment a request was due to the end of its answer.
    pub(crate) fn latency_ms(&self) -> Percentiles {
        Percentiles::of(&self.latency_us, 1e-3)
    }

    /// The part of it that was not spent in the instance.
    pub(crate) fn wait_ms(&self) -> Percentiles {
        Percentiles::of(&self.wait_us, 1e-3)
    }

    /// How late requests were sent.
    pub(crate) fn late_ms(&self) -> Percentiles {
        Percentiles::of(&self.late_us, 1e-3)
    }

    /// The share of served requests that waited for a start.
    pub(crate) fn cold_ratio(&self) -> f64 {
        self.cold as f64 / self.served.max(1) as f64
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const ARRIVAL: Arrival =
        Arrival { at: Duration::from_secs(7), function: 0, service: Duration::from_millis(10) };

    fn answer(status: u16, body: &'static [u8]) -> Answer<'static> {
        Answer {
            status,
            body,
            content_type: "",
            server_timing: "queue;dur=20.0, execute;dur=10.5",
            start: "cold",
            instance: "",
            first_byte_at: Instant::now(),
        }
    }

    fn count(tally: &mut Tally, answer: &Answer<'_>) {
        tally.arrived(&ARRIVAL);
        let check = |answer: &Answer<'_>| match answer.body {
            b"right" => Ok(()),
            _ => Err("not right".to_owned()),
        };
        tally.answered(&ARRIVAL, Duration::from_millis(40), answer, check);
    }

    #[test]
    fn what_is_served_is_a_sample() {
        let mut tally = Tally::default();
        count(&mut tally, &answer(200, b"right"));
        count(&mut tally, &Answer { start: "warm", ..answer(204, b"right") });
        assert_eq!((tally.served, tally.cold, tally.cold_ratio()), (2, 1, 0.5));
        assert!((tally.slowdown().p50 - 4.0).abs() < 0.01, "{:?}", tally.slowdown());
        assert!((tally.latency_ms().max - 40.0).abs() < 0.1);
        assert!((tally.wait_ms().max - 29.5).abs() < 0.1, "{:?}", tally.wait_ms());
        assert_eq!(tally.last_at, ARRIVAL.at);
    }

    #[test]
    fn what_is_not_served_is_told_apart_and_no_sample() {
        let mut tally = Tally::default();
        count(&mut tally, &answer(429, br#"{"error":{"reason":"queue-full","message":"x"}}"#));
        count(&mut tally, &answer(503, br#"{"error":{"reason":"queue-timeout"}}"#));
        count(&mut tally, &answer(503, br#"{"error":{"reason":"no-capacity"}}"#));
        // A function's own refusal is its failure.
        count(&mut tally, &answer(429, b"come back later"));
        count(&mut tally, &answer(404, br#"{"error":{"reason":"queue-full"}}"#));
        count(&mut tally, &answer(200, b"left"));
        tally.arrived(&ARRIVAL);
        tally.broke(&io::ErrorKind::ConnectionReset.into());
        assert_eq!((tally.sheds, tally.timeouts, tally.failed, tally.wrong), (1, 1, 4, 1));
        assert_eq!((tally.served, tally.ended()), (0, tally.arrived));
        assert_eq!(tally.latency_ms().max, 0.0);
        assert!(tally.complaints.contains("not right"), "{:?}", tally.complaints);
    }
}
