//! What is read, what is refused, and how the refusal reads.

use serde_json::json;

use super::*;

fn function(spec: Value) -> Result<Function, Vec<FieldError>> {
    Function::from_value(json!({
        "apiVersion": "gapless.dev/v1", "kind": "Function",
        "metadata": {"name": "hello"}, "spec": spec,
    }))
}

fn only_error(spec: Value) -> String {
    let errors = function(spec).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn the_least_function_has_every_default() {
    let function = function(json!({"wasm": "hello.wasm"})).unwrap();
    assert_eq!(function.metadata.namespace, "default");
    assert_eq!(function.spec.scale.max, 100);
    assert_eq!(function.spec.timeout.to_string(), "30s");
    let shown = serde_json::to_value(&function).unwrap();
    assert_eq!(shown["spec"]["queue"], json!({"size": 1000, "wait": "10s", "order": "fifo"}));
    assert_eq!(Function::from_value(shown).unwrap(), function);
}

#[test]
fn a_misspelt_field_names_the_nearest() {
    let error = only_error(json!({"wasm": "a.wasm", "scale": {"mx": 3}}));
    assert_eq!(error, "spec.scale.mx: there is no such field; did you mean max?");
}

/// Every declared function is kept in memory, so what it takes is held to.
#[test]
fn a_function_that_says_little_takes_little() {
    let read = || function(json!({"fake": {"start": "1ms", "service": "1ms"}})).unwrap().spec;
    let (one, other) = (read(), read());
    assert!(size_of_val(&one) <= 448, "{} bytes", size_of_val(&one));
    assert!(std::sync::Arc::ptr_eq(&one.traffic, &other.traffic), "the usual traffic is shared");
    for word in [&one.queue.order, &one.start.kind, &one.scale.concurrency_target] {
        assert!(matches!(word, std::borrow::Cow::Borrowed(_)), "{word} is kept once");
    }
}

#[test]
fn what_is_missing_or_wrong_in_one_block_hides_nothing_in_another() {
    let told = |fake| {
        let errors = function(json!({"fake": fake, "scale": {"mx": 3}, "timeout": "5"}));
        errors.unwrap_err().into_iter().map(|error| error.path).collect::<Vec<_>>()
    };
    let elsewhere = ["spec.scale.mx", "spec.timeout"];
    assert_eq!(told(json!({"start": "5ms"})), [&["spec.fake.service"], &elsewhere[..]].concat());
    let wrong = told(json!({"start": 5, "service": "1ms"}));
    assert_eq!(wrong, [&["spec.fake.start"], &elsewhere[..]].concat());
}

#[test]
fn a_wrong_unit_names_the_field_and_what_is_allowed() {
    let error = only_error(json!({"wasm": "a.wasm", "timeout": "30"}));
    assert!(error.starts_with("spec.timeout: \"30\" is not a length of time"), "{error}");
    let error = only_error(json!({"wasm": "a.wasm", "resources": {"memory": "lots"}}));
    assert!(error.starts_with("spec.resources.memory: \"lots\" is not"), "{error}");
}

#[test]
fn fields_not_honoured_yet_are_refused_by_name() {
    for field in ["image", "lambda", "sidecars", "idempotent"] {
        let mut spec = json!({"wasm": "a.wasm"});
        spec[field] = json!(["x"]);
        let error = only_error(spec);
        assert!(error.starts_with(&format!("spec.{field}: is not honoured")), "{error}");
    }
    let error = only_error(json!({"wasm": "a.wasm", "queue": {"order": "deadline"}}));
    assert!(error.starts_with("spec.queue.order:"), "{error}");
}

#[test]
fn placement_reads_as_people_write_it() {
    let placement = json!({
        "require": {"zone": "a", "arch": ["amd64", "arm64"], "gpu": {"exists": false}},
        "prefer": [{"labels": {"disk": "ssd"}, "weight": 2}],
        "tolerate": ["spot", {"key": "team", "value": "x"}],
        "devices": {"kind": "gpu", "shareMillis": 500},
    });
    let read = function(json!({"wasm": "a.wasm", "placement": placement})).unwrap();
    let placement = read.spec.placement.clone().unwrap();
    assert_eq!(placement.require["zone"], crate::LabelMatch::Is("a".into()));
    assert_eq!(placement.tolerate.len(), 2);
    assert_eq!(Function::from_value(serde_json::to_value(&read).unwrap()).unwrap(), read);
    let error = only_error(json!({"wasm": "a.wasm", "placement": {"requires": {}}}));
    assert_eq!(error, "spec.placement.requires: there is no such field; did you mean require?");
    let prefer = json!([{"labels": {"a": "b"}, "weight": -1}]);
    let error = only_error(json!({"wasm": "a.wasm", "placement": {"prefer": prefer}}));
    assert!(error.starts_with("spec.placement.prefer[0].weight: found -1"), "{error}");
    let devices = json!({"kind": "gpu", "count": 2, "shareMillis": 500});
    let error = only_error(json!({"wasm": "a.wasm", "placement": {"devices": devices}}));
    assert!(error.starts_with("spec.placement.devices.count"), "{error}");
}

#[test]
fn code_is_exactly_one_kind() {
    assert!(only_error(json!({})).contains("found none"));
    let both = only_error(json!({"wasm": "a.wasm", "command": ["x"]}));
    assert!(both.contains("found wasm and command"), "{both}");
    assert!(only_error(json!({"command": []})).starts_with("spec.command:"));
    assert!(only_error(json!({"wasm": "../a.wasm"})).starts_with("spec.wasm:"));
}

#[test]
fn impossible_values_are_all_reported() {
    let spec = json!({"wasm": "a.wasm", "concurrency": 0, "scale": {"min": 5, "max": 2}});
    let errors = function(spec).unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["spec.concurrency", "spec.scale.min"]);
}

#[test]
fn missing_and_empty_documents_say_so() {
    let error = &Function::from_value(Value::Null).unwrap_err()[0];
    assert!(error.message.contains("must have apiVersion"), "{error}");
    let error = &Function::from_value(json!({"kind": "Function"})).unwrap_err()[0];
    assert_eq!(error.to_string(), "apiVersion: is missing");
}

/// Every error of a function `hello` with this `traffic`, each as `path: ...`.
fn traffic_errors(traffic: Value) -> Vec<String> {
    let read = function(json!({"wasm": "a.wasm", "traffic": traffic}));
    read.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn traffic_is_filled_in_and_read_back() {
    let shown =
        |spec: Value| serde_json::to_value(function(spec).unwrap()).unwrap()["spec"].clone();
    let all = json!([{"revision": "latest", "percent": 100}]);
    assert_eq!(shown(json!({"wasm": "a.wasm"}))["traffic"], all);
    assert_eq!(shown(json!({"wasm": "a.wasm", "traffic": [{}]}))["traffic"], all);
    let written = json!([
        {"percent": 90, "tag": "live"},
        {"revision": "hello-00002", "percent": 10},
        {"revision": "hello-100000", "tag": "old"},
    ]);
    let filled = json!([
        {"revision": "latest", "percent": 90, "tag": "live"},
        {"revision": "hello-00002", "percent": 10},
        {"revision": "hello-100000", "percent": 0, "tag": "old"},
    ]);
    assert_eq!(shown(json!({"wasm": "a.wasm", "traffic": written}))["traffic"], filled);
    let named = function(json!({"wasm": "a.wasm", "traffic": filled})).unwrap();
    let key = named.metadata.key().unwrap();
    let names = named.spec.traffic.iter().map(|target| target.revision.named(&key));
    let names: Vec<_> = names.map(|name| name.map(|name| name.to_string())).collect();
    let expected = [None, Some("default/hello-00002"), Some("default/hello-100000")];
    assert_eq!(names, expected.map(|name| name.map(str::to_owned)));
}

#[test]
fn wrong_traffic_names_the_entry() {
    let tag = "t".repeat(56);
    for (traffic, expected) in [
        (json!([]), "spec.traffic: has 0 entries, allowed are 1 to 32"),
        (json!([{"percent": 99}]), "spec.traffic: the percents sum to 99, and must sum to 100"),
        (json!([{"percent": 101}]), "spec.traffic[0].percent: found 101, allowed is 0 to 100"),
        (json!([{"percent": 3.5}]), "spec.traffic[0].percent: found 3.5, expected a whole"),
        (json!([{"percent": -1}]), "spec.traffic[0].percent: found -1, expected a whole"),
        (json!([{"procent": 1}]), "spec.traffic[0].procent: there is no such field; did you mean"),
        (json!([{"percent": 100}, {"revision": "hello-00001"}]), "spec.traffic[1].percent: is 0"),
        (
            json!([{"percent": 50}, {"percent": 50}]),
            "spec.traffic[1].revision: latest has an entry",
        ),
        (json!([{"revision": "other-00001"}]), "spec.traffic[0].revision: \"other-00001\" is no"),
        (json!([{"revision": "hello-1"}]), "spec.traffic[0].revision: \"hello-1\" is no revision"),
        (json!([{"revision": "hello-00000"}]), "spec.traffic[0].revision:"),
        (json!([{"revision": "hello-+0001"}]), "spec.traffic[0].revision:"),
        (json!([{"tag": "Live"}]), "spec.traffic[0].tag: \"Live\" is not a DNS label"),
        (json!([{"tag": tag}]), "spec.traffic[0].tag: tttt"),
        (
            json!([{"percent": 100, "tag": "a"}, {"revision": "hello-00001", "tag": "a"}]),
            "spec.traffic[1].tag: \"a\" is there twice",
        ),
        (json!(vec![json!({"tag": "x"}); 33]), "spec.traffic: has 33 entries"),
    ] {
        let errors = traffic_errors(traffic.clone());
        assert_eq!(errors.len(), 1, "{traffic}: {errors:?}");
        assert!(errors[0].starts_with(expected), "{traffic}: {errors:?}");
    }
    let message = &traffic_errors(json!([{"tag": "t".repeat(56)}]))[0];
    assert!(message.ends_with("choose a tag of at most 55"), "{message}");
    assert!(function(json!({"wasm": "a.wasm", "traffic": [{"tag": "t".repeat(55)}]})).is_ok());
}

#[test]
fn a_name_cannot_look_like_a_tag_and_a_name() {
    let document = json!({
        "apiVersion": "gapless.dev/v1", "kind": "Function",
        "metadata": {"name": "live---hello"}, "spec": {"wasm": "a.wasm"},
    });
    let errors = Function::from_value(document).unwrap_err();
    assert_eq!((errors.len(), errors[0].path.as_str()), (1, "metadata.name"));
}

#[test]
fn a_rollout_has_safe_defaults_and_is_checked() {
    let read = function(json!({"wasm": "a.wasm", "rollout": {}, "probe": {}})).unwrap();
    let shown = serde_json::to_value(&read).unwrap()["spec"].clone();
    let rollout = json!({
        "steps": [1, 10, 50], "interval": "30s", "errorRateMax": "1%", "latencyP99Max": "2x",
        "requestsMin": 20,
    });
    assert_eq!(shown["rollout"], rollout);
    assert_eq!(shown["probe"], json!({"path": "/", "timeout": "5s"}));
    for (field, value, expected) in [
        ("steps", json!([]), "spec.rollout.steps: has 0 entries"),
        ("steps", json!([0]), "spec.rollout.steps[0]: found 0, allowed is 1 to 99"),
        ("steps", json!([5, 100]), "spec.rollout.steps[1]: found 100, allowed is 1 to 99"),
        ("steps", json!([10, 10]), "spec.rollout.steps[1]: found 10 after 10"),
        ("interval", json!("10ms"), "spec.rollout.interval: found 10ms"),
        ("interval", json!(30), "spec.rollout.interval: \"30\" is not a length of time"),
        ("errorRateMax", json!("1"), "spec.rollout.errorRateMax: \"1\" is not a share"),
        ("errorRateMax", json!("100%"), "spec.rollout.errorRateMax: found 100%"),
        ("latencyP99Max", json!("2"), "spec.rollout.latencyP99Max: \"2\" is not a bound"),
        ("latencyP99Max", json!("0.5x"), "spec.rollout.latencyP99Max: \"0.5x\" is not a bound"),
        ("latencyP99Max", json!("0s"), "spec.rollout.latencyP99Max: \"0s\" is not a bound"),
        ("requestsMin", json!(0), "spec.rollout.requestsMin: found 0"),
        ("step", json!([1]), "spec.rollout.step: there is no such field; did you mean steps?"),
    ] {
        let error = only_error(json!({"wasm": "a.wasm", "rollout": {field: value}}));
        assert!(error.starts_with(expected), "{field}: {error}");
    }
    for (probe, expected) in [
        (json!({"path": "healthz"}), "spec.probe.path: found \"healthz\""),
        (json!({"path": "/a b"}), "spec.probe.path:"),
        (json!({"timeout": "1ms"}), "spec.probe.timeout: found 1ms"),
    ] {
        let error = only_error(json!({"wasm": "a.wasm", "probe": probe}));
        assert!(error.starts_with(expected), "{error}");
    }
    for text in ["2x", "1.5x", "500ms", "2s"] {
        let read: crate::LatencyMax = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
    }
}

#[test]
fn who_serves_is_no_part_of_a_revision() {
    let spec = |more: Value| {
        let mut spec = json!({"wasm": "a.wasm"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        function(spec).unwrap().spec
    };
    let plain = spec(json!({}));
    assert!(plain.is_same_revision(&spec(json!({"rollout": {}}))));
    assert!(plain.is_same_revision(&spec(json!({"traffic": [{"revision": "hello-00001"}]}))));
    assert!(!plain.is_same_revision(&spec(json!({"probe": {}}))));
    assert!(!plain.is_same_revision(&spec(json!({"rollout": {}, "env": {"A": "b"}}))));
}
