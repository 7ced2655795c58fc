//! Bodies pass piece by piece, both ways, with everything HTTP hangs on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use gapless_proto::{Body, Endpoint, Response};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::platform::{Answered, Platform, local, request, server, within};

const PIECE_BYTES: usize = 32 << 10;
const PIECES: u64 = 2048;
/// Far above what sockets and buffers on the way hold, far below the whole body.
const ON_THE_WAY_BYTES_MAX: u64 = 32 << 20;

type Piece = Result<Frame<Bytes>, std::io::Error>;

fn piece(index: u64) -> Bytes {
    let mut bytes = vec![index as u8; PIECE_BYTES];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    bytes.into()
}

/// A body of [`PIECES`] pieces, made as they are asked for and counted.
fn long_body(made: &Arc<AtomicU64>) -> Body {
    let made = made.clone();
    let pieces = futures::stream::iter(0..PIECES).map(move |index| {
        made.fetch_add(1, Ordering::SeqCst);
        Piece::Ok(Frame::data(piece(index)))
    });
    Body::boxed(StreamBody::new(pieces))
}

/// Reads a long body and checks every byte.
async fn check<B>(mut body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let (mut index, mut kept) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        kept.extend_from_slice(&frame.unwrap().into_data().unwrap());
        while kept.len() >= PIECE_BYTES {
            assert_eq!(kept[..PIECE_BYTES], piece(index)[..], "piece {index}");
            kept.drain(..PIECE_BYTES);
            index += 1;
        }
    }
    assert_eq!((index, kept.len()), (PIECES, 0));
}

/// Waits until nothing more is made; returns how much was.
async fn settled(made: &AtomicU64) -> u64 {
    loop {
        let before = made.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if before > 0 && made.load(Ordering::SeqCst) == before {
            return before * PIECE_BYTES as u64;
        }
    }
}

async fn echo_server() -> Endpoint {
    let answer = |request: http::Request<_>| async {
        http::Response::new(Body::Incoming(request.into_body()))
    };
    server(answer).await.0
}

fn echo_local() -> Endpoint {
    local(|request| async { Ok(Response::new(request.into_body())) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_body_goes_through_and_back_and_is_never_held() {
    within(async {
        for endpoint in [echo_server().await, echo_local()] {
            let platform = Platform::start().await;
            let revision = platform.deploy(|_| ());
            platform.ready(&revision, 1, 1, endpoint);
            let made = Arc::new(AtomicU64::new(0));
            let mut sender = platform.http1().await;
            let sent = request("POST", "/", long_body(&made));
            let response = sender.send_request(sent).await.unwrap();
            // The client reads nothing, so in the end nobody makes anything.
            let on_the_way = settled(&made).await;
            assert!(on_the_way < ON_THE_WAY_BYTES_MAX, "{on_the_way}");
            check(response.into_body()).await;
            platform.until(|| platform.in_flight() == 0).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_the_instance_from_making_more() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let made = Arc::new(AtomicU64::new(0));
        let body_made = made.clone();
        let endpoint = local(move |_| {
            let body = long_body(&body_made);
            async { Ok(Response::new(body)) }
        });
        platform.ready(&revision, 1, 1, endpoint);
        for is_http2 in [false, true] {
            made.store(0, Ordering::SeqCst);
            let response = if is_http2 {
                let uri = "http://hello.default.localhost/";
                let asked = http::Request::builder().uri(uri).body(Body::Empty).unwrap();
                platform.http2().await.send_request(asked).await.unwrap()
            } else {
                let mut sender = platform.http1().await;
                sender.send_request(request("GET", "/", Body::Empty)).await.unwrap()
            };
            let on_the_way = settled(&made).await;
            assert!(on_the_way < ON_THE_WAY_BYTES_MAX, "{on_the_way}");
            check(response.into_body()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_does_not_read_stops_the_client_from_sending_more() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let read = Arc::new(Notify::new());
        let gate = read.clone();
        let answer = move |request: http::Request<hyper::body::Incoming>| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                check(request.into_body()).await;
                http::Response::new(Body::from("all"))
            }
        };
        platform.ready(&revision, 1, 1, server(answer).await.0);
        let made = Arc::new(AtomicU64::new(0));
        let stalled = async {
            let on_the_way = settled(&made).await;
            assert!(on_the_way < ON_THE_WAY_BYTES_MAX, "{on_the_way}");
            read.notify_one();
        };
        let sending = platform.send(request("POST", "/", long_body(&made)));
        let (answered, ()) = tokio::join!(sending, stalled);
        assert_eq!(answered.text(), "all");
    })
    .await;
}

/// Answers with the body it got and the trailers it got, renamed.
fn returned(whole: http_body_util::Collected<Bytes>) -> Body {
    let sum = whole.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum-back", sum.unwrap_or_else(|| "none".parse().unwrap()));
    let frames = [Piece::Ok(Frame::data(whole.to_bytes())), Piece::Ok(Frame::trailers(trailers))];
    Body::boxed(StreamBody::new(futures::stream::iter(frames)))
}

fn with_trailers() -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [Piece::Ok(Frame::data("hello".into())), Piece::Ok(Frame::trailers(trailers))];
    Body::boxed(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    within(async {
        let remote = server(|request| async {
            assert_eq!(request.headers()["te"], "trailers");
            let body = returned(request.into_body().collect().await.unwrap());
            http::Response::builder().header("trailer", "x-sum-back").body(body).unwrap()
        });
        let in_process = local(|request| async {
            let body = returned(request.into_body().collect().await.unwrap());
            Ok(http::Response::builder().header("trailer", "x-sum-back").body(body).unwrap())
        });
        for endpoint in [remote.await.0, in_process] {
            let platform = Platform::start().await;
            let revision = platform.deploy(|_| ());
            platform.ready(&revision, 1, 1, endpoint);
            let mut over_http1 = request("POST", "/", with_trailers());
            over_http1.headers_mut().insert("trailer", "x-sum".parse().unwrap());
            over_http1.headers_mut().insert("te", "trailers".parse().unwrap());
            over_http1.headers_mut().insert("connection", "te".parse().unwrap());
            let over_http2 = http::Request::post("http://hello.default.localhost/")
                .header("trailer", "x-sum")
                .header("te", "trailers")
                .body(with_trailers())
                .unwrap();
            let http1 = platform.send(over_http1).await;
            let http2 = platform.http2().await.send_request(over_http2).await.unwrap();
            for answered in [http1, Answered::read(http2).await] {
                assert_eq!(answered.text(), "hello");
                assert_eq!(answered.trailers.unwrap()["x-sum-back"], "42");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_when_the_instance_reads() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let read = Arc::new(Notify::new());
        let gate = read.clone();
        let endpoint = local(move |request| {
            let gate = gate.clone();
            async move {
                assert!(!request.headers().contains_key("expect"));
                if request.uri().path() == "/declined" {
                    return Ok(http::Response::builder().status(403).body(Body::Empty).unwrap());
                }
                gate.notified().await;
                let whole = request.into_body().collect().await.unwrap().to_bytes();
                Ok(Response::new(Body::from(whole)))
            }
        });
        let ask = |path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nhost: hello.default.localhost\r\n\
                 expect: 100-continue\r\ncontent-length: 5\r\n\r\n"
            )
        };
        let stream = TcpStream::connect(platform.address).await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(ask("/").as_bytes()).await.unwrap();
        // Neither waiting for a slot nor having one is reading.
        platform.until(|| platform.queued() == 1).await;
        platform.ready(&revision, 1, 1, endpoint);
        platform.until(|| platform.queued() == 0).await;
        let early = tokio::time::timeout(Duration::from_millis(50), stream.fill_buf()).await;
        assert!(early.is_err(), "told before anybody read: {early:?}");
        read.notify_one();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        stream.write_all(b"hello").await.unwrap();
        line.clear();
        while !line.ends_with("hello") {
            line.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(line.contains("HTTP/1.1 200 OK\r\n"), "{line}");

        let mut declined = TcpStream::connect(platform.address).await.unwrap();
        declined.write_all(ask("/declined").as_bytes()).await.unwrap();
        let mut text = [0u8; 12];
        declined.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"HTTP/1.1 403");
    })
    .await;
}

#[tokio::test]
async fn the_answer_to_head_has_a_length_and_no_body() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| spec.concurrency = 1);
        let (endpoint, accepted) = server(|request| async move {
            let is_head = request.method() == http::Method::HEAD;
            let body = if is_head { Body::Empty } else { Body::from("a body") };
            http::Response::builder().header("content-length", 6).body(body).unwrap()
        })
        .await;
        platform.ready(&revision, 1, 1, endpoint);
        let mut sender = platform.http1().await;
        for method in ["HEAD", "GET", "HEAD"] {
            let response = sender.send_request(request(method, "/", Body::Empty)).await.unwrap();
            let answered = Answered::read(response).await;
            assert_eq!(answered.header("content-length"), "6", "{method}");
            assert_eq!(answered.text(), if method == "GET" { "a body" } else { "" });
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_not_held_back_by_a_body_that_nobody_reads() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        // Answers at once, piece by piece, and keeps the request unread.
        let endpoint = local(|request| async move {
            let unread = request.into_body();
            let pieces = futures::stream::iter(0..1)
                .map(|_| Piece::Ok(Frame::data(Bytes::from_static(b"early"))))
                .chain(futures::stream::poll_fn(move |_| {
                    let _unread = &unread;
                    std::task::Poll::Pending
                }));
            Ok(Response::new(Body::boxed(StreamBody::new(pieces))))
        });
        platform.ready(&revision, 1, 1, endpoint);
        let mut stream = TcpStream::connect(platform.address).await.unwrap();
        let sent = "POST / HTTP/1.1\r\nhost: hello.default.localhost\r\n\
                    content-length: 10\r\n\r\n0123456789";
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.contains("early") {
            text.push(char::from(stream.read_u8().await.unwrap()));
        }
    })
    .await;
}
