//! What is said of files that are wrong.

use std::path::PathBuf;
use std::time::Duration;

use gapless_types::Bytes;
use gapless_workload::{Input, Kind, ReadOptions, ServiceTime, TraceError, open, read};

/// A folder with a good trace.
fn azure_2021() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/azure2021")
}

/// What is said of one file, at once or when it is reached.
fn refusal(name: &str, csv: &str, options: &ReadOptions) -> TraceError {
    match read(vec![Input::bytes(name, csv)], options) {
        Err(error) => error,
        Ok(workload) => workload.filter_map(Result::err).next().expect(csv),
    }
}

#[test]
fn an_error_names_file_line_column_and_what_is_allowed() {
    let azure = "HashOwner,HashApp,HashFunction,Trigger,1,2";
    let count = "a whole number from 0 to 1000000000";
    let seconds = "a number of seconds from 0 to 3155760000";
    let cases = [
        // A missing column.
        (
            "app,func,end_timestamp\na,f,1\n".to_owned(),
            "1: column \"duration\": missing column: found only app,func,end_timestamp, allowed is a column duration".to_owned(),
        ),
        (
            "function,workload,minute_1\nf,w,1\n".to_owned(),
            "1: column \"mean_ms\": missing column: found only function,workload,minute_1, allowed is a column mean_ms".to_owned(),
        ),
        ("day,time\n0,0\n".to_owned(), "1: missing column: found day,time, allowed is day, time and a column per function".to_owned()),
        // A negative count.
        (format!("{azure}\no,a,f,http,1,0\no,a,g,http,0,-3\n"), format!("3: column \"2\": negative: found -3, allowed is {count}")),
        ("day,time,0\n0,0,-1\n".to_owned(), format!("2: column \"0\": negative: found -1, allowed is {count}")),
        ("app,func,end_timestamp,duration\na,f,1,-0.5\n".to_owned(), "2: column \"duration\": negative: found -0.5, allowed is a number of seconds from 0 to 864000".to_owned()),
        // A gap.
        ("function,mean_ms,minute_1,minute_3\n".to_owned(), "1: column \"minute_3\": gap: found minute 3 after minute 1, allowed is minute 2".to_owned()),
        (format!("{azure}\no,a,f,http,,4\n"), format!("2: column \"1\": gap: found an empty cell, allowed is {count}")),
        ("day,time,0\n0,0,1\n0,60,1\n0,180,1\n".to_owned(), "4: column \"time\": gap: found 180, allowed is 120, one interval after the row before".to_owned()),
        // Not a number.
        (format!("{azure}\no,a,f,http,many,4\n"), format!("2: column \"1\": not a number: found many, allowed is {count}")),
        (format!("{azure}\r\no,a,f,http,1,4\r\no,a,g,http,1,x\r\n"), format!("3: column \"2\": not a number: found x, allowed is {count}")),
        ("app,func,end_timestamp,duration\na,f,soon,1\n".to_owned(), format!("2: column \"end_timestamp\": not a number: found soon, allowed is {seconds}")),
        ("app,func,end_timestamp,duration\na,f,inf,1\n".to_owned(), format!("2: column \"end_timestamp\": not a number: found inf, allowed is {seconds}")),
        // Too large, or a fraction.
        (format!("{azure}\no,a,f,http,1,1.5\n"), format!("2: column \"2\": out of range: found 1.5, allowed is {count}")),
        (format!("{azure}\no,a,f,http,1,1e30\n"), format!("2: column \"2\": out of range: found 1e30, allowed is {count}")),
        (format!("{azure}\no,a,f,cron,1,1\n"), "2: column \"Trigger\": out of range: found cron, allowed is http, timer, event, queue, storage, orchestration, others, unknown".to_owned()),
        // Empty.
        (String::new(), "1: empty: found no header, allowed is a csv header".to_owned()),
        (format!("{azure}\n"), "1: empty: found a header and no rows, allowed is a row for each function".to_owned()),
        ("app,func,end_timestamp,duration\n".to_owned(), "1: empty: found a header and no rows, allowed is a row for each invocation".to_owned()),
        ("day,time,0\n".to_owned(), "1: empty: found a header and no rows, allowed is a row for each minute or second".to_owned()),
        // Unsorted rows, or columns.
        ("day,time,0\n0,60,1\n0,0,1\n".to_owned(), "3: column \"time\": wrong order: found 0, allowed is more than 60, the row before".to_owned()),
        ("function,mean_ms,minute_1,minute_1\n".to_owned(), "1: column \"minute_1\": wrong order: found minute 1 after minute 1, allowed is minute 2".to_owned()),
        ("app,func,end_timestamp,duration\na,f,1000,1\na,f,2,1\n".to_owned(), "3: wrong order: found an invocation that began 998.000 s before one above it, allowed is at most 120s of disorder, the reorder window".to_owned()),
        // A record unlike its header.
        (format!("{azure}\no,a,f,http,1\n"), "2: malformed: found 5 cells, allowed is 6 cells, as in the header".to_owned()),
    ];
    for (csv, expected) in cases {
        let error = refusal("x.csv", &csv, &ReadOptions::default());
        assert_eq!(error.to_string(), format!("x.csv:{expected}"), "{csv}");
    }
}

#[test]
fn an_unknown_header_is_answered_with_the_known_ones() {
    let error = refusal("x.csv", "when,what\n1,2\n", &ReadOptions::default());
    assert_eq!((error.kind(), error.line()), (Kind::UnknownFormat, Some(1)));
    let text = error.to_string();
    assert!(text.starts_with("x.csv:1: unknown format: found when,what, allowed is a header with"));
    for known in ["HashApp,Trigger", "func,end_timestamp", "day,time", "function,minute_1"] {
        assert!(text.contains(known), "{text}");
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let two = |a: (&str, &str), b: (&str, &str)| {
        let inputs = vec![Input::bytes(a.0, a.1), Input::bytes(b.0, b.1)];
        read(inputs, &ReadOptions::default()).unwrap_err().to_string()
    };
    let rows = "app,func,end_timestamp,duration\na,f,1,1\n";
    let counts = "function,mean_ms,minute_1\nf,1,1\n";
    let found = two(("a.csv", counts), ("b.csv", rows));
    assert_eq!(
        found,
        "b.csv: does not belong: found Azure2021Rows, allowed is files of the same trace, counts per minute"
    );
    let wide = "day,time,0\n0,0,1\n";
    let found = two(("requests_minute/day_000.csv", wide), ("requests_second/day_000.csv", wide));
    assert_eq!(
        found,
        "requests_second/day_000.csv: does not belong: found requests in another folder than the \
         first day's, allowed is only the files beside requests_minute/day_000.csv"
    );
    let durations = "HashOwner,HashApp,HashFunction,Average,Count,percentile_Average_50\n";
    let found = refusal("d.csv", durations, &ReadOptions::default()).to_string();
    assert_eq!(
        found,
        "d.csv: empty: found Azure2019Durations and no file of invocations, allowed is a file with counts or invocations"
    );
}

#[test]
fn paths_that_hold_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), &ReadOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (Kind::Empty, folder.path().to_str().unwrap()));
    let missing = folder.path().join("missing.csv");
    let error = open(&missing, &ReadOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (Kind::Unreadable, missing.to_str().unwrap()));
    assert!(std::error::Error::source(&error).is_some());
    assert!(read(Vec::new(), &ReadOptions::default()).is_err());
}

#[test]
fn options_out_of_range_are_refused() {
    let endless = ServiceTime::Fixed(Duration::MAX);
    for options in [
        ReadOptions { reorder: Duration::ZERO, ..ReadOptions::default() },
        ReadOptions { service_default: endless, ..ReadOptions::default() },
    ] {
        let error = open(azure_2021(), &options).unwrap_err();
        assert_eq!((error.kind(), error.file()), (Kind::OutOfRange, "read options"));
    }
    let options = ReadOptions { memory_default: Bytes(5 << 20), ..ReadOptions::default() };
    assert_eq!(open(azure_2021(), &options).unwrap().functions()[0].memory, Bytes(5 << 20));
}
