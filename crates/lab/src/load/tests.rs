//! The load generator against a server of the test's own, which answers in
//! every framing HTTP/1.1 has.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const KNOWN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\
    server-timing: queue;dur=2.5\r\nx-gapless-instance: i1\r\n\r\nhello\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
    3\r\nhel\r\n3;a=b\r\nlo\n\r\n0\r\nx-trailer: 1\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello\n";
const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
    HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n";
const REFUSED: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";

/// Serves `answer` to each request, written byte by byte when `is_slow`.
async fn serve(answer: &'static str, is_slow: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer_all(stream, answer, is_slow));
        }
    });
    (address, accepted)
}

async fn answer_all(mut stream: TcpStream, answer: &'static str, is_slow: bool) {
    stream.set_nodelay(true).unwrap();
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let piece = if is_slow { 1 } else { answer.len() };
        for bytes in answer.as_bytes().chunks(piece) {
            if stream.write_all(bytes).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if answer.contains("connection: close") {
            return;
        }
    }
}

fn hello(address: SocketAddr) -> Load {
    Load::new(Target::get(address, "test", "/"), expect_body(b"hello\n"))
}

#[tokio::test]
async fn every_framing_is_read_whole_however_it_arrives() {
    for answer in [KNOWN, CHUNKED, UNTIL_CLOSE, INTERIM] {
        for is_slow in [false, true] {
            let (address, _) = serve(answer, is_slow).await;
            let mut connection = Connection::open(address).await.unwrap();
            let target = Target::get(address, "test", "/");
            let calls = if answer == UNTIL_CLOSE { 1 } else { 3 };
            for _ in 0..calls {
                let got = connection.call(&target.request).await.unwrap();
                assert_eq!((got.status, got.body), (200, &b"hello\n"[..]), "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhello\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nconnection: close",
        "connection: close",
    ] {
        let (address, _) = serve(answer, false).await;
        let mut connection = Connection::open(address).await.unwrap();
        assert!(connection.call(&Target::get(address, "t", "/").request).await.is_err());
    }
}

#[tokio::test]
async fn a_closed_loop_keeps_its_connections_and_counts_every_answer() {
    let (address, accepted) = serve(KNOWN, false).await;
    let report = closed_loop(&hello(address).noting(), 4, Duration::from_millis(50)).await;
    assert!(report.right >= 4);
    assert_eq!(report.errors(), 0, "{:?}", report.complaints);
    assert_eq!(report.latency.len(), report.right);
    assert_eq!(report.with_status(200), report.right);
    assert_eq!(accepted.load(Ordering::Relaxed), 4);
    assert_eq!(report.queued.len(), report.right);
    assert_eq!(report.instances.iter().collect::<Vec<_>>(), ["i1"]);
}

#[tokio::test]
async fn wrong_and_missing_answers_are_not_samples() {
    let (address, _) = serve(REFUSED, false).await;
    let report = burst(&hello(address), 5).await.unwrap();
    assert_eq!((report.right, report.wrong, report.broken), (0, 5, 0));
    assert_eq!((report.latency.len(), report.with_status(429)), (0, 5));
    assert_eq!(report.complaints.len(), 1);
    let (address, _) = serve("nonsense, connection: close\r\n\r\n", false).await;
    let report = burst(&hello(address), 5).await.unwrap();
    assert_eq!((report.right, report.wrong, report.broken), (0, 0, 5));
}

#[tokio::test]
async fn a_closed_connection_is_replaced() {
    let (address, accepted) = serve(UNTIL_CLOSE, false).await;
    let report = closed_loop(&hello(address), 1, Duration::from_millis(50)).await;
    assert!(report.right >= 1);
    assert_eq!(report.errors(), 0, "{:?}", report.complaints);
    assert_eq!(accepted.load(Ordering::Relaxed) as u64, report.right);
}

#[tokio::test]
async fn an_open_loop_sends_what_was_due_and_no_more() {
    let (address, _) = serve(KNOWN, false).await;
    let begun = Instant::now();
    let report = open_loop(&hello(address), 5, 200.0, Duration::from_millis(250)).await;
    assert_eq!(report.right, 50);
    assert!(begun.elapsed() >= Duration::from_millis(245), "the last was due then");
}

#[tokio::test]
async fn a_burst_has_every_connection_at_once() {
    let (address, accepted) = serve(KNOWN, false).await;
    let report = burst(&hello(address), 150).await.unwrap();
    assert_eq!((report.right, report.errors()), (150, 0));
    assert_eq!(accepted.load(Ordering::Relaxed), 150);
}
