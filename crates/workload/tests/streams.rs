//! Inputs that are read once: nothing is held whole.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gapless_workload::{Input, Kind, ReadOptions, read};

const MIB: u64 = 1 << 20;

#[test]
fn a_stream_of_rows_is_refused_where_it_is_further_from_order_than_the_window() {
    let csv = include_bytes!("fixtures/azure2021/invocations.txt");
    let stream = |reorder| {
        let options = ReadOptions { reorder, ..ReadOptions::default() };
        let mut workload = read(vec![Input::reader("stdin", &csv[..])], &options).unwrap();
        assert_eq!(workload.functions().len(), 0);
        let arrivals: Vec<_> = workload.by_ref().collect();
        assert_eq!(workload.functions().len(), 3);
        arrivals
    };
    let arrivals = stream(Duration::from_secs(200));
    assert!(arrivals.len() == 5 && arrivals.iter().all(Result::is_ok));
    let error = stream(Duration::from_secs(120)).pop().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "stdin:6: wrong order: found an invocation that began 2.750 s before one above it, \
         allowed is at most 120s of disorder, the reorder window"
    );
}

/// Rows that are made as they are read, and how many bytes of them were.
struct Made {
    row: u64,
    rows: u64,
    rest: Vec<u8>,
    given: Arc<AtomicU64>,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.row < self.rows {
            self.rest = made_row(self.row);
            self.row += 1;
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        self.given.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A row of 1 kB, a second after the one before.
fn made_row(row: u64) -> Vec<u8> {
    match row {
        0 => b"app,func,end_timestamp,duration\n".to_vec(),
        _ => format!("a,{:0>1000},{row},0.5\n", row % 7).into_bytes(),
    }
}

#[test]
fn a_stream_of_200_mb_is_never_held() {
    let given = Arc::new(AtomicU64::new(0));
    let rows = 200_000;
    let made = Made { row: 0, rows, rest: Vec::new(), given: Arc::clone(&given) };
    let options = ReadOptions { reorder: Duration::from_secs(20), ..ReadOptions::default() };
    let mut workload = read(vec![Input::reader("stdin", made)], &options).unwrap();
    let mut arrivals = 0;
    while let Some(arrival) = workload.next() {
        assert_eq!(arrival.unwrap().at, Duration::from_secs(arrivals));
        arrivals += 1;
        // Read ahead: the window's rows, and what buffers take.
        let ahead = given.load(Ordering::Relaxed) - arrivals * 1_000;
        assert!(ahead < 32 * 1_000 + (64 << 10) + arrivals * 20, "{ahead} bytes at {arrivals}");
        assert!(workload.held() <= 21, "{}", workload.held());
    }
    assert_eq!((arrivals, workload.functions().len()), (rows - 1, 7));
    assert!(given.load(Ordering::Relaxed) > 200_000_000);
}

#[test]
fn a_stream_without_line_ends_is_given_up() {
    let given = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&given);
    let header = &b"app,func,end_timestamp,duration\n"[..];
    for endless in [&b""[..], header] {
        given.store(0, Ordering::Relaxed);
        let reader = Counted(endless.chain(io::repeat(b'x')), Arc::clone(&counted));
        let error = match read(vec![Input::reader("stdin", reader)], &ReadOptions::default()) {
            Err(error) => error,
            Ok(mut workload) => workload.next().unwrap().unwrap_err(),
        };
        assert_eq!((error.kind(), error.file()), (Kind::TooLarge, "stdin"));
        assert!(given.load(Ordering::Relaxed) < 20 * MIB);
    }
}

/// Counts what is read.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
