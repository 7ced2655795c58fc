//! What holds for every workload, whatever its source:
//!
//! - arrivals come in time order;
//! - the same input and seed give the same arrivals;
//! - every invocation that a trace counts is given exactly once, in its interval;
//! - what is held is bounded by the number of functions, for single invocations by the
//!   reorder window, and never by the length of the input.

use std::fmt::Write;
use std::time::Duration;

use gapless_workload::{
    Arrival, Generator, Input, Pattern, ReadOptions, ServiceTime, Shape, Spread, TraceError,
    Workload, read,
};
use proptest::collection::vec;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts by function, then by minute.
type Counts = Vec<Vec<u64>>;

fn counts(minutes: usize) -> impl Strategy<Value = Counts> {
    // Mostly small, with zeros and a few large ones.
    let count = prop_oneof![3 => Just(0u64), 5 => 1..6u64, 1 => 100..400u64];
    vec(vec(count, minutes), 1..8)
}

/// Some days of counts by minute, a row per function: Azure 2019's layout.
fn grid_file(counts: &[Vec<u64>]) -> String {
    let mut csv = "HashOwner,HashApp,HashFunction,Trigger".to_owned();
    (1..=counts[0].len()).for_each(|minute| write!(csv, ",{minute}").unwrap());
    for (index, row) in counts.iter().enumerate() {
        write!(csv, "\no,a{},f{index},http", index / 2).unwrap();
        row.iter().for_each(|count| write!(csv, ",{count}").unwrap());
    }
    csv
}

/// The same in Huawei's layout: a row per minute, a column per function.
fn wide_file(counts: &[Vec<u64>], day: u64) -> String {
    let mut csv = "day,time".to_owned();
    (0..counts.len()).for_each(|function| write!(csv, ",{function}").unwrap());
    for minute in 0..counts[0].len() {
        write!(csv, "\n{day},{}", 60 * (day as usize * counts[0].len() + minute)).unwrap();
        // An empty cell says that there was nothing.
        counts.iter().for_each(|row| match row[minute] {
            0 if minute % 2 == 0 => csv.push(','),
            count => write!(csv, ",{count}").unwrap(),
        });
    }
    csv
}

/// Which layout, over how many files, with which options.
#[derive(Clone, Debug)]
struct Case {
    days: Vec<Counts>,
    is_wide: bool,
    options: ReadOptions,
}

impl Case {
    fn workload(&self) -> Workload {
        let file = |(day, counts): (usize, &Counts)| match self.is_wide {
            true => Input::bytes(format!("day_{day:03}.csv"), wide_file(counts, day as u64)),
            false => Input::bytes(format!("counts.{day:03}.csv"), grid_file(counts)),
        };
        read(self.days.iter().enumerate().map(file).collect(), &self.options).unwrap()
    }
}

/// Up to three files of the same functions, with windows from one minute to all of it.
fn case() -> impl Strategy<Value = Case> {
    (1..30usize, 1..8usize)
        .prop_flat_map(|(minutes, functions)| {
            let days = vec(counts(minutes), 1..4).prop_map(move |mut days| {
                days.iter_mut().for_each(|day| day.resize(functions, vec![0; minutes]));
                days
            });
            (days, any::<bool>(), any::<u64>(), any::<bool>(), 1..2000usize)
        })
        .prop_map(|(days, is_wide, seed, is_even, window_bytes)| {
            let spread = if is_even { Spread::Even } else { Spread::Poisson };
            let service_default = ServiceTime::Exponential { mean: Duration::from_millis(30) };
            let options = ReadOptions {
                seed,
                spread,
                window_bytes,
                service_default,
                ..ReadOptions::default()
            };
            Case { days, is_wide, options }
        })
}

/// All arrivals, with the most that was held at a time.
fn drain(mut workload: Workload) -> (Vec<Arrival>, usize) {
    let (mut arrivals, mut most) = (Vec::new(), 0);
    while let Some(arrival) = workload.next() {
        arrivals.push(arrival.unwrap());
        most = most.max(workload.held());
    }
    (arrivals, most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn counted_invocations_are_given_once_in_order_and_few_are_held(case in case()) {
        let workload = case.workload();
        let functions = workload.functions().len();
        prop_assert_eq!(functions, case.days[0].len());
        let (arrivals, most) = drain(workload);
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        prop_assert!(most <= functions, "{} held for {} functions", most, functions);

        let minutes = case.days[0][0].len();
        let mut found = vec![vec![0; minutes * case.days.len()]; functions];
        for arrival in &arrivals {
            let minute = (arrival.at.as_nanos() / MINUTE.as_nanos()) as usize;
            found[arrival.function as usize][minute] += 1;
        }
        for (function, found) in found.iter().enumerate() {
            let wanted = case.days.iter().flat_map(|day| day[function].iter().copied());
            prop_assert_eq!(found, &wanted.collect::<Vec<u64>>(), "function {}", function);
        }
    }

    #[test]
    fn the_same_input_and_seed_give_the_same_arrivals(case in case(), window_bytes in 1..2000usize) {
        let first = drain(case.workload()).0;
        // How much is read at a time changes nothing either.
        let other = ReadOptions { window_bytes, ..case.options.clone() };
        let again = Case { options: other, ..case.clone() };
        prop_assert_eq!(&drain(again.workload()).0, &first);
        // Another seed does.
        let options = ReadOptions { seed: case.options.seed ^ 1, ..case.options.clone() };
        let reseeded = drain(Case { options, ..case }.workload()).0;
        prop_assert!(first.is_empty() || reseeded != first);
    }

    #[test]
    fn single_invocations_are_given_once_in_order_of_their_begin(
        rows in vec((0..3u32, 0..600_000u64, 1..90_000u64), 1..300),
        is_scanned in any::<bool>(),
    ) {
        // In the order in which such a log is written: by end, in milliseconds.
        let mut rows = rows;
        rows.sort_by_key(|&(_, begin, service)| begin + service);
        let mut csv = "app,func,end_timestamp,duration".to_owned();
        for (function, begin, service) in &rows {
            let end = (begin + service) as f64 / 1e3;
            write!(csv, "\na,f{function},{end},{}", *service as f64 / 1e3).unwrap();
        }
        let options = ReadOptions { is_scanned, ..ReadOptions::default() };
        let workload = read(vec![Input::bytes("log.csv", csv)], &options).unwrap();
        let (arrivals, _) = drain(workload);
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));

        let origin = rows.iter().map(|row| row.1).min().unwrap();
        let mut wanted: Vec<_> = rows.iter().map(|row| (row.1 - origin, row.2)).collect();
        let millis = |time: Duration| (time.as_secs_f64() * 1e3).round() as u64;
        let mut found: Vec<_> =
            arrivals.iter().map(|arrival| (millis(arrival.at), millis(arrival.service))).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn made_workloads_are_in_order_repeatable_and_hold_a_bounded_number(
        functions in 1..60u32, seed in any::<u64>(), which in 0..7usize,
    ) {
        let second = Duration::from_secs(1);
        let patterns = [
            Pattern::Poisson { rate_per_s: 20.0 },
            Pattern::Burst { concurrent: 50, at: second, spread: second, every: Some(second * 9) },
            Pattern::Ramp { from_per_s: 0.0, to_per_s: 30.0 },
            Pattern::Diurnal { mean_per_s: 20.0, peak_to_trough: 5.0, period: second * 40 },
            Pattern::KeepAliveGap { keep_alive: second * 3, margin: second / 9 },
            Pattern::Alternating { gap: second / 20 },
        ];
        let make = |seed| match patterns.get(which) {
            Some(pattern) => {
                let service = ServiceTime::LogNormal { mean: second / 10, sigma: 1.0 };
                Shape::new(pattern.clone(), service).over(functions).seeded(seed).workload().unwrap()
            }
            None => {
                let generator = Generator::new(functions).seeded(seed).lasting(second * 600);
                generator.with_invocations(1_000).workload().unwrap()
            }
        };
        let (arrivals, most) = drain(make(seed));
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        prop_assert!(most <= functions as usize, "{most}");
        prop_assert_eq!(drain(make(seed)).0, arrivals);
    }

    #[test]
    fn whatever_a_file_holds_is_read_or_refused_with_its_name(
        header in prop_oneof![
            Just("day,time,0"), Just("function,mean_ms,minute_1"),
            Just("app,func,end_timestamp,duration"), Just("HashOwner,HashApp,HashFunction,Trigger,1"),
            Just(""),
        ],
        body in "[a0-9.,\\-\n\r\"]{0,80}",
    ) {
        let is_named = |error: TraceError| error.file() == "x.csv";
        match read(vec![Input::bytes("x.csv", format!("{header}\n{body}"))], &ReadOptions::default()) {
            Err(error) => prop_assert!(is_named(error)),
            Ok(workload) => {
                let error = workload.take(1_000).find_map(Result::err);
                prop_assert!(error.is_none_or(is_named));
            }
        }
    }
}
