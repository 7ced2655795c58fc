//! The driver against a server of the test's own.

use std::cell::Cell;

use gapless_workload::{Input, ReadOptions, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// 30 requests of three functions within a minute.
fn workload() -> Workload {
    let csv = "function,workload,mean_ms,minute_1\na,x,20,10\nb,x,20,10\nc,x,20,10\n";
    read(vec![Input::bytes("t.csv", csv)], &ReadOptions::default()).unwrap()
}

fn options(speed: f64) -> Options {
    Options {
        speed,
        path: Rc::new(|arrival| format!("/work?us={}", arrival.service.as_micros())),
        check: Rc::new(|_, answer| match answer.body {
            b"ok" => Ok(()),
            _ => Err("not ok".to_owned()),
        }),
        in_flight_max: IN_FLIGHT_MAX,
        patience: Duration::from_secs(60),
        in_flight: InFlight::default(),
        progress: None,
    }
}

fn host(function: usize) -> String {
    ["a.test", "b.test", "c.test"][function].to_owned()
}

/// Answers what names host `a` in one way and the others in another. `None` is no
/// answer at all, ever.
async fn serve(a: Option<&'static str>, others: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, a, others));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, a: Option<&'static str>, others: &'static str) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        assert!(text.contains("GET /work?us=20000 ") && text.contains("x-replay-us: 20000"));
        request.clear();
        let text = if text.contains("host: a.test") { a } else { Some(others) };
        let Some(text) = text else { std::future::pending().await };
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-gapless-start: warm\r\n\r\nok";
const WRONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno";
const SHED: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 33\r\n\r\n\
    {\"error\":{\"reason\":\"queue-full\"}}";

async fn run(gateway: SocketAddr, options: Options) -> Outcome {
    let never = std::future::pending();
    drive(gateway, host, workload(), options, never).await.unwrap()
}

#[tokio::test]
async fn every_request_is_sent_once_to_its_function_and_judged() {
    let in_flight = InFlight::default();
    let options = Options { in_flight: in_flight.clone(), ..options(600.0) };
    let outcome = run(serve(Some(SHED), OK).await, options).await;
    let tally = &outcome.tally;
    assert_eq!((tally.arrived, tally.served, tally.sheds), (30, 20, 10), "{tally:?}");
    assert_eq!((tally.cold, outcome.unanswered, outcome.is_partial), (0, 0, false));
    assert_eq!(in_flight.counts(), [0, 0, 0]);
    let outcome = run(serve(Some(WRONG), OK).await, self::options(600.0)).await;
    assert_eq!((outcome.tally.served, outcome.tally.wrong), (20, 10));
    assert_eq!(outcome.tally.complaints.first().map(String::as_str), Some("not ok"));
}

#[tokio::test]
async fn a_function_that_does_not_answer_delays_no_other() {
    let gateway = serve(None, OK).await;
    let in_flight = InFlight::default();
    let served = Rc::new(Cell::new(0));
    let count = served.clone();
    let check: Check = Rc::new(move |_, _| {
        count.set(count.get() + 1);
        Ok(())
    });
    let options = Options { in_flight: in_flight.clone(), check, ..options(600.0) };
    let (tell, told) = tokio::sync::oneshot::channel();
    let told = async { drop::<Result<(), _>>(told.await) };
    let driven = async {
        let outcome = drive(gateway, host, workload(), options, told).await.unwrap();
        assert_eq!((outcome.tally.served, outcome.unanswered), (20, 10));
        assert!(outcome.is_partial);
    };
    let stopped = async {
        while served.get() < 20 || in_flight.counts() != [10, 0, 0] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tell.send(()).unwrap();
    };
    tokio::join!(driven, stopped);
    assert_eq!(in_flight.counts(), [0, 0, 0], "what was abandoned is not under way");
}

#[tokio::test]
async fn a_request_without_an_answer_in_time_has_failed() {
    let options = Options { patience: Duration::from_millis(1), ..options(6000.0) };
    let outcome = run(serve(None, OK).await, options).await;
    let tally = &outcome.tally;
    // On a busy machine an answer may come too late.
    assert!(tally.failed >= 10 && tally.failed + tally.served == 30, "{tally:?}");
}

#[tokio::test]
async fn what_exceeds_the_bound_is_unsent_and_said() {
    let patience = Duration::from_millis(300);
    let options = Options { in_flight_max: 1, patience, ..options(6000.0) };
    let outcome = run(serve(None, OK).await, options).await;
    let tally = &outcome.tally;
    assert!(tally.unsent > 0 && tally.failed > 0, "{tally:?}");
    assert_eq!(tally.ended(), 30);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_fails_every_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = listener.local_addr().unwrap();
    drop(listener);
    let outcome = run(gateway, options(6000.0)).await;
    assert_eq!((outcome.tally.arrived, outcome.tally.failed), (30, 30));
}
