//! What arrivals show of each function, in constant memory per function.

use std::time::Duration;

use crate::workload::Arrival;

/// What was seen of one function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    last: Duration,
    /// Mean and summed squared distance of the gaps so far (Welford 1962).
    gap_mean_s: f64,
    gap_m2: f64,
    service_sum_s: f64,
    pub(crate) service_min_s: f64,
    pub(crate) service_max_s: f64,
}

impl Default for Seen {
    fn default() -> Self {
        Seen {
            count: 0,
            last: Duration::ZERO,
            gap_mean_s: 0.0,
            gap_m2: 0.0,
            service_sum_s: 0.0,
            service_min_s: f64::INFINITY,
            service_max_s: 0.0,
        }
    }
}

impl Seen {
    fn record(&mut self, arrival: &Arrival) {
        let service_s = arrival.service.as_secs_f64();
        self.service_sum_s += service_s;
        self.service_min_s = self.service_min_s.min(service_s);
        self.service_max_s = self.service_max_s.max(service_s);
        if self.count > 0 {
            let gap_s = arrival.at.saturating_sub(self.last).as_secs_f64();
            let from_mean = gap_s - self.gap_mean_s;
            self.gap_mean_s += from_mean / self.count as f64;
            self.gap_m2 += from_mean * (gap_s - self.gap_mean_s);
        }
        self.count += 1;
        self.last = arrival.at;
    }

    /// The mean service time, if it was invoked.
    pub(crate) fn service_mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.service_sum_s / self.count as f64)
    }

    pub(crate) fn service_sum_s(&self) -> f64 {
        self.service_sum_s
    }

    /// The coefficient of variation of its gaps, if there are `gaps_min` of them.
    pub(crate) fn gap_cv(&self, gaps_min: u64) -> Option<f64> {
        let gaps = self.count.saturating_sub(1);
        (gaps >= gaps_min.max(2) && self.gap_mean_s > 0.0)
            .then(|| (self.gap_m2 / gaps as f64).sqrt() / self.gap_mean_s)
    }
}

/// What was seen of every function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer {
    seen: Vec<Seen>,
    pub(crate) last: Duration,
}

impl Observer {
    pub(crate) fn record(&mut self, arrival: &Arrival) {
        let function = arrival.function as usize;
        if function >= self.seen.len() {
            self.seen.resize(function + 1, Seen::default());
        }
        self.seen[function].record(arrival);
        self.last = arrival.at;
    }

    /// One entry for each of `functions`, also of those never invoked.
    pub(crate) fn finish(mut self, functions: usize) -> Vec<Seen> {
        self.seen.resize(functions.max(self.seen.len()), Seen::default());
        self.seen
    }
}

/// The value that a share `p` of `sorted` is at or below, by nearest rank.
pub(crate) fn percentile(sorted: &[f64], p: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Sorted for [`percentile`].
pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Of the invocations, the share of the most invoked `top` share of functions.
pub(crate) fn top_share(counts_sorted: &[f64], top: f64) -> f64 {
    let total: f64 = counts_sorted.iter().sum();
    let exact = top * counts_sorted.len() as f64;
    let (whole, part) = (exact as usize, exact.fract());
    let from_top = |index: usize| counts_sorted.iter().rev().nth(index).copied().unwrap_or(0.0);
    let sum: f64 = counts_sorted.iter().rev().take(whole).sum();
    (sum + part * from_top(whole)) / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_ranks_are_as_by_hand() {
        let mut observer = Observer::default();
        for at_s in [0, 1, 4, 5, 8] {
            let (at, service) = (Duration::from_secs(at_s), Duration::from_secs(2));
            observer.record(&Arrival { at, function: 1, service });
        }
        let seen = observer.finish(3);
        assert_eq!((seen.len(), seen[0].count, seen[1].count), (3, 0, 5));
        // Gaps 1, 3, 1, 3: mean 2, deviation 1.
        assert!((seen[1].gap_cv(4).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(seen[1].gap_cv(5), None);
        let ranks = sorted([5.0, 1.0, 3.0, 2.0, 4.0].into_iter());
        assert_eq!(percentile(&ranks, 0.5), 3.0);
        assert_eq!(percentile(&ranks, 0.0), 1.0);
        assert_eq!(percentile(&ranks, 1.0), 5.0);
        assert!((top_share(&ranks, 0.3) - (5.0 + 2.0) / 15.0).abs() < 1e-12);
    }
}
