//! Services become functions, and come back as they were written.

use gapless_knative::{to_function, to_service};
use gapless_types::Function;
use serde_json::{Value, json};

fn image() -> String {
    format!("gapless.dev/artifact@sha256:{}", "ab".repeat(32))
}

fn service(change: impl FnOnce(&mut Value)) -> Value {
    let mut service = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"team": "a"}},
        "spec": {"template": {"spec": {"containers": [
            {"image": image(), "command": ["python3"], "args": ["server.py"]},
        ]}}},
    });
    change(&mut service);
    service
}

fn function(service: &Value) -> (Function, Vec<String>) {
    let translated = to_function(service).unwrap_or_else(|errors| panic!("{errors:?}"));
    let function = Function::from_value(translated.function).unwrap_or_else(|e| panic!("{e:?}"));
    (function, translated.warnings)
}

fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let errors = to_function(&service(change)).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_least_service_is_a_function_with_knatives_defaults() {
    let (function, warnings) = function(&service(|_| {}));
    assert_eq!(function.spec.command.as_deref().unwrap(), ["python3", "server.py"]);
    assert_eq!((function.spec.concurrency, function.spec.timeout.to_string()), (100, "5m".into()));
    assert_eq!(function.metadata.labels["team"], "a");
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_component_is_an_image_without_a_command() {
    let wasm = service(|service| {
        service["spec"]["template"]["spec"]["containers"][0] = json!({"image": image()});
    });
    let (function, _) = function(&wasm);
    assert_eq!(function.spec.wasm.as_deref(), Some("function.wasm"));
    assert_eq!(function.spec.artifact, Some(format!("sha256:{}", "ab".repeat(32))));
}

#[test]
fn every_honoured_field_has_its_place() {
    let full = service(|service| {
        let template = &mut service["spec"]["template"];
        template["metadata"]["annotations"] = json!({
            "autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/maxScale": "0",
            "autoscaling.knative.dev/scale-down-delay": "90s",
            "autoscaling.knative.dev/scale-to-zero-pod-retention-period": "30s",
            "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        });
        template["spec"]["containerConcurrency"] = 7.into();
        template["spec"]["timeoutSeconds"] = 60.into();
        let container = &mut template["spec"]["containers"][0];
        container["env"] = json!([
            {"name": "MODE", "value": "fast"}, {"name": "EMPTY"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "b", "optional": true}}},
        ]);
        container["envFrom"] = json!([{"secretRef": {"name": "db"}, "prefix": "DB_"}, {"configMapRef": {"name": "app"}}]);
        container["resources"] = json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "256Mi", "cpu": 1}});
        container["ports"] = json!([{"name": "http1", "containerPort": 8080}]);
    });
    let (function, warnings) = function(&full);
    assert!(warnings.is_empty(), "{warnings:?}");
    let spec = serde_json::to_value(&function.spec).unwrap();
    assert_eq!(
        spec["scale"],
        json!({"min": 2, "max": 10000, "keepAlive": "90s", "concurrencyTarget": "auto"})
    );
    assert_eq!((&spec["concurrency"], &spec["timeout"]), (&json!(7), &json!("1m")));
    assert_eq!(
        spec["env"],
        json!({"MODE": "fast", "EMPTY": "", "TOKEN": {"secret": "api/token"},
        "B": {"config": "app/b", "optional": true}})
    );
    assert_eq!(spec["envFrom"], json!([{"secret": "db", "prefix": "DB_"}, {"config": "app"}]));
    assert_eq!(spec["resources"], json!({"cpu": "250m", "memory": "256Mi"}));
}

#[test]
fn a_probe_and_traffic_have_their_places() {
    let service = service(|service| {
        service["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
            json!({"httpGet": {"path": "/ready"}, "timeoutSeconds": 2});
        service["spec"]["traffic"] = json!([
            {"revisionName": "cart-00001", "percent": 90},
            {"latestRevision": true, "percent": 10, "tag": "next"},
        ]);
    });
    let spec = &to_function(&service).unwrap().function["spec"];
    assert_eq!(spec["probe"], json!({"path": "/ready", "timeout": "2s"}));
    assert_eq!(
        spec["traffic"],
        json!([
            {"revision": "cart-00001", "percent": 90},
            {"revision": "latest", "percent": 10, "tag": "next"},
        ])
    );
}

#[test]
fn what_is_not_honoured_is_kept_with_a_warning() {
    let warned = service(|service| {
        let template = &mut service["spec"]["template"];
        template["metadata"]["annotations"] = json!({
            "autoscaling.knative.dev/window": "60s", "autoscaling.knative.dev/mn-scale": "1",
            "autoscaling.knative.dev/target": "12.5", "example.com/own": "x",
        });
        template["spec"]["serviceAccountName"] = "me".into();
        template["spec"]["containers"][0]["ports"] = json!([{"containerPort": 9000}]);
    });
    let (function, warnings) = function(&warned);
    assert_eq!(function.spec.concurrency, 13, "the target of one without a limit");
    let has = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(has("autoscaling.knative.dev/window: is not honoured"), "{warnings:?}");
    assert!(
        has(
            "autoscaling.knative.dev/mn-scale: is not known and is ignored; did you mean min-scale?"
        ),
        "{warnings:?}"
    );
    assert!(has("serviceAccountName") && has("listen on $PORT"), "{warnings:?}");
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}

#[test]
fn what_would_break_is_refused_by_name() {
    let found = errors(|service| {
        service["metadata"]["labels"]["networking.knative.dev/visibility"] = "cluster-local".into();
        service["metadata"]["annotations"] = json!({"autoscaling.knative.dev/min-scale": "1"});
        let spec = &mut service["spec"]["template"]["spec"];
        spec["volumes"] = json!([]);
        spec["containers"][0] =
            json!({"image": "nginx:latest", "ports": [{"name": "h2c"}], "evn": []});
    });
    let has = |text: &str| found.iter().any(|error| error.starts_with(text));
    for path in [
        "metadata.labels.networking.knative.dev/visibility:",
        "metadata.annotations.autoscaling.knative.dev/min-scale: works only in spec.template",
        "spec.template.spec.volumes: is not honoured",
        "spec.template.spec.containers[0].image: found \"nginx:latest\": container images are not run",
        "spec.template.spec.containers[0].ports[0].name: h2c",
        "spec.template.spec.containers[0].evn: there is no such field; did you mean env?",
    ] {
        assert!(has(path), "{path} in {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn a_service_is_read_back_as_it_was_written() {
    let written = service(|service| {
        service["spec"]["template"]["metadata"]["annotations"] = json!({"example.com/own": "x"});
        service["spec"]["template"]["spec"]["serviceAccountName"] = "me".into();
    });
    let translated = to_function(&written).unwrap();
    let function = Function::from_value(translated.function.clone()).unwrap();
    let mut stored = serde_json::to_value(&function).unwrap();
    stored["metadata"]["resourceVersion"] = "7".into();
    let shown = to_service(&stored, Some(&translated.shape));
    let template = &shown["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["example.com/own"], "x");
    assert_eq!(template["spec"]["serviceAccountName"], "me");
    assert_eq!(template["spec"]["containerConcurrency"], 0, "as written, not as it runs");
    let container = &written["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(template["spec"]["containers"][0], *container, "clients compare a list whole");
    assert_eq!(template["spec"]["containers"][0]["args"], json!(["server.py"]));
    assert_eq!(shown["spec"]["traffic"], json!([{"latestRevision": true, "percent": 100}]));
    assert_eq!(shown["metadata"]["resourceVersion"], "7");
    // Written back as it was read, it declares the same function.
    let again = to_function(&shown).unwrap();
    assert_eq!(again.function["spec"]["command"], translated.function["spec"]["command"]);
    assert_eq!(again.shape["spec"], shown["spec"]);
    // Changed as a function since, it is shown as it is now.
    stored["spec"]["concurrency"] = 3.into();
    let changed = to_service(&stored, Some(&translated.shape));
    assert_eq!(changed["spec"]["template"]["spec"]["containerConcurrency"], 3);
    let back = Function::from_value(to_function(&changed).unwrap().function).unwrap();
    assert_eq!((back.spec.concurrency, back.spec.command), (3, function.spec.command));
}

#[test]
fn status_has_knatives_words() {
    let mut stored = to_function(&service(|_| {})).unwrap().function;
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "why",
               "lastTransitionTime": "2026-11-24T10:00:00Z"})
    };
    stored["status"] = json!({
        "observedGeneration": 4, "revision": "cart-00003", "latestCreatedRevision": "cart-00004",
        "url": "http://cart.shop.localhost:8080", "pathUrl": "x", "readyInstances": 1, "startingInstances": 0,
        "conditions": [condition("Ready", "True", "Serving"), condition("RevisionReady", "False", "ProbeFailed")],
        "traffic": [{"revision": "cart-00003", "percent": 100, "latest": true}],
    });
    let status = &to_service(&stored, None)["status"];
    assert_eq!(status["observedGeneration"], 4);
    assert_eq!(status["address"]["url"], status["url"]);
    assert_eq!(status["latestCreatedRevisionName"], "cart-00004");
    assert_eq!(status["latestReadyRevisionName"], "cart-00003");
    assert_eq!(
        status["traffic"],
        json!([{"latestRevision": true, "revisionName": "cart-00003", "percent": 100}])
    );
    let kinds: Vec<_> =
        status["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert_eq!(kinds, ["ConfigurationsReady", "Ready", "RoutesReady"]);
    assert_eq!(status["conditions"][0]["reason"], "ProbeFailed");
    assert!(status["conditions"][1].get("reason").is_none());
}

#[test]
fn every_error_is_told_with_its_path() {
    let found = errors(|service| {
        let spec = &mut service["spec"]["template"]["spec"];
        spec["containerConcurrency"] = 2000.into();
        spec["containers"][0]["env"] =
            json!([{"name": "PORT", "value": "1"}, {"value": "x"}, {"name": "N", "value": 3}]);
        service["spec"]["traffic"] = json!([{"configurationName": "x", "percent": 101}]);
    });
    let paths: Vec<&str> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "spec.template.spec.containers[0].env[0].name",
            "spec.template.spec.containers[0].env[1].name",
            "spec.template.spec.containers[0].env[2].value",
            "spec.template.spec.containerConcurrency",
            "spec.traffic[0].configurationName",
            "spec.traffic[0].percent",
        ]
    );
}
