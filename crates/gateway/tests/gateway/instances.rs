//! Calling instances over sockets: connections are kept, lost and remade; what an
//! instance does wrong is told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gapless_proto::{Body, Endpoint, GatewayLink, InstanceFact};
use gapless_types::InstanceId;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::platform::{Answered, Platform, Told, request, says, server, within};

/// An instance that reads a head, says `answer` and closes.
async fn blunt(answer: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    gapless_rt::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    endpoint
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| spec.concurrency = 4);
        let (endpoint, accepted) = server(|request| async move {
            let whole = request.into_body().collect().await.unwrap().to_bytes();
            http::Response::new(Body::from(whole))
        })
        .await;
        platform.ready(&revision, 1, 4, endpoint);
        let mut sender = platform.http1().await;
        for index in 0..20 {
            let body = if index % 3 == 0 { Body::Empty } else { Body::from("hello") };
            let sent = request("POST", "/", body);
            let answered = Answered::read(sender.send_request(sent).await.unwrap()).await;
            assert_eq!(answered.text(), if index % 3 == 0 { "" } else { "hello" });
            let has_connected = answered.header("server-timing").contains("connect;dur=");
            assert_eq!(has_connected, index == 0);
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
        let some = futures::future::join_all((0..40).map(|_| platform.get("/")));
        assert!(some.await.iter().all(|answered| answered.status() == 200));
        assert!(accepted.load(Ordering::SeqCst) <= 4, "no more than there are slots");
    })
    .await;
}

#[tokio::test]
async fn an_instance_on_a_unix_socket_is_called() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let folder = std::env::temp_dir().join(format!("gapless-gateway-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("instance.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        gapless_rt::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0u8; 4096];
            loop {
                let count = stream.read(&mut head).await.unwrap();
                assert!(head[..count].ends_with(b"\r\n\r\n"));
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nunix")
                    .await
                    .unwrap();
            }
        });
        platform.ready(&revision, 1, 1, Endpoint::Unix(path.as_path().into()));
        for _ in 0..3 {
            assert_eq!(platform.get("/").await.text(), "unix");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_made_anew() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        gapless_rt::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0u8; 4096];
                let _ = stream.read(&mut head).await.unwrap();
                // It promises to stay, and goes.
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            }
        });
        platform.ready(&revision, 1, 1, endpoint);
        for round in 1..=5 {
            assert_eq!(platform.get("/").await.text(), "hi");
            assert_eq!(connections.load(Ordering::SeqCst), round);
            // The end of the connection is on its way; the runtime has to see it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_an_instance_does_wrong_is_told_apart() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let cases = [
            ("", "instance-died"),
            ("HTTP/1.1 200 OK\r\ncontent-le", "instance-died"),
            ("garbage, not HTTP\r\n\r\n", "bad-response"),
            ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "bad-response"),
            ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "bad-response"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
                "bad-response",
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "bad-response"),
        ];
        for (id, (answer, reason)) in (1..).zip(cases) {
            platform.ready(&revision, id, 1, blunt(answer).await);
            let answered = platform.get("/").await;
            assert_eq!(answered.status(), 502, "{answer:?}: {}", answered.text());
            assert_eq!(answered.error()["reason"], reason, "{answer:?}: {}", answered.text());
            assert_eq!(answered.error()["fault"], "function");
            platform.gateway.instance(&revision, InstanceId(id), InstanceFact::Gone(None));
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let half = blunt("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        platform.ready(&revision, 1, 1, half);
        let mut sender = platform.http1().await;
        // It may break off before its head was passed on, or after.
        if let Ok(response) = sender.send_request(request("GET", "/", Body::Empty)).await {
            assert!(response.into_body().collect().await.is_err());
        }
        platform.until(|| platform.in_flight() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_length_ends_with_its_connection() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.ready(&revision, 1, 1, blunt("HTTP/1.0 200 OK\r\n\r\nto the end").await);
        for _ in 0..3 {
            assert_eq!(platform.get("/").await.text(), "to the end");
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_did_not_reach_its_instance_is_served_by_another() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let nobody = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Endpoint::Tcp(listener.local_addr().unwrap())
        };
        platform.ready(&revision, 1, 1, says("alive"));
        platform.ready(&revision, 2, 1, nobody);
        let answered = platform.send(request("POST", "/", Body::from("body"))).await;
        assert_eq!((answered.status(), answered.text()), (200, "alive"));
        let broken = platform.told(|_, told| match told {
            Told::Broken(instance) => Some(*instance),
            _ => None,
        });
        assert_eq!(broken.await, InstanceId(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_one_http2_connection() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| spec.concurrency = 64);
        let (endpoint, _) = server(|request| async move {
            let path = request.uri().path().to_owned();
            tokio::task::yield_now().await;
            http::Response::new(Body::from(path))
        })
        .await;
        platform.ready(&revision, 1, 64, endpoint);
        let http2 = platform.http2().await;
        let ask = |index: usize| {
            let mut http2 = http2.clone();
            async move {
                let uri = format!("http://hello.default.localhost/{index}");
                let request = http::Request::builder().uri(uri).body(Body::Empty).unwrap();
                let answered = Answered::read(http2.send_request(request).await.unwrap()).await;
                assert_eq!(answered.text(), format!("/{index}"));
            }
        };
        futures::future::join_all((0..200).map(ask)).await;
        assert_eq!(platform.metrics.gateway.connections.get(), 1);
    })
    .await;
}

/// An instance that answers each read of its connection with the next of `answers`,
/// and keeps the connection; counts its connections.
async fn scripted(answers: &'static [&'static str]) -> (Endpoint, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    gapless_rt::spawn(async move {
        let mut answers = answers.iter();
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0u8; 4096];
            while let Ok(1..) = stream.read(&mut bytes).await {
                let Some(answer) = answers.next() else { break };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            kept.push(stream);
        }
    });
    (endpoint, connections)
}

#[tokio::test]
async fn what_comes_before_and_behind_an_answer_is_not_the_next_one() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let (endpoint, connections) = scripted(&[
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo\
             HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nthree",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        ])
        .await;
        platform.ready(&revision, 1, 1, endpoint);
        for (expected, accepted) in [("one", 1), ("two", 1), ("three", 2), ("four", 3)] {
            let answered = platform.get("/").await;
            assert_eq!((answered.text(), answered.header("link")), (expected, ""));
            assert_eq!(connections.load(Ordering::SeqCst), accepted, "{expected}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_before_its_request_was_read_is_passed_on_whole() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let answer: &str = "HTTP/1.1 413 Too Large\r\ncontent-length: 6\r\n\r\nenough";
        let (endpoint, connections) = scripted(Box::leak(Box::new([answer; 2]))).await;
        platform.ready(&revision, 1, 1, endpoint);
        for round in 1..=2 {
            let mut client = TcpStream::connect(platform.address).await.unwrap();
            let head = "POST / HTTP/1.1\r\nhost: hello.default.localhost\r\n\
                        content-length: 1000000\r\n\r\nbegun";
            client.write_all(head.as_bytes()).await.unwrap();
            let mut text = String::new();
            while !text.ends_with("enough") {
                text.push(char::from(client.read_u8().await.unwrap()));
            }
            assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
            platform.until(|| platform.in_flight() == 0).await;
            assert_eq!(connections.load(Ordering::SeqCst), round, "half a request stays on it");
        }
    })
    .await;
}

#[tokio::test]
async fn a_late_answer_on_a_kept_connection_is_504_and_closes_it() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| spec.timeout.0 = Duration::from_millis(100));
        let answer: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        // It answers twice, then reads on and says nothing.
        let (endpoint, connections) = scripted(Box::leak(Box::new([answer; 2]))).await;
        platform.ready(&revision, 1, 1, endpoint);
        assert_eq!(platform.get("/").await.text(), "hi");
        // The alarm set for the first request is still running.
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(platform.get("/").await.text(), "hi");
        let began = platform.clock.now();
        let late = platform.get("/").await;
        assert_eq!(late.status(), 504);
        assert!(late.error()["message"].as_str().unwrap().contains("0.1s (spec.timeout)"));
        assert!(platform.clock.now() - began >= Duration::from_millis(100), "too early");
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        platform.until(|| platform.in_flight() == 0).await;
    })
    .await;
}
