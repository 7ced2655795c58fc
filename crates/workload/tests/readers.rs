//! Every published format, read through the public interface, with exact expectations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_workload::{
    AppMemory, Arrival, DelayUnit, Gaps, Input, Kind, ReadOptions, Role, ServiceTime, Statistics,
    Trigger, Workload, open, read,
};

const MIB: u64 = 1 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn opened(name: &str, options: &ReadOptions) -> Workload {
    open(fixture(name), options).unwrap()
}

fn all(workload: Workload) -> Vec<Arrival> {
    workload.collect::<Result<_, _>>().unwrap()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Of each function: name, memory in MiB and trigger.
fn profiles(workload: &Workload) -> Vec<(&str, u64, Trigger)> {
    let functions = workload.functions().iter();
    functions.map(|f| (f.name.as_str(), f.memory.0 / MIB, f.trigger)).collect()
}

/// Of each function: invocations in the minutes from `from` to before `to`.
fn in_minutes(arrivals: &[Arrival], functions: usize, from: u64, to: u64) -> Vec<u64> {
    let mut counts = vec![0; functions];
    let range = Duration::from_secs(60 * from)..Duration::from_secs(60 * to);
    for arrival in arrivals.iter().filter(|arrival| range.contains(&arrival.at)) {
        counts[arrival.function as usize] += 1;
    }
    counts
}

#[test]
fn azure_2019_joins_counts_durations_and_memory() {
    let workload = opened("azure2019", &ReadOptions::default());
    assert_eq!(workload.about().invocations, Some(4_525));
    assert_eq!(workload.about().span, Some(Duration::from_secs(86_400)));
    assert_eq!(workload.about().notes, [""; 0]);
    let expected = [
        ("c13acdc7567b-68baea05aa0c", 120, Trigger::Queue),
        ("a2faad786b3c-c8b8b9160f18", 176, Trigger::Queue),
        ("7dc5aeabc131-2cc1c836a3b3", 170, Trigger::Queue),
        ("ae8a1640fa93-90ba6ab2b1b9", 112, Trigger::Timer),
    ];
    assert_eq!(profiles(&workload), expected);
    let counted: Vec<_> = workload.functions().iter().map(|f| f.invocations.unwrap()).collect();
    assert_eq!(counted, [1_150, 1_125, 1_125, 1_125]);

    let arrivals = all(workload);
    assert_eq!(in_minutes(&arrivals, 4, 0, 1_440), counted);
    assert_eq!(in_minutes(&arrivals, 4, 0, 1)[..2], [5, 0]);
    assert_eq!(in_minutes(&arrivals, 4, 5, 6)[..2], [5, 5]);
    // Percentiles of the log are from 1 ms below to 1 ms above.
    for (function, middle) in [100, 500, 250, 125].into_iter().enumerate() {
        let of = arrivals.iter().filter(|arrival| arrival.function as usize == function);
        assert!(of.clone().all(|a| (ms(middle - 1)..=ms(middle + 1)).contains(&a.service)));
        assert!(of.map(|a| a.service).max() > Some(ms(middle)), "it is a distribution");
    }
}

#[test]
fn azure_2019_splits_an_applications_memory_and_says_what_it_assumes() {
    let counts = "HashOwner,HashApp,HashFunction,Trigger,1,2\n\
                  o,a,f1,http,1,0\no,a,f2,event,0,2\no,b,f3,others,1,1\n";
    let memory =
        "HashOwner,HashApp,SampleCount,AverageAllocatedMb\no,a,10,300\no,a,30,200\no,c,1,9\n";
    let inputs = || vec![Input::bytes("memory.csv", memory), Input::bytes("counts.csv", counts)];
    let workload = read(inputs(), &ReadOptions::default()).unwrap();
    // The day with most samples counts.
    let memory = |workload: &Workload| -> Vec<u64> {
        workload.functions().iter().map(|function| function.memory.0 / MIB).collect()
    };
    assert_eq!(memory(&workload), [100, 100, 128]);
    assert_eq!(
        workload.about().notes,
        [
            "3 functions without service time, fixed 100ms assumed",
            "1 functions without memory, 128Mi assumed"
        ]
    );
    let options = ReadOptions { app_memory: AppMemory::Whole, ..ReadOptions::default() };
    assert_eq!(memory(&read(inputs(), &options).unwrap()), [200, 200, 128]);
}

#[test]
fn azure_2019_days_follow_each_other_by_their_number() {
    let day = |count| format!("HashOwner,HashApp,HashFunction,Trigger,1\no,a,f,http,{count}\n");
    let file = |number: u32, count| Input::bytes(format!("md.anon.d{number:02}.csv"), day(count));
    let options = ReadOptions { gaps: Gaps::AsZero, ..ReadOptions::default() };
    let workload = read(vec![file(3, 2), file(1, 1)], &options).unwrap();
    assert_eq!(workload.about().notes.last().unwrap(), "gaps count as zero");
    let days: Vec<_> = all(workload).iter().map(|arrival| arrival.at.as_secs() / 86_400).collect();
    assert_eq!(days, [0, 2, 2]);
}

#[test]
fn azure_2021_begins_where_the_row_ends_less_its_duration() {
    let workload = opened("azure2021", &ReadOptions::default());
    let about = workload.about();
    assert_eq!(
        (about.invocations, about.span),
        (Some(5), Some(ms(191_000) + Duration::from_nanos(1)))
    );
    let expected = [
        ("77e1d2c3b4a5-1a0c5b7ee3f8", 128, Trigger::Unknown),
        ("9f8e7d6c5b4a-1a0c5b7ee3f8", 128, Trigger::Unknown),
        ("77e1d2c3b4a5-2b1d6c8ff409", 128, Trigger::Unknown),
    ];
    assert_eq!(profiles(&workload), expected);
    let counted: Vec<_> = workload.functions().iter().map(|f| f.invocations.unwrap()).collect();
    assert_eq!(counted, [2, 1, 2]);
    assert_eq!(workload.functions()[0].service, ServiceTime::Recorded { mean: ms(151_250) });
    let arrivals: Vec<_> = all(workload).iter().map(|a| (a.at, a.function, a.service)).collect();
    // The one of 302 s is last in the log and began first; zero is less than 1 ms.
    let expected = [
        (ms(0), 0, ms(302_000)),
        (ms(1_000), 0, ms(500)),
        (ms(1_700), 1, ms(1)),
        (ms(2_750), 2, ms(250)),
        (ms(191_000), 2, ms(250)),
    ];
    assert_eq!(arrivals, expected);
}

#[test]
fn huawei_2023_has_a_table_per_measure() {
    let options = ReadOptions { gaps: Gaps::AsZero, ..ReadOptions::default() };
    let workload = opened("huawei2023", &options);
    // What two pods had is not what one has.
    let expected =
        [("0", 256, Trigger::Unknown), ("1", 128, Trigger::Unknown), ("2", 128, Trigger::Unknown)];
    assert_eq!(profiles(&workload), expected);
    let service = |function: usize| workload.functions()[function].service.clone();
    assert_eq!(service(0), ServiceTime::Recorded { mean: ms(50) });
    let notes = workload.about().notes.join("\n");
    assert!(notes.contains("1 files of other measures not read"), "{notes}");
    assert!(notes.contains("cpu_usage_minute"), "{notes}");

    let arrivals = all(workload);
    assert_eq!(in_minutes(&arrivals, 3, 0, 1), [2, 0, 1]);
    assert_eq!(in_minutes(&arrivals, 3, 1, 2), [0, 3, 0]);
    assert_eq!(in_minutes(&arrivals, 3, 1_440, 1_441), [4, 0, 0]);
    assert_eq!(arrivals.len(), 10);
    // The minute's own mean, and after the table's end the function's.
    for arrival in arrivals {
        let expected = [ms(50), Duration::from_micros(20_500), ms(10)];
        assert_eq!(arrival.service, expected[arrival.function as usize]);
    }

    let options = ReadOptions { delay_unit: DelayUnit::Seconds, ..options };
    assert_eq!(all(opened("huawei2023", &options))[0].service.as_secs() % 10, 0);

    let error = opened("huawei2023", &ReadOptions::default()).find_map(Result::err).unwrap();
    assert_eq!((error.kind(), error.line(), error.column()), (Kind::Gap, Some(2), Some("time")));
    assert!(error.file().ends_with("day_001.csv"), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("found 86400, allowed is 120, one interval after the row before")
    );
}

#[test]
fn huawei_by_second_has_intervals_of_a_second() {
    let csv = "day,time,0\n0,10,2\n0,11,1\n";
    let arrivals =
        all(read(vec![Input::bytes("day_000.csv", csv)], &ReadOptions::default()).unwrap());
    let seconds: Vec<_> = arrivals.iter().map(|arrival| arrival.at.as_secs()).collect();
    assert_eq!(seconds, [0, 0, 1]);
}

#[test]
fn huawei_2025_requests_begin_at_the_frontend() {
    let workload = opened("huawei2025", &ReadOptions::default());
    let expected = [
        ("296---224---pool22-300-128", 128, Trigger::Http),
        ("400---418---pool24-600-512", 512, Trigger::Orchestration),
    ];
    assert_eq!(profiles(&workload), expected);
    assert_eq!(workload.about().invocations, Some(3));
    let micros: Vec<_> = all(workload)
        .iter()
        .map(|a| {
            let at = (a.at + Duration::from_nanos(500)).as_micros();
            (at, a.function, a.service.as_micros())
        })
        .collect();
    // The row without a frontend's stamp begins at the worker.
    assert_eq!(micros, [(0, 0, 23_749), (31_421, 0, 100_000), (131_421, 1, 400_000)]);
}

#[test]
fn huawei_2025_series_are_in_seconds() {
    let (function, other) = ("296---224---pool22-300-128", "400---418---pool24-600-512");
    let requests = format!("day,time,{function},{other}\n0,0,1,\n0,60,,2\n");
    let service = format!("day,time,{other},{function}\n0,0,,0.25\n0,60,1.5,\n");
    let inputs = vec![
        Input::bytes("R2/totalCost_avg/day_00.csv", service),
        Input::bytes("R2/requests/day_00.csv", requests),
        Input::path(fixture("huawei2025/functions.csv")),
    ];
    let workload = read(inputs, &ReadOptions::default()).unwrap();
    assert_eq!(
        profiles(&workload),
        [(function, 128, Trigger::Http), (other, 512, Trigger::Orchestration)]
    );
    let services: Vec<_> = all(workload).iter().map(|a| (a.function, a.service)).collect();
    assert_eq!(services, [(0, ms(250)), (1, ms(1_500)), (1, ms(1_500))]);
}

#[test]
fn the_shipped_sample_is_as_its_page_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../traces/azure2019-244fn.csv");
    let mut workload = open(path, &ReadOptions::default()).unwrap();
    let statistics = Statistics::of(&mut workload).unwrap();
    assert_eq!((statistics.functions, statistics.invocations), (244, 4_045));
    assert_eq!((statistics.functions_for_90_percent, statistics.span_s), (102, 300.0));
    let mean = statistics.function_mean_ms;
    assert_eq!([mean.p50, mean.p90, mean.p99].map(f64::round), [173.0, 1_925.0, 67_890.0]);
    let text = statistics.to_string();
    assert!(text.contains("244, 244 invoked; 90% of invocations from 102"), "{text}");
    let json = serde_json::to_value(&statistics).unwrap();
    assert_eq!((&json["invocations"], &json["gap_cv"]["max"].is_number()), (&4_045.into(), &true));
}

#[test]
fn a_role_can_be_declared_where_no_name_tells_it() {
    let inputs = || {
        vec![
            Input::bytes("a.csv", "day,time,0\n0,0,3\n"),
            Input::bytes("b.csv", "day,time,0\n0,0,7\n"),
        ]
    };
    // Two tables of requests of the same time.
    let error = read(inputs(), &ReadOptions::default()).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), Kind::WrongOrder);
    let mut inputs = inputs();
    let table = inputs.pop().unwrap().with_role(Role::HuaweiService);
    inputs.push(table);
    let workload = read(inputs, &ReadOptions::default()).unwrap();
    assert_eq!(workload.functions()[0].service, ServiceTime::Recorded { mean: ms(7) });
}

#[test]
fn until_cuts_a_workload() {
    let workload = opened("azure2021", &ReadOptions::default()).until(ms(1_700));
    assert_eq!((workload.about().span, workload.about().invocations), (Some(ms(1_700)), None));
    assert_eq!(all(workload).len(), 2);
}

#[test]
fn gaps_count_as_zero_where_that_is_asked() {
    let options = ReadOptions { gaps: Gaps::AsZero, ..ReadOptions::default() };
    for csv in [
        "function,mean_ms,minute_1,minute_3\nf,1,2,1\n",
        "function,mean_ms,minute_1,minute_2,minute_3\nf,1,2,,1\n",
    ] {
        let workload = read(vec![Input::bytes("x.csv", csv)], &options).unwrap();
        assert_eq!(workload.about().notes, ["gaps count as zero"]);
        let minutes: Vec<_> = all(workload).iter().map(|a| a.at.as_secs() / 60).collect();
        assert_eq!(minutes, [0, 0, 2]);
    }
}
