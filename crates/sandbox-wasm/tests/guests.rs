//! What guests do and may not do: trap, loop, grow, call out, wait, be abandoned.

mod support;

use std::time::Duration;

use gapless_proto::Body;
use gapless_sandbox::LogStream;
use gapless_types::{Reason, Span};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};
use support::{PATIENCE, Probe, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_ends_its_request_only() {
    for reuse in [false, true] {
        let probe = Probe::start(|spec| spec.reuse = reuse).await;
        let error = probe.get("/die").await.expect_err("no answer");
        assert_eq!(error.reason, Reason::InstanceDied, "{error}");
        assert!(!error.instance_is_dead && !error.is_unsent);
        assert!(error.message.contains("trap") || error.message.contains("exited"), "{error}");
        assert!(!error.message.contains('\n'), "{error}");
        assert!(probe.logs.of(LogStream::Platform).contains(&error.message));
        assert_eq!(probe.get("/hello").await.unwrap(), (200, "hello\n".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_meets_its_timeout() {
    let probe = Probe::start(|spec| spec.timeout = Span(Duration::from_millis(50))).await;
    let error = probe.get("/spin").await.expect_err("no answer");
    assert_eq!(error.reason, Reason::Timeout);
    assert_eq!(probe.get("/hello").await.unwrap().0, 200);
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_lets_others_run() {
    let probe = Probe::start(|spec| {
        spec.timeout = Span(Duration::from_secs(600));
        spec.concurrency = 2;
    })
    .await;
    let others = async {
        for _ in 0..10 {
            assert_eq!(probe.get("/hello").await.unwrap().0, 200);
        }
    };
    // On one thread: the loop is polled first, and must let go of it each time.
    tokio::select! {
        biased;
        answer = probe.get("/spin") => panic!("a loop without end ended: {answer:?}"),
        () = others => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_a_loop() {
    let probe = Probe::start(|spec| spec.timeout = Span(Duration::from_secs(600))).await;
    let endpoint = probe.started.sandbox.endpoint();
    let gapless_proto::Endpoint::Local(service) = endpoint else { panic!("local") };
    let request = http::Request::get("/spin").body(Body::Empty).expect("a request");
    let call = tokio::spawn(async move { service.call(request).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    probe.started.sandbox.stop(Duration::ZERO).await;
    let error = tokio::time::timeout(PATIENCE, call).await.expect("an end").unwrap().unwrap_err();
    assert_eq!(error.reason, Reason::InstanceDied, "{error}");
    assert_eq!(probe.driver.figures().stores, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_meets_its_timeout() {
    let probe = Probe::start(|spec| spec.timeout = Span(Duration::from_millis(50))).await;
    let error = probe.get("/sleep/600000").await.expect_err("no answer");
    assert_eq!(error.reason, Reason::Timeout);
    assert_eq!(error.message, "the function did not answer within 0.05 s");
    assert_eq!(probe.get("/sleep/1").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_limited() {
    let probe = Probe::start(|spec| spec.resources.memory.0 = 32 << 20).await;
    assert_eq!(probe.get("/memory/8").await.unwrap().0, 200);
    let error = probe.get("/memory/64").await.expect_err("no answer");
    assert_eq!(error.reason, Reason::InstanceDied);
    assert!(error.message.contains("limit of 32 MiB"), "{error}");
    assert_eq!(probe.get("/memory/8").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_is_fresh_unless_it_is_kept() {
    let fresh = Probe::start(|_| ()).await;
    let kept = Probe::start(|spec| spec.reuse = true).await;
    for round in 1..=5 {
        assert_eq!(fresh.get("/count").await.unwrap().1.trim(), "1");
        assert_eq!(kept.get("/count").await.unwrap().1.trim(), round.to_string());
    }
}

/// Answers one HTTP request with `pong`.
async fn listen() -> (std::net::SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.expect("a request");
            request.push(byte);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\npong";
        stream.write_all(answer).await.expect("an answer");
        String::from_utf8_lossy(&request).into_owned()
    });
    (address, served)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbound_requests_reach_allowed_hosts_only() {
    let (address, served) = listen().await;
    let closed = Probe::start(|spec| spec.access.hosts = vec!["127.0.0.1:1".to_owned()]).await;
    let (status, said) = closed.get(&format!("/fetch/{address}/ping")).await.unwrap();
    assert_eq!(status, 502);
    assert!(said.to_lowercase().contains("denied"), "{said}");
    let noted = closed.logs.of(LogStream::Platform);
    assert!(noted.iter().any(|line| line.contains(&address.to_string())), "{noted:?}");

    let open = Probe::start(|spec| spec.access.hosts = vec![address.to_string()]).await;
    let answer = open.get(&format!("/fetch/{address}/ping")).await.unwrap();
    assert_eq!(answer, (200, "pong".to_owned()));
    let request = served.await.expect("served");
    assert!(request.starts_with("GET /ping HTTP/1.1"), "{request}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_ends_the_guest() {
    let probe = Probe::start(|_| ()).await;
    let call = probe.call("/sleep/600000");
    let late = tokio::time::timeout(Duration::from_millis(30), call).await;
    assert!(late.is_err(), "a call that sleeps ten minutes was answered");
    probe.wait_for_stores(0).await;
    assert_eq!(probe.get("/hello").await.unwrap().0, 200);
}

/// Begins an echo whose request never ends.
async fn endless_echo(
    probe: &Probe,
) -> (http_body_util::channel::Sender<bytes::Bytes>, gapless_proto::Response) {
    let (mut sender, body) = Channel::<bytes::Bytes>::new(4);
    sender.send_data("first".into()).await.expect("room");
    let request = http::Request::post("/echo").header("content-type", "text/plain");
    let response = probe.send(request, Body::boxed(body)).await.expect("a head");
    assert_eq!(response.status(), 200);
    (sender, response)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways() {
    let probe = Probe::start(|_| ()).await;
    let (mut sender, mut response) = endless_echo(&probe).await;
    for next in ["second", "third"] {
        let frame = response.frame().await.expect("more").expect("a frame");
        assert!(!frame.into_data().expect("data").is_empty());
        sender.send_data(next.into()).await.expect("room");
    }
    drop(sender);
    assert_eq!(text(response).await, "third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_body_ends_the_guest() {
    let probe = Probe::start(|_| ()).await;
    let (_sender, mut response) = endless_echo(&probe).await;
    response.frame().await.expect("more").expect("a frame");
    assert_eq!(probe.driver.figures().stores, 1);
    drop(response);
    probe.wait_for_stores(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_does_not_keep_the_guest() {
    let probe = Probe::start(|spec| spec.timeout = Span(Duration::from_millis(100))).await;
    let (_sender, mut response) = endless_echo(&probe).await;
    probe.wait_for_stores(0).await;
    let end = async {
        loop {
            match response.frame().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    };
    let end: Option<Result<Frame<_>, _>> =
        tokio::time::timeout(PATIENCE, end).await.expect("an end");
    let error = end.expect("not a clean end").expect_err("an error");
    assert!(error.to_string().contains("within 0.1 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_seat_takes_nothing_and_says_that_nothing_was_sent() {
    let probe = Probe::start(|_| ()).await;
    let endpoint = probe.started.sandbox.endpoint();
    let Probe { driver, started, .. } = probe;
    started.sandbox.stop(Duration::from_secs(5)).await;
    assert_eq!(driver.figures().stores, 0);
    let gapless_proto::Endpoint::Local(service) = endpoint else { panic!("local") };
    let request = http::Request::get("/hello").body(Body::Empty).expect("a request");
    let error = service.call(request).await.expect_err("no answer");
    assert!(error.is_unsent && error.instance_is_dead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_seat_run_side_by_side() {
    let probe = Probe::start(|spec| spec.concurrency = 8).await;
    let calls = (0..8).map(|_| probe.get("/sleep/50"));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().0, 200);
    }
    let head = http::Request::head("/hello");
    let response = probe.send(head, Body::Empty).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_cannot_write_to_its_files_nor_leave_their_folder() {
    let probe = Probe::start(|spec| {
        spec.files.insert("motd".to_owned(), "hello".into());
    })
    .await;
    for path in ["/write/motd", "/write/new"] {
        assert_eq!(probe.get(path).await.unwrap().0, 403, "{path}");
    }
    assert_eq!(probe.get("/file/motd").await.unwrap(), (200, "hello".to_owned()));
    for path in ["/file/../motd", "/file/../../../etc/passwd", "/file//etc/passwd"] {
        assert_eq!(probe.get(path).await.unwrap().0, 404, "{path}");
    }
}
