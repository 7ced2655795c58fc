//! A synthetic workload fitted to published distributions.
//!
//! [`Generator`] makes functions whose popularity, gaps, durations, memory and triggers
//! follow Azure Functions 2019 ([`published`]), and invokes each by its own process
//! ([`gaps`]). [`Generator::fit`] runs it and says how near it came, measured on the
//! arrivals themselves and not on what was asked of them.
//!
//! Why not resample a trace: this can be any size, needs no download, and a parameter
//! can be changed. What it does not have: functions that call each other, a burst that
//! several functions share, and a function's change over days.

mod fit;
mod gaps;
mod population;
mod published;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::time::Duration;

use crate::error::TraceError;
use crate::function::{FUNCTIONS_MAX, FunctionProfile, Trigger};
use crate::parameter::ParameterError;
use crate::read::megabytes;
use crate::rng::{Purpose, Stream, stream};
use crate::service::{ServiceTime, bounded};
use crate::workload::{About, Arrival, Feed, Workload};
use gaps::Gap;
use population::{Member, population};

pub use fit::{Fit, FitRow};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest workload generated.
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The standard deviation of the logarithm of one function's durations. It sets how far
/// figure 7's minimum and maximum lie from its average: less brings the minimum nearer
/// to what is published, more the maximum.
const DURATION_SIGMA: f64 = 0.8;
/// In how many pieces the day's swing is tabulated.
const SWING_STEPS: usize = 1440;

/// Makes a workload like Azure Functions 2019.
///
/// ```
/// use std::time::Duration;
/// use gapless_workload::Generator;
///
/// let hour = Duration::from_secs(3600);
/// let generator = Generator::new(200).seeded(3).lasting(hour).with_invocations(5_000);
/// let arrivals = generator.workload()?.count();
/// assert!((4_000..6_000).contains(&arrivals), "{arrivals}");
/// # Ok::<(), gapless_workload::ParameterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    functions: u32,
    seed: u64,
    span: Duration,
    invocations: Option<u64>,
    peak_to_trough: f64,
}

impl Generator {
    /// A day of `functions` functions, as many invocations as they have in the trace
    /// (about 9,000 each on average), peaks twice the troughs.
    pub fn new(functions: u32) -> Self {
        Generator { functions, seed: 0, span: DAY, invocations: None, peak_to_trough: 2.0 }
    }

    /// With `seed`.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Generator { seed, ..self }
    }

    /// For `span`.
    #[must_use]
    pub fn lasting(self, span: Duration) -> Self {
        Generator { span, ..self }
    }

    /// With that many invocations expected in all, in the part of the day that the span
    /// covers: every rate, also of timers, is scaled by the same factor, so shares stay
    /// as they are. How many there are varies with the seed: a few bursty functions make
    /// most of them.
    #[must_use]
    pub fn with_invocations(self, invocations: u64) -> Self {
        Generator { invocations: Some(invocations), ..self }
    }

    /// With the day's highest rate that many times its lowest; timers do not swing. The
    /// workload begins at the lowest.
    #[must_use]
    pub fn with_peak_to_trough(self, peak_to_trough: f64) -> Self {
        Generator { peak_to_trough, ..self }
    }

    /// The workload.
    pub fn workload(&self) -> Result<Workload, ParameterError> {
        self.make().map(|(workload, _)| workload)
    }

    /// How near the workload is to what it is fitted to; generates all of it. Rates are
    /// compared per day, so the span should be of whole days: a part of one has the
    /// rates of that time of the day.
    pub fn fit(&self) -> Result<Fit, ParameterError> {
        let (mut workload, scale) = self.make()?;
        Ok(Fit::of(&mut workload, scale))
    }

    /// The workload, and what its rates are multiplied with.
    fn make(&self) -> Result<(Workload, f64), ParameterError> {
        self.check()?;
        let members = population(self.functions as usize, self.seed);
        let swing = Swing::new(self.peak_to_trough);
        let scale = self.scale(&members, &swing);
        let profiles = members.iter().enumerate().map(|(index, member)| profile(index, member));
        let about = About {
            name: format!(
                "generated after Azure Functions 2019, {} functions, seed {}",
                self.functions, self.seed
            ),
            span: Some(self.span),
            ..About::default()
        };
        let profiles = profiles.collect();
        let processes = Processes::new(self, &members, swing, scale);
        Ok((Workload::new(about, profiles, Box::new(processes)), scale))
    }

    /// What every rate is multiplied with.
    fn scale(&self, members: &[Member], swing: &Swing) -> f64 {
        let Some(invocations) = self.invocations else { return 1.0 };
        let span_s = self.span.as_secs_f64();
        let expected = members.iter().map(|member| {
            let elapsed_s = if swings(member) { swing.operational_s(span_s) } else { span_s };
            member.per_day * elapsed_s / DAY.as_secs_f64()
        });
        invocations as f64 / expected.sum::<f64>()
    }

    fn check(&self) -> Result<(), ParameterError> {
        let wrong = |parameter, found: String, allowed: String| {
            Err(ParameterError { parameter, found, allowed })
        };
        if self.functions == 0 || self.functions as usize > FUNCTIONS_MAX {
            let allowed = format!("1 to {FUNCTIONS_MAX}");
            return wrong("functions", self.functions.to_string(), allowed);
        }
        if self.span.is_zero() || self.span > SPAN_MAX {
            let allowed = format!("above zero, to {} s", SPAN_MAX.as_secs());
            return wrong("span", format!("{:?}", self.span), allowed);
        }
        if self.invocations == Some(0) {
            return wrong("invocations", "0".to_owned(), "at least 1".to_owned());
        }
        if !(1.0..=1000.0).contains(&self.peak_to_trough) {
            let found = self.peak_to_trough.to_string();
            return wrong("peak_to_trough", found, "1 to 1000".to_owned());
        }
        Ok(())
    }
}

fn profile(index: usize, member: &Member) -> FunctionProfile {
    let mean = bounded(member.service_s);
    FunctionProfile {
        name: format!("g{index:05}"),
        memory: megabytes(member.memory_mb),
        service: ServiceTime::LogNormal { mean, sigma: DURATION_SIGMA },
        trigger: member.trigger,
        invocations: None,
    }
}

/// Whether a function is invoked less at night.
fn swings(member: &Member) -> bool {
    member.trigger != Trigger::Timer
}

/// Between the time of day and operational time, in which rates are constant: a day of
/// either is as long, and both begin at the lowest rate.
struct Swing {
    amplitude: f64,
    /// Seconds of the day at each step of operational time.
    times_s: Vec<f64>,
}

impl Swing {
    fn new(peak_to_trough: f64) -> Self {
        let amplitude = (peak_to_trough - 1.0) / (peak_to_trough + 1.0);
        let mut swing = Swing { amplitude, times_s: Vec::new() };
        let day_s = DAY.as_secs_f64();
        let invert = |wanted_s: f64| {
            let (mut low, mut high) = (0.0, day_s);
            // Each step halves a day: after 50 it is below a nanosecond.
            for _ in 0..50 {
                let middle = (low + high) / 2.0;
                if swing.operational_s(middle) < wanted_s { low = middle } else { high = middle }
            }
            (low + high) / 2.0
        };
        let step_s = day_s / SWING_STEPS as f64;
        swing.times_s = (0..=SWING_STEPS).map(|step| invert(step as f64 * step_s)).collect();
        swing
    }

    /// The rate is `1 - amplitude cos(phase)`, and this is its integral.
    fn operational_s(&self, time_s: f64) -> f64 {
        let day_s = DAY.as_secs_f64();
        time_s - self.amplitude * day_s / TAU * (TAU * time_s / day_s).sin()
    }

    fn time_s(&self, operational_s: f64) -> f64 {
        let day_s = DAY.as_secs_f64();
        let days = (operational_s / day_s).floor();
        let position = (operational_s / day_s - days) * SWING_STEPS as f64;
        let step = (position as usize).min(SWING_STEPS - 1);
        let (low, high) = (self.times_s[step], self.times_s[step + 1]);
        days * day_s + low + (high - low) * (position - step as f64)
    }
}

/// One function's invocations.
struct Process {
    gap: Gap,
    swings: bool,
    /// Of the next invocation, in operational seconds.
    at_s: f64,
    stream: Stream,
}

/// The invocations of all functions, merged.
struct Processes {
    processes: Vec<Process>,
    next: BinaryHeap<Reverse<(u64, u32)>>,
    swing: Swing,
    span: Duration,
}

impl Processes {
    fn new(generator: &Generator, members: &[Member], swing: Swing, scale: f64) -> Self {
        let (mut processes, mut next) = (Vec::new(), BinaryHeap::new());
        for (index, member) in members.iter().enumerate() {
            let mut stream = stream(generator.seed, Purpose::Function, index as u64, 0);
            let gap = Gap::new(DAY.as_secs_f64() / (member.per_day * scale), member.cv);
            let process =
                Process { gap, swings: swings(member), at_s: gap.residual(&mut stream), stream };
            if let Some(at_ns) = process.at_ns(&swing, generator.span) {
                next.push(Reverse((at_ns, index as u32)));
            }
            processes.push(process);
        }
        Processes { processes, next, swing, span: generator.span }
    }
}

impl Process {
    /// When the next invocation is; none beyond the end.
    fn at_ns(&self, swing: &Swing, span: Duration) -> Option<u64> {
        let at_s = if self.swings { swing.time_s(self.at_s) } else { self.at_s };
        (at_s < span.as_secs_f64()).then_some((at_s * 1e9) as u64)
    }
}

impl Feed for Processes {
    fn next(
        &mut self,
        functions: &mut Vec<FunctionProfile>,
    ) -> Result<Option<Arrival>, TraceError> {
        let Some(mut top) = self.next.peek_mut() else { return Ok(None) };
        let Reverse((at_ns, function)) = *top;
        let process = &mut self.processes[function as usize];
        let service = functions[function as usize].service.sample(&mut process.stream);
        process.at_s += process.gap.sample(&mut process.stream);
        match process.at_ns(&self.swing, self.span) {
            // A table's rounding must not put an invocation before the last.
            Some(next_ns) => *top = Reverse((next_ns.max(at_ns), function)),
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        Ok(Some(Arrival { at: Duration::from_nanos(at_ns), function, service }))
    }

    fn held(&self) -> usize {
        self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_swing_is_a_day_and_has_its_ratio() {
        let swing = Swing::new(3.0);
        let day_s = DAY.as_secs_f64();
        assert!((swing.time_s(day_s) - day_s).abs() < 1.0);
        assert!((swing.time_s(1.5 * day_s) - 1.5 * day_s).abs() < 1.0);
        // The slope of time over operational time is one over the rate.
        let rate = |at_s: f64| 100.0 / (swing.time_s(at_s + 100.0) - swing.time_s(at_s));
        let ratio = rate(day_s / 2.0) / rate(0.0);
        assert!((2.9..3.1).contains(&ratio), "{ratio}");
        assert!(
            (1..2000)
                .all(|i| swing.time_s(f64::from(i) * 61.7) > swing.time_s(f64::from(i - 1) * 61.7))
        );
    }

    #[test]
    fn the_invocations_asked_for_come_in_any_part_of_a_day() {
        let hour = Duration::from_secs(3600);
        // From the trough to before, at and after the peak, and beyond a day.
        for hours in [1, 6, 12, 18, 30] {
            let mut sum = 0.0;
            for seed in 0..20 {
                let generator = Generator::new(300).seeded(seed).lasting(hour * hours);
                sum += generator.with_invocations(3_000).workload().unwrap().count() as f64;
            }
            let ratio = sum / 20.0 / 3_000.0;
            assert!((0.85..1.15).contains(&ratio), "{hours} h: {ratio}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let wrong = |generator: Generator| generator.workload().unwrap_err().to_string();
        assert!(wrong(Generator::new(0)).starts_with("functions: found 0"));
        assert!(wrong(Generator::new(1).lasting(Duration::ZERO)).starts_with("span"));
        assert!(wrong(Generator::new(1).with_invocations(0)).starts_with("invocations"));
        assert!(wrong(Generator::new(1).with_peak_to_trough(0.5)).contains("found 0.5"));
    }
}
