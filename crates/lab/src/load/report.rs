//! What a load found: latencies, counts by status, what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Answer;

/// The longest latency told apart: ten minutes, in nanoseconds.
const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;
/// Significant decimal digits of a latency.
const DIGITS: u8 = 3;
/// Instances remembered by name.
const INSTANCES_MAX: usize = 100_000;
/// Different statuses told apart; the others count as right or wrong only.
const STATUSES_MAX: usize = 64;
/// Different complaints remembered.
const COMPLAINTS_MAX: usize = 8;

/// An empty histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_NS_MAX, DIGITS).expect("constant bounds")
}

/// Records a span.
pub(crate) fn record(histogram: &mut Histogram<u64>, span: Duration) {
    histogram.saturating_record(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
}

/// A quantile in milliseconds; not a number when nothing was recorded, so that it
/// meets no goal.
pub(crate) fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    if histogram.is_empty() {
        return f64::NAN;
    }
    histogram.value_at_quantile(quantile) as f64 / 1e6
}

/// What a load found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Latencies of right answers, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Latencies by status, whether right or wrong, in nanoseconds.
    pub by_status: BTreeMap<u16, Histogram<u64>>,
    /// Time spent queued, from `server-timing`, where an answer says it.
    pub queued: Histogram<u64>,
    /// Answers that passed the check.
    pub right: u64,
    /// Answers that did not.
    pub wrong: u64,
    /// Requests without an answer.
    pub broken: u64,
    /// The first few different complaints.
    pub complaints: BTreeSet<String>,
    /// Instances that answered, if the load was asked to note them.
    pub instances: BTreeSet<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            latency: histogram(),
            by_status: BTreeMap::new(),
            queued: histogram(),
            right: 0,
            wrong: 0,
            broken: 0,
            complaints: BTreeSet::new(),
            instances: BTreeSet::new(),
            elapsed: Duration::ZERO,
        }
    }
}

impl Report {
    /// Counts an answer, by what its check said.
    pub(super) fn count(
        &mut self,
        latency: Duration,
        answer: &Answer<'_>,
        verdict: Result<(), String>,
    ) {
        if self.by_status.len() < STATUSES_MAX || self.by_status.contains_key(&answer.status) {
            record(self.by_status.entry(answer.status).or_insert_with(histogram), latency);
        }
        match verdict {
            Ok(()) => {
                self.right += 1;
                record(&mut self.latency, latency);
            }
            Err(complaint) => {
                self.wrong += 1;
                self.complain(complaint);
            }
        }
    }

    /// Notes what the platform says of an answer: its instance and its time in the queue.
    pub(super) fn note(&mut self, answer: &Answer<'_>) {
        if let Some(queued_ms) = stage_ms(answer.server_timing, "queue") {
            record(&mut self.queued, Duration::from_secs_f64(queued_ms / 1e3));
        }
        if !answer.instance.is_empty()
            && self.instances.len() < INSTANCES_MAX
            && !self.instances.contains(answer.instance)
        {
            self.instances.insert(answer.instance.to_owned());
        }
    }

    /// Counts a request that got no answer.
    pub(super) fn count_broken(&mut self, error: &std::io::Error) {
        self.broken += 1;
        self.complain(format!("no answer: {error}"));
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.insert(complaint);
        }
    }

    /// Takes in the report of another load.
    pub(crate) fn absorb(&mut self, other: Report) {
        self.latency += other.latency;
        self.queued += other.queued;
        for (status, latency) in other.by_status {
            *self.by_status.entry(status).or_insert_with(histogram) += latency;
        }
        self.right += other.right;
        self.wrong += other.wrong;
        self.broken += other.broken;
        self.complaints.extend(other.complaints);
        while self.complaints.len() > COMPLAINTS_MAX {
            self.complaints.pop_last();
        }
        self.instances.extend(other.instances);
        self.elapsed += other.elapsed;
    }

    /// Requests that did not end with a right answer.
    pub fn errors(&self) -> u64 {
        self.wrong + self.broken
    }

    /// Right answers per second.
    pub fn per_second(&self) -> f64 {
        self.right as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// A quantile of the latency of right answers, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.latency, quantile)
    }

    /// A quantile of the time spent queued, in milliseconds.
    pub fn queued_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.queued, quantile)
    }

    /// Answers with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.by_status.get(&status).map_or(0, Histogram::len)
    }

    /// A quantile of the latency of answers with `status`, in milliseconds.
    pub fn status_latency_ms(&self, status: u16, quantile: f64) -> f64 {
        self.by_status.get(&status).map_or(f64::NAN, |latency| quantile_ms(latency, quantile))
    }
}

/// The milliseconds that a `server-timing` field gives for `stage`.
pub(crate) fn stage_ms(server_timing: &str, stage: &str) -> Option<f64> {
    let entries = server_timing.split(',').map(str::trim);
    let mut found = entries.filter_map(|entry| entry.split_once(';'));
    let (_, parameters) = found.find(|(name, _)| name.trim() == stage)?;
    let duration = parameters.trim().strip_prefix("dur=")?.parse::<f64>().ok()?;
    (duration.is_finite() && duration >= 0.0).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_from_server_timing() {
        let timing = "queue;dur=1.234, execute;dur=0.056";
        assert_eq!(stage_ms(timing, "queue"), Some(1.234));
        assert_eq!(stage_ms(timing, "execute"), Some(0.056));
        assert_eq!(stage_ms(timing, "boot"), None);
        assert_eq!(stage_ms("queue;dur=-1", "queue"), None);
    }

    #[test]
    fn merged_reports_keep_every_count() {
        let mut sum = Report::default();
        for latency_ms in [1, 3] {
            let mut part = Report { right: 1, ..Report::default() };
            record(&mut part.latency, Duration::from_millis(latency_ms));
            part.count_broken(&std::io::ErrorKind::ConnectionReset.into());
            sum.absorb(part);
        }
        assert_eq!((sum.right, sum.broken, sum.errors()), (2, 2, 2));
        assert!((sum.latency_ms(1.0) - 3.0).abs() < 0.01);
        assert_eq!(sum.complaints.len(), 1);
    }
}
