//! Waiting for a slot: who gets it, and what becomes of those who do not wait on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gapless_proto::{Body, Endpoint, GatewayLink, InstanceFact, Response, RouteReadiness};
use gapless_types::{InstanceId, KeepAlive, Span};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::platform::{Answered, Platform, Told, local, request, says, within};

const HEAD: &str = "HTTP/1.1\r\nhost: hello.default.localhost\r\n";

/// Opens a connection and sends `text`.
async fn raw(platform: &Platform, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(platform.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_leaves_no_trace() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        for sent in [
            format!("GET / {HEAD}\r\n"),
            // Its end can be seen only behind the body.
            format!("POST / {HEAD}content-length: 5\r\n\r\nhello"),
            format!("POST / {HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            // The body itself breaks off.
            format!("POST / {HEAD}content-length: 9\r\n\r\nhello"),
        ] {
            let stream = raw(&platform, &sent).await;
            platform.until(|| platform.queued() == 1).await;
            drop(stream);
            platform.until(|| platform.queued() == 0 && platform.in_flight() == 0).await;
        }
        platform.ready(&revision, 1, 1, says("free"));
        assert_eq!(platform.get("/").await.text(), "free");
    })
    .await;
}

#[tokio::test]
async fn a_body_read_while_its_request_waited_arrives_whole() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let echo = local(|request| async move {
            let length = request.headers().get("content-length").cloned();
            let whole = request.into_body().collect().await.unwrap().to_bytes();
            let mut response = Response::new(Body::from(whole));
            if let Some(length) = length {
                response.headers_mut().insert("x-length", length);
            }
            Ok(response)
        });
        let big: Bytes = (0..3_000_000u32).map(|index| index as u8).collect();
        let frames = [Bytes::from_static(b"one "), Bytes::from_static(b"two")];
        let frames = frames.map(|frame| Ok::<_, std::convert::Infallible>(Frame::data(frame)));
        let chunked = Body::boxed(StreamBody::new(futures::stream::iter(frames)));
        let sending = async {
            tokio::join!(
                platform.send(request("POST", "/", Body::from("small"))),
                platform.send(request("POST", "/", Body::from(big.clone()))),
                platform.send(request("POST", "/", chunked)),
                platform.get("/"),
            )
        };
        let starting = async {
            platform.until(|| platform.queued() == 4).await;
            platform.ready(&revision, 1, 1, echo);
        };
        let ((small, large, chunked, none), ()) = tokio::join!(sending, starting);
        assert_eq!((small.text(), small.header("x-length")), ("small", "5"));
        assert_eq!(large.body, big);
        assert_eq!((chunked.text(), chunked.header("x-length")), ("one two", ""));
        assert_eq!(none.text(), "");
    })
    .await;
}

/// Says when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_is_served_frees_its_slot() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let dropped = Arc::new(Notify::new());
        let seen = dropped.clone();
        let endpoint = local(move |request| {
            let dropped = Dropped(seen.clone());
            async move {
                if request.uri().path() == "/head" {
                    let _held = dropped;
                    std::future::pending::<()>().await;
                } else if request.uri().path() == "/body" {
                    let endless = futures::stream::poll_fn(move |_| {
                        let _held = &dropped;
                        std::task::Poll::<Option<Result<Frame<Bytes>, std::io::Error>>>::Pending
                    });
                    return Ok(Response::new(Body::boxed(StreamBody::new(endless))));
                }
                Ok(Response::new(Body::from("free")))
            }
        });
        platform.ready(&revision, 1, 1, endpoint);
        for path in ["/head", "/body"] {
            let mut stream = raw(&platform, &format!("GET {path} {HEAD}\r\n")).await;
            platform.until(|| platform.in_flight() == 1).await;
            if path == "/body" {
                let mut head = [0u8; 12];
                stream.read_exact(&mut head).await.unwrap();
                assert_eq!(&head, b"HTTP/1.1 200");
            }
            drop(stream);
            dropped.notified().await;
            platform.until(|| platform.in_flight() == 0).await;
        }
        assert_eq!(platform.get("/").await.text(), "free");
    })
    .await;
}

/// An instance that says when it serves more than one at a time.
fn strict(name: &'static str, served: Arc<AtomicUsize>) -> Endpoint {
    let busy = Arc::new(AtomicUsize::new(0));
    local(move |_| {
        let (busy, served) = (busy.clone(), served.clone());
        async move {
            let others = busy.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(200)).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            served.fetch_add(1, Ordering::SeqCst);
            let text = if others == 0 { name } else { "overloaded" };
            Ok(Response::new(Body::from(text)))
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_served_whole_and_no_slot_serves_two() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let served = Arc::new(AtomicUsize::new(0));
        let starting = async {
            platform.until(|| platform.queued() > 0).await;
            platform.ready(&revision, 1, 1, strict("one", served.clone()));
            platform.ready(&revision, 2, 1, strict("two", served.clone()));
        };
        let burst = futures::future::join_all((0..200).map(|_| platform.get("/")));
        let (answers, ()) = tokio::join!(burst, starting);
        for answered in &answers {
            assert!(["one", "two"].contains(&answered.text()), "{}", answered.text());
        }
        assert_eq!(served.load(Ordering::SeqCst), 200);
        platform.until(|| platform.in_flight() == 0 && platform.queued() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn another_revision_takes_over_without_losing_a_request() {
    within(async {
        let platform = Platform::start().await;
        let old = platform.deploy(|_| ());
        let release = Arc::new(Notify::new());
        let gate = release.clone();
        let slow = local(move |_| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                Ok(Response::new(Body::from("old")))
            }
        });
        platform.ready(&old, 1, 1, slow);
        let replacing = async {
            platform.until(|| platform.in_flight() == 3 && platform.queued() == 2).await;
            let new = platform.deploy_as("hello", 2, RouteReadiness::Ready, |_| ());
            platform.ready(&new, 2, 1, says("new"));
            release.notify_one();
        };
        let three = futures::future::join_all((0..3).map(|_| platform.get("/")));
        let (answers, ()) = tokio::join!(three, replacing);
        let mut texts: Vec<_> = answers.iter().map(Answered::text).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["new", "new", "old"], "what is in service ends where it began");
        assert!(
            answers.iter().any(|answered| answered.header("x-gapless-revision") == "hello-00002")
        );

        // What the old revision leaves behind is given back.
        platform.gateway.instance(&old, InstanceId(1), InstanceFact::Retiring);
        platform
            .told(|of, told| (*of == old && *told == Told::Released(InstanceId(1))).then_some(()))
            .await;

        // A rollback: the old revision serves again.
        let old = platform.deploy(|_| ());
        platform.ready(&old, 3, 1, says("old again"));
        assert_eq!(platform.get("/").await.text(), "old again");
    })
    .await;
}

#[tokio::test]
async fn a_rollback_before_the_old_revision_was_finished_keeps_its_instances() {
    within(async {
        let platform = Platform::start().await;
        let old = platform.deploy(|_| ());
        platform.ready(&old, 1, 1, says("kept"));
        assert_eq!(platform.get("/").await.text(), "kept");
        platform.deploy_as("hello", 2, RouteReadiness::Preparing, |_| ());
        platform.deploy(|_| ());
        assert_eq!(platform.get("/").await.text(), "kept");
    })
    .await;
}

#[tokio::test]
async fn a_retiring_instance_is_released_after_its_last_request() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let release = Arc::new(Notify::new());
        let gate = release.clone();
        let slow = local(move |_| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                Ok(Response::new(Body::from("last")))
            }
        });
        platform.ready(&revision, 1, 2, slow);
        let retiring = async {
            platform.until(|| platform.in_flight() == 1).await;
            platform.gateway.instance(&revision, InstanceId(1), InstanceFact::Retiring);
            platform.ready(&revision, 2, 1, says("next"));
            assert_eq!(platform.get("/").await.text(), "next");
            release.notify_one();
        };
        let (last, ()) = tokio::join!(platform.get("/"), retiring);
        assert_eq!(last.text(), "last");
        let served = platform.told(|_, told| match told {
            Told::Served(instance, served) => Some((*instance, *served)),
            _ => None,
        });
        let (instance, served) = served.await;
        assert_eq!((instance, served.requests), (InstanceId(1), 1));
        assert!(served.mean().is_some_and(|mean| !mean.is_zero() && mean == served.took));
        let released = platform.told(|_, told| match told {
            Told::Released(instance) => Some(*instance),
            _ => None,
        });
        assert_eq!(released.await, InstanceId(1), "once what it served was told");
    })
    .await;
}

#[tokio::test]
async fn an_unused_instance_is_reported_idle() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform
            .deploy(|spec| spec.scale.keep_alive = KeepAlive::For(Span(Duration::from_millis(20))));
        platform.ready(&revision, 1, 1, says("hi"));
        platform.get("/").await;
        let idle = platform.told(|_, told| (*told == Told::Idle(InstanceId(1))).then_some(()));
        idle.await;
    })
    .await;
}

#[tokio::test]
async fn room_is_made_by_the_function_that_keeps_its_instance_least() {
    within(async {
        let platform = Platform::start().await;
        let keep = |seconds| KeepAlive::For(Span(Duration::from_secs(seconds)));
        let long = platform
            .deploy_as("long", 1, RouteReadiness::Ready, |spec| spec.scale.keep_alive = keep(900));
        let short = platform
            .deploy_as("short", 1, RouteReadiness::Ready, |spec| spec.scale.keep_alive = keep(60));
        platform.ready(&long, 1, 1, says("long"));
        platform.ready(&short, 2, 1, says("short"));
        let idle = async || {
            platform.told(|of, told| matches!(told, Told::Idle(_)).then(|| of.clone())).await
        };
        platform.gateway.reclaim(1);
        assert_eq!(idle().await, short);
        platform.gateway.reclaim(5);
        assert_eq!(idle().await, long);
    })
    .await;
}

#[tokio::test]
async fn facts_of_nobody_known_are_answered() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.deploy_as("hello", 2, RouteReadiness::Ready, |_| ());
        // The first revision was never called and is forgotten.
        platform.ready(&revision, 1, 1, says("late"));
        let released = platform.told(|of, told| (*of == revision).then(|| told.clone()));
        assert_eq!(released.await, Told::Released(InstanceId(1)));
    })
    .await;
}
