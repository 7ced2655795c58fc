//! Which function answers, what it gets to see, and what the caller learns.

use gapless_proto::{Body, Response, RouteReadiness};
use gapless_types::Route;
use serde_json::{Value, json};

use crate::platform::{Answered, Platform, local, request, says, within};

/// An instance that answers with what it was sent.
fn mirror() -> gapless_proto::Endpoint {
    local(|request| async move {
        let headers: serde_json::Map<String, Value> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
            .collect();
        let seen = json!({
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "headers": headers,
        });
        let mut response = Response::new(Body::from(seen.to_string()));
        let headers = response.headers_mut();
        headers.insert("connection", "x-private".parse().unwrap());
        headers.insert("x-private", "of one hop".parse().unwrap());
        headers.insert("keep-alive", "timeout=5".parse().unwrap());
        headers.insert("x-public", "yes".parse().unwrap());
        Ok(response)
    })
}

async fn ask(platform: &Platform, host: &str, path: &str) -> Answered {
    let request = http::Request::builder().uri(path).header("host", host).body(Body::Empty);
    platform.send(request.unwrap()).await
}

fn seen(answered: &Answered) -> Value {
    assert_eq!(answered.status(), 200, "{}", answered.text());
    serde_json::from_slice(&answered.body).unwrap()
}

#[tokio::test]
async fn a_function_answers_to_its_host_its_path_and_its_own_host() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|spec| {
            spec.access.route =
                Some(Box::new(Route { host: "www.example.com".into(), path: "/".into() }));
        });
        platform.ready(&revision, 1, 8, mirror());
        for (host, path, target) in [
            ("hello.default.localhost", "/", "/"),
            ("Hello.DEFAULT.localhost:8080", "/a/b?c=d", "/a/b?c=d"),
            ("www.example.com", "/x", "/x"),
            ("127.0.0.1", "/fn/default/hello", "/"),
            ("127.0.0.1", "/fn/default/hello/", "/"),
            ("127.0.0.1", "/fn/default/hello?q=1", "/?q=1"),
            ("localhost:8080", "/fn/default/hello/a%20b/c?d=%2F", "/a%20b/c?d=%2F"),
        ] {
            let seen = seen(&ask(&platform, host, path).await);
            assert_eq!(seen["target"], target, "{host} {path}");
            assert_eq!(seen["headers"]["host"], host);
            let prefix =
                if path.starts_with("/fn/") { json!("/fn/default/hello") } else { Value::Null };
            assert_eq!(seen["headers"]["x-forwarded-prefix"], prefix, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn absolute_targets_and_http2_name_the_host_in_the_target() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.ready(&revision, 1, 8, mirror());
        let target = "http://hello.default.localhost:8080/a?b";
        let absolute = http::Request::builder().uri(target).header("host", "proxy.example");
        let absolute = platform.send(absolute.body(Body::Empty).unwrap()).await;
        let mut http2 = platform.http2().await;
        let over_http2 = http::Request::builder().uri(target).body(Body::Empty).unwrap();
        let over_http2 = Answered::read(http2.send_request(over_http2).await.unwrap()).await;
        for answered in [absolute, over_http2] {
            let seen = seen(&answered);
            assert_eq!(seen["target"], "/a?b");
            assert_eq!(seen["headers"]["host"], "hello.default.localhost:8080");
        }
    })
    .await;
}

#[tokio::test]
async fn headers_of_one_hop_stay_there_and_the_others_pass() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.ready(&revision, 1, 8, mirror());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut request = request("GET", "/", Body::Empty);
        for (name, value) in [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=9"),
            ("x-end", "2"),
            ("traceparent", parent),
            ("forwarded", "for=192.0.2.60"),
            ("x-forwarded-for", "192.0.2.60"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let answered = platform.send(request).await;
        let headers = &seen(&answered)["headers"];
        assert_eq!(headers["x-hop"], Value::Null);
        assert_eq!(headers["keep-alive"], Value::Null);
        assert_eq!(headers["connection"], Value::Null);
        assert_eq!(headers["x-end"], "2");
        assert_eq!(headers["traceparent"], parent);
        let forwarded = "for=192.0.2.60, for=127.0.0.1;host=\"hello.default.localhost\";proto=http";
        assert_eq!(headers["forwarded"], forwarded);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.60, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "hello.default.localhost");
        assert_eq!(answered.header("x-public"), "yes");
        for gone in ["x-private", "keep-alive", "connection"] {
            assert_eq!(answered.header(gone), "", "{gone}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_gateway_explains_itself_where_no_function_answers() {
    within(async {
        let platform = Platform::start().await;
        let help = ask(&platform, "127.0.0.1:8080", "/").await;
        assert_eq!(help.status(), 200);
        assert!(help.text().contains("/fn/NAMESPACE/NAME/"), "{}", help.text());
        assert_eq!(ask(&platform, "anything", "/healthz").await.status(), 200);
        for (host, path) in [("nobody.default.localhost", "/"), ("localhost", "/fn/default/nobody")]
        {
            let answered = ask(&platform, host, path).await;
            assert_eq!(answered.status(), 404);
            let error = answered.error();
            assert_eq!(
                (&error["reason"], &error["fault"]),
                (&json!("no-such-function"), &json!("caller"))
            );
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("NAME.NAMESPACE.localhost"), "{message}");
        }
    })
    .await;
}

/// The names of the stages, each of which must have a duration in milliseconds.
fn stages(answered: &Answered) -> Vec<String> {
    let stage = |text: &str| {
        let (name, took) = text.trim().split_once(";dur=").unwrap();
        assert!(took.parse::<f64>().unwrap() >= 0.0, "{text}");
        name.to_owned()
    };
    answered.header("server-timing").split(',').map(stage).collect()
}

#[tokio::test]
async fn the_answer_tells_its_stages_and_whether_it_waited_for_a_start() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let starting = async {
            platform.demanded(1).await;
            platform.ready(&revision, 0xabc, 1, says("hi"));
        };
        let (cold, ()) = tokio::join!(platform.get("/"), starting);
        let all = ["queue", "place", "fetch", "create", "boot", "init", "execute"];
        assert_eq!(stages(&cold), all);
        assert!(cold.header("server-timing").contains("boot;dur=4.000"));
        assert_eq!(cold.header("x-gapless-start"), "cold");
        assert_eq!(cold.header("x-gapless-instance"), "i000abc");
        assert_eq!(cold.header("x-gapless-revision"), "hello-00001");
        let warm = platform.get("/").await;
        assert_eq!(stages(&warm), ["queue", "execute"]);
        assert_eq!(warm.header("x-gapless-start"), "warm");
    })
    .await;
}

/// The value of one series. Every line must be well formed.
fn value_of(exposition: &str, series: &str) -> Option<f64> {
    let mut found = None;
    let lines: Vec<&str> = exposition.lines().collect();
    let (last, lines) = lines.split_last().unwrap();
    assert_eq!(*last, "# EOF");
    for line in lines {
        if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(!name.contains('{') || name.ends_with('}'), "{line}");
        if name == series {
            found = Some(value);
        }
    }
    found
}

#[tokio::test]
async fn what_happened_is_in_the_metrics() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let starting = async {
            platform.demanded(1).await;
            platform.ready(&revision, 1, 1, says("hi"));
        };
        tokio::join!(platform.get("/"), starting);
        platform.get("/").await;
        platform.get("/").await;
        ask(&platform, "localhost", "/fn/default/nobody").await;
        platform.until(|| platform.in_flight() == 0).await;
        let text = platform.metrics.encode();
        let labels = "namespace=\"default\",function=\"hello\",status=\"2xx\"";
        for (series, value) in [
            (format!("gapless_gateway_requests_total{{{labels},start=\"warm\"}}"), 2.0),
            (format!("gapless_gateway_requests_total{{{labels},start=\"cold\"}}"), 1.0),
            ("gapless_gateway_refusals_total{reason=\"no-such-function\"}".into(), 1.0),
            ("gapless_gateway_request_seconds_bucket{le=\"+Inf\",start=\"warm\"}".into(), 2.0),
            ("gapless_gateway_queue_wait_seconds_count".into(), 1.0),
            ("gapless_gateway_queued".into(), 0.0),
        ] {
            assert_eq!(value_of(&text, &series), Some(value), "{series} in\n{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_function_being_prepared_is_waited_for_and_a_refused_one_is_not() {
    within(async {
        let platform = Platform::start().await;
        let prepare = |readiness| platform.deploy_as("hello", 1, readiness, |_| ());
        let revision = prepare(RouteReadiness::Preparing);
        let starting = async {
            platform.demanded(1).await;
            prepare(RouteReadiness::Ready);
            platform.ready(&revision, 1, 1, says("hi"));
        };
        let (answered, ()) = tokio::join!(platform.get("/"), starting);
        assert_eq!((answered.status(), answered.text()), (200, "hi"));

        let prepare = |readiness| platform.deploy_as("hello", 2, readiness, |_| ());
        prepare(RouteReadiness::Preparing);
        let failing = async {
            platform.until(|| platform.queued() == 1).await;
            prepare(RouteReadiness::Failed("not a component: bad magic".into()));
        };
        let (waited, ()) = tokio::join!(platform.get("/"), failing);
        for answered in [waited, platform.get("/").await] {
            assert_eq!(answered.status(), 503);
            let error = answered.error();
            assert_eq!(error["reason"], "not-ready");
            assert_eq!(error["fault"], "function");
            assert_eq!(error["message"], "not a component: bad magic");
            assert_eq!(error["function"], "default/hello");
            assert_eq!(error["revision"], "hello-00002");
        }
    })
    .await;
}
