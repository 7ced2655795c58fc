//! Counts per interval made into single arrivals.
//!
//! A trace that counts per minute does not say when in the minute. Given how many
//! points of a Poisson process fall into an interval, they lie there as independent
//! uniform draws (Ross, *Introduction to Probability Models*, "Conditional
//! distribution of the arrival times"); that is [`Spread::Poisson`], and also how
//! In-Vitro and FaaSRail expand these traces by default. The rate across minutes,
//! which is what makes these workloads bursty, is the trace's own.
//!
//! The draws are made in order, one at a time: of `n` uniform points still to come in
//! what is left of the interval, the first lies at `1 - U^(1/n)` of it. So a minute
//! with a billion invocations takes no more memory than one with a single one, where
//! drawing and sorting would hold them all. What is held is one entry for each
//! function that is invoked in the interval.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand_distr::{Distribution, OpenClosed01};

use crate::error::TraceError;
use crate::function::FunctionProfile;
use crate::rng::{Purpose, Stream, stream};
use crate::workload::{Arrival, Feed};

/// Where in an interval its invocations lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// As a Poisson process with that many arrivals would: uniform and independent.
    #[default]
    Poisson,
    /// At equal distances, each function with its own phase.
    Even,
}

/// One function's invocations in one interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) function: u32,
    pub(crate) count: u64,
    /// Their mean service time, where the trace has one for each interval.
    pub(crate) service: Option<Duration>,
}

/// An interval of counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) begin: Duration,
    pub(crate) length: Duration,
}

/// A source of counts, interval by interval in time order.
pub(crate) trait Counts: Send {
    /// Fills the empty `cells` with the next interval, each function at most once, or
    /// says `None` at the end.
    fn next(
        &mut self,
        cells: &mut Vec<Cell>,
        functions: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Interval>, TraceError>;
}

/// What is still to come of one function in the current interval.
struct Pending {
    at_ns: u64,
    function: u32,
    left: u64,
    /// Of the interval, from 0 to 1.
    position: f64,
    /// Between arrivals, for [`Spread::Even`].
    step: f64,
    service: Option<Duration>,
    stream: Stream,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ns, self.function) == (other.at_ns, other.function)
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ns, self.function).cmp(&(other.at_ns, other.function))
    }
}

/// The arrivals of a source of counts.
pub(crate) struct Expansion<C> {
    counts: C,
    spread: Spread,
    seed: u64,
    cells: Vec<Cell>,
    pending: BinaryHeap<Reverse<Pending>>,
    begin_ns: u64,
    length_ns: f64,
}

impl<C: Counts> Expansion<C> {
    pub(crate) fn new(counts: C, spread: Spread, seed: u64) -> Self {
        Expansion {
            counts,
            spread,
            seed,
            cells: Vec::new(),
            pending: BinaryHeap::new(),
            begin_ns: 0,
            length_ns: 0.0,
        }
    }

    /// Begins the next interval; false at the end.
    fn begin(&mut self, functions: &mut Vec<FunctionProfile>) -> Result<bool, TraceError> {
        self.cells.clear();
        let Some(interval) = self.counts.next(&mut self.cells, functions)? else {
            return Ok(false);
        };
        self.begin_ns = interval.begin.as_nanos() as u64;
        self.length_ns = interval.length.as_nanos() as f64;
        for cell in self.cells.iter().filter(|cell| cell.count > 0) {
            let function = u64::from(cell.function);
            let mut stream = stream(self.seed, Purpose::Interval, function, self.begin_ns);
            let step = 1.0 / cell.count as f64;
            let position = match self.spread {
                Spread::Poisson => first_of(cell.count, 0.0, &mut stream),
                Spread::Even => (1.0 - unit(&mut stream)) * step,
            };
            self.pending.push(Reverse(Pending {
                at_ns: place(self.begin_ns, self.length_ns, position),
                function: cell.function,
                left: cell.count,
                position,
                step,
                service: cell.service,
                stream,
            }));
        }
        Ok(true)
    }
}

impl<C: Counts> Feed for Expansion<C> {
    fn next(
        &mut self,
        functions: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Arrival>, TraceError> {
        while self.pending.is_empty() {
            if !self.begin(functions)? {
                return Ok(None);
            }
        }
        let (begin_ns, length_ns, spread) = (self.begin_ns, self.length_ns, self.spread);
        let mut top = self.pending.peek_mut().expect("one is pending");
        let pending = &mut top.0;
        let service = match pending.service {
            Some(service) => service,
            None => functions[pending.function as usize].service.sample(&mut pending.stream),
        };
        let at = Duration::from_nanos(pending.at_ns);
        let arrival = Arrival { at, function: pending.function, service };
        pending.left -= 1;
        if pending.left == 0 {
            std::collections::binary_heap::PeekMut::pop(top);
            return Ok(Some(arrival));
        }
        pending.position = match spread {
            Spread::Poisson => first_of(pending.left, pending.position, &mut pending.stream),
            Spread::Even => pending.position + pending.step,
        };
        pending.at_ns = pending.at_ns.max(place(begin_ns, length_ns, pending.position));
        Ok(Some(arrival))
    }

    fn held(&self) -> usize {
        self.pending.len()
    }
}

/// A draw from above 0 to 1.
fn unit(stream: &mut Stream) -> f64 {
    OpenClosed01.sample(stream)
}

/// The first of `count` uniform points between `from` and 1.
pub(crate) fn first_of(count: u64, from: f64, stream: &mut Stream) -> f64 {
    // 1 - U^(1/n), without the cancellation that n in the millions would bring.
    let part = -(unit(stream).ln() / count as f64).exp_m1();
    from + (1.0 - from) * part
}

/// The nanosecond at `position` of an interval, always inside it.
fn place(begin_ns: u64, length_ns: f64, position: f64) -> u64 {
    begin_ns + (position * length_ns).clamp(0.0, length_ns - 1.0) as u64
}

#[cfg(test)]
mod tests {
    use gapless_types::Bytes;

    use super::*;
    use crate::function::Trigger;
    use crate::service::ServiceTime;

    /// The same cells for some minutes.
    struct Same(Vec<u64>, u64);

    impl Counts for Same {
        fn next(
            &mut self,
            cells: &mut Vec<Cell>,
            _: &mut Vec<FunctionProfile>,
        ) -> Result<Option<Interval>, TraceError> {
            if self.1 == 0 {
                return Ok(None);
            }
            self.1 -= 1;
            let cell =
                |(function, &count)| Cell { function: function as u32, count, service: None };
            cells.extend(self.0.iter().enumerate().map(cell));
            let begin = Duration::from_secs(60 * (9 - self.1));
            Ok(Some(Interval { begin, length: Duration::from_secs(60) }))
        }
    }

    fn functions(count: usize) -> Vec<FunctionProfile> {
        let profile = |index| FunctionProfile {
            name: format!("f{index}"),
            memory: Bytes(1),
            service: ServiceTime::Fixed(Duration::from_millis(1)),
            trigger: Trigger::Unknown,
            invocations: None,
        };
        (0..count).map(profile).collect()
    }

    #[test]
    fn points_of_a_minute_are_uniform() {
        let mut functions = functions(1);
        let mut feed = Expansion::new(Same(vec![100_000], 1), Spread::Poisson, 5);
        let mut per_second = [0u32; 60];
        while let Some(arrival) = feed.next(&mut functions).unwrap() {
            per_second[arrival.at.as_secs() as usize - 9 * 60] += 1;
        }
        // Chi-squared with 59 degrees of freedom: beyond 111 in one of 50,000.
        let mean = 100_000.0 / 60.0;
        let chi: f64 = per_second.iter().map(|&n| (f64::from(n) - mean).powi(2) / mean).sum();
        assert!(chi < 111.0, "{chi}");
    }

    #[test]
    fn a_minute_of_a_billion_is_begun_at_once_and_holds_one_entry_per_function() {
        let mut functions = functions(3);
        let mut feed = Expansion::new(Same(vec![1_000_000_000; 3], 1), Spread::Poisson, 5);
        for _ in 0..10_000 {
            feed.next(&mut functions).unwrap().unwrap();
            assert_eq!(feed.held(), 3);
        }
    }

    #[test]
    fn even_means_equal_distances() {
        let mut functions = functions(1);
        let mut feed = Expansion::new(Same(vec![600], 1), Spread::Even, 5);
        let mut last = None;
        while let Some(arrival) = feed.next(&mut functions).unwrap() {
            if let Some(last) = last.replace(arrival.at) {
                let gap = (arrival.at - last).as_nanos();
                assert!(gap.abs_diff(100_000_000) < 100, "{gap}");
            }
        }
    }
}
