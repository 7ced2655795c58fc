//! Requests divided among a function's revisions, and changes of that under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use gapless_proto::{
    Body, CallError, Endpoint, FunctionRoute, GatewayLink, InstanceFact, Response, RouteReadiness,
    RouteTag, RouteTarget, StartsBlocked,
};
use gapless_types::{
    Fault, FunctionKey, FunctionSpec, InstanceId, Outcomes, Percent, Probe, Reason, Revision,
    RevisionName, Span,
};

use crate::platform::{Answered, Platform, Told, local, request, says, within};

fn key() -> FunctionKey {
    FunctionKey::new("default", "hello").unwrap()
}

fn name(generation: u64) -> RevisionName {
    RevisionName::new(&key(), generation)
}

fn target_with(
    generation: u64,
    percent: u32,
    change: impl FnOnce(&mut FunctionSpec),
) -> RouteTarget {
    let mut spec = FunctionSpec::with_defaults();
    spec.concurrency = 8;
    spec.queue.wait = Span(Duration::from_secs(600));
    change(&mut spec);
    RouteTarget {
        revision: Arc::new(Revision { name: name(generation), function: key(), spec: spec.into() }),
        weight: Percent::whole(percent),
        readiness: RouteReadiness::Ready,
    }
}

fn target(generation: u64, percent: u32) -> RouteTarget {
    target_with(generation, percent, |_| ())
}

/// States a route of `default/hello`.
fn set(platform: &Platform, targets: Vec<RouteTarget>, tags: &[(&str, u64)]) {
    let tag = |(tag, generation): &(&str, u64)| RouteTag {
        tag: (*tag).into(),
        revision: name(*generation),
    };
    let tags = tags.iter().map(tag).collect();
    platform.gateway.set_route(FunctionRoute { function: key(), targets, tags });
}

async fn tagged(platform: &Platform, host: &str, path: &str) -> Answered {
    let mut request = request("GET", path, Body::Empty);
    request.headers_mut().insert("host", host.parse().unwrap());
    platform.send(request).await
}

#[tokio::test]
async fn requests_are_divided_by_weight_and_say_by_whom_they_were_served() {
    within(async {
        let platform = Platform::start().await;
        set(&platform, vec![target(1, 80), target(2, 20), target(3, 0)], &[]);
        for (generation, text) in [(1, "one"), (2, "two"), (3, "three")] {
            platform.ready(&name(generation), generation, 8, says(text));
        }
        let mut counts = BTreeMap::new();
        for _ in 0..100 {
            let answered = platform.get("/").await;
            let by = answered.header("x-gapless-revision").to_owned();
            *counts.entry((by, answered.text().to_owned())).or_insert(0) += 1;
        }
        let counts: Vec<_> = counts.iter().map(|((by, text), n)| (&**by, &**text, *n)).collect();
        assert_eq!(counts, [("hello-00001", "one", 80), ("hello-00002", "two", 20)]);
    })
    .await;
}

#[tokio::test]
async fn a_tag_is_a_host_and_a_path_of_one_revision() {
    within(async {
        let platform = Platform::start().await;
        let tags = [("live", 1), ("next", 2)];
        set(&platform, vec![target(1, 100), target(2, 0)], &tags);
        platform.ready(&name(1), 1, 8, says("one"));
        let seen = local(|request| async move {
            let prefix = request.headers().get("x-forwarded-prefix").cloned();
            let prefix = prefix.map_or("-".into(), |p| p.to_str().unwrap().to_owned());
            Ok(Response::new(Body::from(format!("two {} {prefix}", request.uri().path()))))
        });
        platform.ready(&name(2), 2, 8, seen);
        let by_host = tagged(&platform, "next---hello.default.localhost", "/a").await;
        assert_eq!(by_host.text(), "two /a -");
        let by_path = tagged(&platform, "localhost", "/fn/default/next---hello/a").await;
        assert_eq!(by_path.text(), "two /a /fn/default/next---hello");
        let live = tagged(&platform, "live---hello.default.localhost", "/a").await;
        assert_eq!(live.text(), "one");

        let unknown = tagged(&platform, "old---hello.default.localhost", "/a").await;
        assert_eq!(unknown.status(), 404);
        let error = unknown.error();
        assert_eq!((&error["reason"], &error["fault"]), (&"no-such-tag".into(), &"caller".into()));
        let message = "the function has no tag \"old\"; its tags are live, next (spec.traffic)";
        assert_eq!(error["message"], message);
        let nobody = tagged(&platform, "next---other.default.localhost", "/a").await;
        assert_eq!(nobody.error()["reason"], "no-such-function");
    })
    .await;
}

#[tokio::test]
async fn a_revision_in_preparation_leaves_its_share_to_the_others() {
    within(async {
        let platform = Platform::start().await;
        let preparing = || RouteTarget { readiness: RouteReadiness::Preparing, ..target(2, 50) };
        set(&platform, vec![target(1, 50), preparing()], &[]);
        platform.ready(&name(1), 1, 8, says("one"));
        for _ in 0..10 {
            assert_eq!(platform.get("/").await.text(), "one");
        }
        // All are in preparation: requests wait, and are served by who is ready first.
        set(&platform, vec![preparing()], &[]);
        let readying = async {
            platform.until(|| platform.queued() == 1).await;
            set(&platform, vec![target(1, 100)], &[]);
            platform.ready(&name(1), 3, 8, says("one again"));
        };
        let (answered, ()) = tokio::join!(platform.get("/"), readying);
        assert_eq!(answered.text(), "one again");
    })
    .await;
}

/// An instance that is busy for a moment, so that requests wait.
fn busy(generation: u64) -> Endpoint {
    local(move |_| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(Response::new(Body::from(generation.to_string())))
    })
}

/// Plays control: whenever the gateway wants an instance of a revision, it has one,
/// and what is to be given back is taken back.
async fn serve_demand(platform: &Platform, instances: &AtomicU64) {
    loop {
        let heard = platform.told(|of, told| Some((of.clone(), told.clone()))).await;
        if let (of, Told::Demand(wanted @ 1..)) = heard {
            let (_, generation) = of.short().rsplit_once('-').unwrap();
            for _ in 0..wanted.min(2) {
                let id = instances.fetch_add(1, Ordering::SeqCst);
                platform.ready(&of, id, 8, busy(generation.parse().unwrap()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_routes_change_under_load() {
    within(async {
        let platform = Platform::start().await;
        let (instances, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
        let answers = AtomicU64::new(0);
        let tags = [("always", 9)];
        set(&platform, vec![target(1, 100), target(9, 0)], &tags);
        let changing = async {
            let mut round = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                // Whatever a rollout, a rollback and an impatient person do: revisions
                // come, change weights, are dropped with requests waiting, come back.
                let (a, b) = (1 + round % 3, 1 + (round + 1) % 3);
                let percent = (round * 7 % 101) as u32;
                let mut targets = match round % 4 {
                    0 => vec![target(a, 100)],
                    1 => vec![target(a, 100 - percent), target(b, percent)],
                    2 => {
                        vec![RouteTarget { readiness: RouteReadiness::Preparing, ..target(b, 100) }]
                    }
                    _ => vec![target(4 + round % 5, 50), target(b, 50)],
                };
                targets.push(target(9, 0));
                set(&platform, targets, &tags);
                // A change waits for some answers, so that a slow machine changes less often,
                // save where nobody can answer.
                let (before, is_stuck) = (answers.load(Ordering::SeqCst), round % 4 == 2);
                tokio::time::sleep(Duration::from_millis(2)).await;
                platform
                    .until(|| {
                        let since = answers.load(Ordering::SeqCst) - before;
                        is_stuck || since >= 20 || is_over.load(Ordering::SeqCst)
                    })
                    .await;
                round += 1;
            }
            round
        };
        let load = async {
            let client = async |index: usize| {
                let mut sender = platform.http1().await;
                let host = match index % 8 {
                    0 => "always---hello.default.localhost",
                    _ => "hello.default.localhost",
                };
                for _ in 0..15 {
                    let mut request = request("GET", "/", Body::Empty);
                    request.headers_mut().insert("host", host.parse().unwrap());
                    sender.ready().await.unwrap();
                    let answered = sender.send_request(request).await.unwrap();
                    let answered = Answered::read(answered).await;
                    assert_eq!(answered.status(), 200, "{}", answered.text());
                    answers.fetch_add(1, Ordering::SeqCst);
                    let by = answered.header("x-gapless-revision");
                    assert_eq!(by, name(answered.text().parse().unwrap()).short());
                    assert!(!index.is_multiple_of(8) || by == "hello-00009", "a tag led to {by}");
                }
            };
            join_all((0..200).map(client)).await;
            is_over.store(true, Ordering::SeqCst);
        };
        let control = serve_demand(&platform, &instances);
        let rounds = tokio::select! {
            (rounds, ()) = async { tokio::join!(changing, load) } => rounds,
            () = control => unreachable!("it goes on for ever"),
        };
        assert!(rounds > 20, "routes changed {rounds} times");
        platform.until(|| platform.in_flight() == 0 && platform.queued() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn outcomes_tell_the_functions_faults_of_each_revision() {
    within(async {
        let platform = Platform::start().await;
        set(&platform, vec![target(1, 50), target(2, 50)], &[]);
        assert_eq!(platform.gateway.outcomes(&name(1)), Outcomes::default());
        assert_eq!(platform.gateway.outcomes(&name(7)), Outcomes::default(), "unknown");
        platform.ready(&name(1), 1, 8, says("fine"));
        let calls = Arc::new(AtomicU64::new(0));
        let failing = local(move |_| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                match call {
                    0 => Ok(http::Response::builder().status(500).body(Body::Empty).unwrap()),
                    1 => Ok(http::Response::builder().status(404).body(Body::Empty).unwrap()),
                    _ => Err(CallError {
                        reason: Reason::InstanceDied,
                        message: "trapped".to_owned(),
                        instance_is_dead: false,
                        is_unsent: false,
                    }),
                }
            }
        });
        platform.ready(&name(2), 2, 8, failing);
        for _ in 0..6 {
            platform.get("/").await;
        }
        let (old, new) = (platform.gateway.outcomes(&name(1)), platform.gateway.outcomes(&name(2)));
        assert_eq!((old.requests, old.errors, old.latencies.count()), (3, 0, 3));
        assert_eq!((new.requests, new.errors, new.latencies.count()), (3, 2, 3));

        // Starts that fail count against it, too.
        platform.gateway.instance(&name(2), InstanceId(2), InstanceFact::Gone(None));
        let blocked = StartsBlocked {
            until: platform.clock.now() + Duration::from_secs(60),
            reason: Reason::StartFailed,
            message: "exit 1".into(),
        };
        platform.gateway.starts_blocked(&name(2), Some(blocked));
        platform.get("/").await;
        platform.get("/").await;
        let new = platform.gateway.outcomes(&name(2));
        assert_eq!((new.requests, new.errors, new.latencies.count()), (4, 3, 3));
    })
    .await;
}

#[tokio::test]
async fn a_probe_starts_an_instance_and_is_answered_by_it() {
    within(async {
        let platform = Platform::start().await;
        let probed = |spec: &mut FunctionSpec| {
            let timeout = Span(Duration::from_secs(60));
            spec.probe = Some(Box::new(Probe { path: "/healthz?full=1".to_owned(), timeout }));
        };
        let new = || target_with(2, 0, probed);
        let status_of = |text: &'static str, status: u16| {
            local(move |request| async move {
                assert_eq!(request.uri(), "/healthz?full=1");
                assert_eq!(request.headers()["host"], "hello.default.localhost");
                let answer = http::Response::builder().status(status);
                Ok(answer.body(Body::from(text)).unwrap())
            })
        };
        set(&platform, vec![target(1, 100), new()], &[]);
        let starting = async {
            platform.demanded(1).await;
            platform.ready(&name(2), 1, 1, status_of("fine", 204));
        };
        let (passed, ()) = tokio::join!(platform.gateway.probe(&name(2)), starting);
        assert_eq!(passed, Ok(()));
        platform.gateway.instance(&name(2), InstanceId(1), InstanceFact::Gone(None));
        platform.ready(&name(2), 2, 1, status_of("sick", 503));
        let failed = platform.gateway.probe(&name(2)).await.unwrap_err();
        assert_eq!(failed.fault, Fault::Function);
        let message = "GET /healthz?full=1 was answered with 503 Service Unavailable, and must be \
                       with 200 to 399 (spec.probe)";
        assert_eq!(failed.message, message);
        assert_eq!(platform.gateway.outcomes(&name(2)), Outcomes::default());

        // Without spec.probe an instance that is ready is enough; one that cannot start is not.
        let starting = async {
            platform.demanded(1).await;
            platform.ready(&name(1), 3, 1, says("never asked"));
        };
        let (passed, ()) = tokio::join!(platform.gateway.probe(&name(1)), starting);
        assert_eq!(passed, Ok(()));
        set(&platform, vec![target(1, 100), target(3, 0)], &[]);
        let failing = async {
            let wants = |of: &RevisionName, told: &Told| {
                (*of == name(3) && *told == Told::Demand(1)).then_some(())
            };
            platform.told(wants).await;
            let blocked = StartsBlocked {
                until: platform.clock.now() + Duration::from_secs(60),
                reason: Reason::StartFailed,
                message: "exit 1: no such module".into(),
            };
            platform.gateway.starts_blocked(&name(3), Some(blocked));
        };
        let (failed, ()) = tokio::join!(platform.gateway.probe(&name(3)), failing);
        let failed = failed.unwrap_err();
        assert_eq!((failed.fault, &*failed.message), (Fault::Function, "exit 1: no such module"));
        let unknown = platform.gateway.probe(&name(8)).await.unwrap_err();
        assert_eq!(unknown.fault, Fault::Platform);
    })
    .await;
}
