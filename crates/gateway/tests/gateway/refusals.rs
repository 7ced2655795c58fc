//! Every answer that is the gateway's own says why, whose fault it is, and when
//! to come back.

use std::sync::Arc;
use std::time::Duration;

use gapless_gateway::GatewayConfig;
use gapless_proto::{Body, CallError, GatewayLink, InstanceFact, StartsBlocked};
use gapless_types::{FunctionKey, InstanceId, Reason, Span};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::platform::{Answered, Platform, Told, local, request, says, within};

fn expect(answered: &Answered, status: u16, reason: &str, fault: &str) {
    assert_eq!(answered.status(), status, "{}", answered.text());
    let error = answered.error();
    assert_eq!((&error["reason"], &error["fault"]), (&reason.into(), &fault.into()));
}

/// An instance that answers when it is let, and the permits to let it.
fn held_back() -> (gapless_proto::Endpoint, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let gate = permits.clone();
    let endpoint = local(move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(gapless_proto::Response::new(Body::from("done")))
        }
    });
    (endpoint, permits)
}

#[tokio::test]
async fn a_full_queue_says_429_and_a_late_one_503() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| {
            spec.queue.size = 1;
            spec.queue.wait = Span(Duration::from_millis(50));
        });
        let (endpoint, permits) = held_back();
        platform.ready(&revision, 1, 1, endpoint);
        let overflow = async {
            platform.until(|| platform.in_flight() == 1 && platform.queued() == 0).await;
            let late = platform.get("/late");
            let full = async {
                platform.until(|| platform.queued() == 1).await;
                platform.get("/full").await
            };
            let (late, full) = tokio::join!(late, full);
            permits.add_permits(1);
            (late, full)
        };
        let (served, (late, full)) = tokio::join!(platform.get("/served"), overflow);
        assert_eq!(served.text(), "done");
        expect(&full, 429, "queue-full", "caller");
        expect(&late, 503, "queue-timeout", "platform");
        for refused in [late, full] {
            assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_gateway_says_503() {
    within(async {
        let config = GatewayConfig { in_flight_max: 1, ..GatewayConfig::default() };
        let platform = Platform::start_with(config).await;
        let revision = platform.deploy(|_| ());
        let (endpoint, permits) = held_back();
        platform.ready(&revision, 1, 8, endpoint);
        let overflow = async {
            platform.until(|| platform.in_flight() == 1).await;
            let refused = platform.get("/").await;
            permits.add_permits(1);
            refused
        };
        let (served, refused) = tokio::join!(platform.get("/"), overflow);
        assert_eq!(served.status(), 200);
        expect(&refused, 503, "gateway-full", "platform");
        platform.until(|| platform.in_flight() == 0).await;
        permits.add_permits(1);
        assert_eq!(platform.get("/").await.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn blocked_starts_refuse_with_the_cause_until_unblocked() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let block = |reason, message: &str| {
            let until = platform.clock.now() + Duration::from_secs(7);
            let blocked = StartsBlocked { until, reason, message: message.into() };
            platform.gateway.starts_blocked(&revision, Some(blocked));
        };
        // Before anybody called it: the first caller must already know.
        block(Reason::StartFailed, "exited with 1: no module named flask");
        let failed = platform.get("/").await;
        expect(&failed, 503, "start-failed", "function");
        assert_eq!(failed.error()["message"], "exited with 1: no module named flask");
        let seconds: u64 = failed.header("retry-after").parse().unwrap();
        assert!((1..=7).contains(&seconds), "{seconds}");

        block(Reason::NoCapacity, "every node is full");
        expect(&platform.get("/").await, 503, "no-capacity", "platform");

        platform.gateway.starts_blocked(&revision, None);
        let failing = async {
            platform.until(|| platform.queued() == 1).await;
            block(Reason::StartFailed, "exited again");
        };
        let (waited, ()) = tokio::join!(platform.get("/"), failing);
        expect(&waited, 503, "start-failed", "function");
        assert_eq!(waited.error()["message"], "exited again");
    })
    .await;
}

#[tokio::test]
async fn a_late_answer_is_504_and_frees_the_slot() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| spec.timeout = Span(Duration::from_millis(30)));
        platform.ready(
            &revision,
            1,
            1,
            local(|request| async move {
                if request.uri().path() == "/slow" {
                    std::future::pending::<()>().await;
                }
                Ok(gapless_proto::Response::new(Body::from("quick")))
            }),
        );
        let late = platform.get("/slow").await;
        expect(&late, 504, "timeout", "function");
        assert!(late.error()["message"].as_str().unwrap().contains("0.03s"), "{}", late.text());
        assert_eq!(platform.get("/").await.text(), "quick");
    })
    .await;
}

#[tokio::test]
async fn a_dead_instance_is_reported_and_the_error_is_the_functions() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let trap = local(|_| async {
            Err(CallError {
                reason: Reason::InstanceDied,
                message: "wasm trap: unreachable".into(),
                instance_is_dead: true,
                is_unsent: false,
            })
        });
        platform.ready(&revision, 1, 1, trap);
        platform.ready(&revision, 2, 1, says("alive"));
        // The one that was ready last is used first.
        assert_eq!(platform.get("/").await.text(), "alive");
        platform.gateway.instance(&revision, InstanceId(2), InstanceFact::Gone(None));
        let died = platform.get("/").await;
        expect(&died, 502, "instance-died", "function");
        assert_eq!(died.error()["message"], "wasm trap: unreachable");
        let broken = platform.told(|_, told| match told {
            Told::Broken(instance) => Some(*instance),
            _ => None,
        });
        assert_eq!(broken.await, InstanceId(1));
        platform.ready(&revision, 3, 1, says("third"));
        assert_eq!(platform.get("/").await.text(), "third");
    })
    .await;
}

#[tokio::test]
async fn a_function_deleted_while_a_request_waits_is_404() {
    within(async {
        let platform = Platform::start().await;
        platform.deploy(|_| ());
        let deleting = async {
            platform.until(|| platform.queued() == 1).await;
            platform.gateway.remove_route(&FunctionKey::new("default", "hello").unwrap());
        };
        let (waited, ()) = tokio::join!(platform.get("/"), deleting);
        expect(&waited, 404, "function-gone", "caller");
        expect(&platform.get("/").await, 404, "no-such-function", "caller");
    })
    .await;
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_refuses_new_ones() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let (endpoint, permits) = held_back();
        platform.ready(&revision, 1, 1, endpoint);
        let mut http2 = platform.http2().await;
        let draining = async {
            platform.until(|| platform.in_flight() == 1).await;
            platform.shutdown.begin();
            permits.add_permits(1);
        };
        let ask = || {
            let uri = "http://hello.default.localhost/";
            http::Request::builder().uri(uri).body(Body::Empty).unwrap()
        };
        let (served, ()) = tokio::join!(http2.send_request(ask()), draining);
        assert_eq!(Answered::read(served.unwrap()).await.text(), "done");
        assert!(platform.shutdown.finish(Duration::from_secs(60)).await);
        assert!(TcpStream::connect(platform.address).await.is_err(), "nobody listens");
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_closed_once_its_request_was_drained() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let (endpoint, permits) = held_back();
        platform.ready(&revision, 1, 1, endpoint);
        let mut stream = TcpStream::connect(platform.address).await.unwrap();
        let one = "GET / HTTP/1.1\r\nhost: hello.default.localhost\r\n\r\n";
        stream.write_all(one.as_bytes()).await.unwrap();
        platform.until(|| platform.in_flight() == 1).await;
        platform.shutdown.begin();
        permits.add_permits(1);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.ends_with("done"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    within(async {
        let platform = Platform::start().await;
        let mut stream = TcpStream::connect(platform.address).await.unwrap();
        let length = 8 << 20;
        let head = format!("POST /nobody HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // All of it is sent before a byte of the answer is read.
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
        assert!(text.contains("no-such-function"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn malformed_requests_are_refused_by_the_server() {
    within(async {
        let platform = Platform::start().await;
        let huge = format!("GET / HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "y".repeat(200_000));
        for (sent, status) in [("nonsense\r\n\r\n", "400"), (huge.as_str(), "431")] {
            let mut stream = TcpStream::connect(platform.address).await.unwrap();
            // It may be refused before all of it is sent.
            let _ = stream.write_all(sent.as_bytes()).await;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        }
        let connect = request("CONNECT", "hello.default.localhost:80", Body::Empty);
        platform.deploy(|_| ());
        expect(&platform.send(connect).await, 400, "bad-request", "caller");
    })
    .await;
}
