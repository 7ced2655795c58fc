//! The arrivals of each pattern, one at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::time::Duration;

use rand_distr::{Distribution, Exp1, StandardUniform};

use super::{Pattern, Shape};
use crate::error::TraceError;
use crate::expand::first_of;
use crate::function::FunctionProfile;
use crate::rng::{Purpose, Stream, stream};
use crate::workload::{Arrival, Feed};

/// When the next invocation is, and of which function if the pattern says so.
type Next = (Duration, Option<u32>);

pub(super) fn of(shape: &Shape) -> Box<dyn Feed> {
    let stream = stream(shape.seed, Purpose::Shape, 0, 0);
    if let Pattern::KeepAliveGap { keep_alive, margin } = shape.pattern {
        return Box::new(Idle::new(shape, keep_alive + margin, stream));
    }
    Box::new(Timed { shape: shape.clone(), stream, at_s: 0.0, given: 0, position: 0.0 })
}

/// Patterns that say when the next invocation is.
struct Timed {
    shape: Shape,
    stream: Stream,
    /// Time of the last arrival; for a ramp the arrivals expected until then.
    at_s: f64,
    given: u64,
    /// In the current burst, from 0 to 1.
    position: f64,
}

impl Timed {
    fn unit(&mut self) -> f64 {
        Exp1.sample(&mut self.stream)
    }

    /// The next invocation, none if there is no other.
    fn time(&mut self) -> Option<Next> {
        match self.shape.pattern {
            Pattern::Poisson { rate_per_s } => {
                self.at_s += self.unit() / rate_per_s;
                self.seconds(self.at_s)
            }
            Pattern::Ramp { from_per_s, to_per_s } => {
                self.at_s += self.unit();
                let slope = (to_per_s - from_per_s) / self.shape.span.as_secs_f64();
                // Of `a t + slope t^2 / 2 = expected`, the root that is exact for slope 0.
                let inside = from_per_s * from_per_s + 2.0 * slope * self.at_s;
                let below = from_per_s + inside.max(0.0).sqrt();
                let is_past = inside < 0.0 || below == 0.0;
                if is_past { None } else { self.seconds(2.0 * self.at_s / below) }
            }
            Pattern::Diurnal { mean_per_s, peak_to_trough, period } => {
                self.swing(mean_per_s, peak_to_trough, period)
            }
            Pattern::Burst { concurrent, at, spread, every } => {
                self.burst(concurrent, at, spread, every)
            }
            Pattern::Alternating { gap } => {
                let turn = self.given;
                let function = (turn % u64::from(self.shape.functions)) as u32;
                let nanos = gap.as_nanos().checked_mul(u128::from(turn))?;
                Some((Duration::from_nanos(u64::try_from(nanos).ok()?), Some(function)))
            }
            Pattern::KeepAliveGap { .. } => unreachable!("has a feed of its own"),
        }
    }

    fn seconds(&self, at_s: f64) -> Option<Next> {
        (at_s < self.shape.span.as_secs_f64()).then(|| (Duration::from_secs_f64(at_s), None))
    }

    /// Thinning (Lewis, Shedler 1979): candidates at the highest rate, kept with the
    /// present rate's share of it. Each step goes forward, so it ends with the span.
    fn swing(&mut self, mean_per_s: f64, peak_to_trough: f64, period: Duration) -> Option<Next> {
        let amplitude = (peak_to_trough - 1.0) / (peak_to_trough + 1.0);
        loop {
            self.at_s += self.unit() / (mean_per_s * (1.0 + amplitude));
            let next = self.seconds(self.at_s)?;
            let phase = TAU * self.at_s / period.as_secs_f64();
            let kept = (1.0 - amplitude * phase.cos()) / (1.0 + amplitude);
            let draw: f64 = StandardUniform.sample(&mut self.stream);
            if draw < kept {
                return Some(next);
            }
        }
    }

    fn burst(
        &mut self,
        concurrent: u32,
        at: Duration,
        spread: Duration,
        every: Option<Duration>,
    ) -> Option<Next> {
        let (burst, given) =
            (self.given / u64::from(concurrent), self.given % u64::from(concurrent));
        let begin = match (burst, every) {
            (0, _) => at,
            (_, None) => return None,
            (_, Some(every)) => at + every.checked_mul(u32::try_from(burst).ok()?)?,
        };
        if given == 0 {
            self.position = 0.0;
        }
        self.position = first_of(u64::from(concurrent) - given, self.position, &mut self.stream);
        let function = (given % u64::from(self.shape.functions)) as u32;
        Some((begin + spread.mul_f64(self.position), Some(function)))
    }
}

impl Feed for Timed {
    fn next(&mut self, _: &mut Vec<FunctionProfile>) -> Result<Option<Arrival>, TraceError> {
        let Some((at, function)) = self.time().filter(|next| next.0 < self.shape.span) else {
            return Ok(None);
        };
        self.given += 1;
        let function = function.unwrap_or_else(|| {
            let draw: f64 = StandardUniform.sample(&mut self.stream);
            (draw * f64::from(self.shape.functions)) as u32
        });
        let service = self.shape.service.sample(&mut self.stream);
        Ok(Some(Arrival { at, function, service }))
    }

    fn held(&self) -> usize {
        1
    }
}

/// Each function again after it was idle for a while.
struct Idle {
    shape: Shape,
    idle: Duration,
    stream: Stream,
    next: BinaryHeap<Reverse<(Duration, u32)>>,
}

impl Idle {
    fn new(shape: &Shape, idle: Duration, stream: Stream) -> Self {
        let stagger = |function| idle.mul_f64(f64::from(function) / f64::from(shape.functions));
        let next = (0..shape.functions).map(|f| Reverse((stagger(f), f))).collect();
        Idle { shape: shape.clone(), idle, stream, next }
    }
}

impl Feed for Idle {
    fn next(&mut self, _: &mut Vec<FunctionProfile>) -> Result<Option<Arrival>, TraceError> {
        let Some(mut top) = self.next.peek_mut() else { return Ok(None) };
        let Reverse((at, function)) = *top;
        if at >= self.shape.span {
            return Ok(None);
        }
        let service = self.shape.service.sample(&mut self.stream);
        *top = Reverse((at + service + self.idle, function));
        Ok(Some(Arrival { at, function, service }))
    }

    fn held(&self) -> usize {
        self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::workload::Arrival;

    fn arrivals(pattern: Pattern, functions: u32, span_s: u64) -> Vec<Arrival> {
        let service = ServiceTime::Fixed(Duration::from_millis(50));
        let shape = Shape::new(pattern, service).over(functions);
        let shape = shape.lasting(Duration::from_secs(span_s)).seeded(11);
        shape.workload().unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Whether `count` is within five deviations of a Poisson mean.
    fn is_about(count: usize, mean: f64) -> bool {
        (count as f64 - mean).abs() < 5.0 * mean.sqrt()
    }

    fn between(arrivals: &[Arrival], from_s: u64, to_s: u64) -> usize {
        let range = Duration::from_secs(from_s)..Duration::from_secs(to_s);
        arrivals.iter().filter(|arrival| range.contains(&arrival.at)).count()
    }

    #[test]
    fn a_ramp_has_its_rates_in_the_beginning_and_the_end() {
        for (from_per_s, to_per_s) in [(0.0, 200.0), (200.0, 0.0), (50.0, 150.0), (100.0, 100.0)] {
            let arrivals = arrivals(Pattern::Ramp { from_per_s, to_per_s }, 3, 100);
            assert!(is_about(arrivals.len(), (from_per_s + to_per_s) * 50.0));
            let first = (from_per_s * 0.75 + to_per_s * 0.25) * 50.0;
            assert!(is_about(between(&arrivals, 0, 50), first), "{from_per_s} {to_per_s}");
        }
        assert!(arrivals(Pattern::Ramp { from_per_s: 0.0, to_per_s: 0.0 }, 1, 100).is_empty());
    }

    #[test]
    fn a_day_swings_by_its_ratio() {
        let period = Duration::from_secs(400);
        let pattern = Pattern::Diurnal { mean_per_s: 100.0, peak_to_trough: 4.0, period };
        let arrivals = arrivals(pattern, 1, 400);
        assert!(is_about(arrivals.len(), 40_000.0));
        let trough = between(&arrivals, 0, 10) + between(&arrivals, 390, 400);
        let ratio = between(&arrivals, 190, 210) as f64 / trough as f64;
        assert!((3.4..4.6).contains(&ratio), "{ratio}");
    }

    #[test]
    fn bursts_repeat_and_are_spread() {
        let second = Duration::from_secs(1);
        let every = Some(second * 30);
        let pattern = Pattern::Burst { concurrent: 200, at: second * 10, spread: second, every };
        let arrivals = arrivals(pattern, 4, 100);
        assert_eq!(arrivals.len(), 600);
        for begin_s in [10, 40, 70] {
            assert_eq!(between(&arrivals, begin_s, begin_s + 1), 200);
        }
        assert_eq!(arrivals.iter().filter(|arrival| arrival.function == 3).count(), 150);
    }

    #[test]
    fn keep_alive_gaps_are_idle_for_just_longer_than_kept() {
        let (keep_alive, margin) = (Duration::from_secs(60), Duration::from_millis(1));
        let arrivals = arrivals(Pattern::KeepAliveGap { keep_alive, margin }, 7, 1000);
        let mut last = [None::<Arrival>; 7];
        for arrival in &arrivals {
            if let Some(last) = last[arrival.function as usize].replace(*arrival) {
                assert_eq!(arrival.at - last.at - last.service, keep_alive + margin);
            }
        }
        assert!(arrivals.len() > 7 * 15);
    }

    #[test]
    fn alternating_takes_turns() {
        let arrivals = arrivals(Pattern::Alternating { gap: Duration::from_secs(2) }, 3, 20);
        let functions: Vec<_> = arrivals.iter().map(|arrival| arrival.function).collect();
        assert_eq!(functions, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let service = || ServiceTime::Fixed(Duration::from_millis(1));
        let wrong = |pattern| Shape::new(pattern, service()).workload().unwrap_err().to_string();
        let second = Duration::from_secs(1);
        assert!(wrong(Pattern::Poisson { rate_per_s: -1.0 }).starts_with("rate_per_s: found -1"));
        assert!(wrong(Pattern::Poisson { rate_per_s: f64::NAN }).contains("found NaN"));
        let burst =
            |concurrent, every| Pattern::Burst { concurrent, at: second, spread: second, every };
        assert!(wrong(burst(0, None)).starts_with("concurrent: found 0"));
        assert!(wrong(burst(1, Some(second))).starts_with("every: found 1s"));
        assert!(wrong(burst(1, Some(Duration::MAX))).starts_with("every: found 1844674"));
        let none = Shape::new(Pattern::Poisson { rate_per_s: 1.0 }, service()).over(0);
        assert!(none.workload().unwrap_err().to_string().starts_with("functions: found 0"));
    }
}
