//! The real `kubectl` against a real platform, told nothing but `--server`.
//!
//! Passes with Debian's 1.20 and with 1.27 to 1.33; `KUBECTL` names another than the
//! one in PATH.

mod clients;
#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use clients::{Kubectl, Running};
use running::GAPLESS;

/// A function on fake nodes, with a label and a time its instances take to start.
fn function(name: &str, label: &str, start: &str) -> String {
    format!(
        "apiVersion: gapless.dev/v1\nkind: Function\n\
         metadata: {{name: {name}, labels: {{app: {label}}}}}\n\
         spec: {{fake: {{start: {start}, service: 1ms}}}}\n"
    )
}

/// Starts a platform, or leaves the test where there is no kubectl.
macro_rules! kubectl_or_skip {
    () => {
        match Kubectl::start() {
            Some(kubectl) => kubectl,
            None => return,
        }
    };
}

#[test]
fn what_is_applied_is_created_configured_or_unchanged() {
    let k = kubectl_or_skip!();
    let (first, second) = (function("hello", "web", "5ms"), function("hello", "web", "6ms"));
    assert_eq!(k.apply(&first), "function.gapless.dev/hello created\n");
    let version = k.field("function/hello", ".metadata.uid");
    assert_eq!(k.apply(&first), "function.gapless.dev/hello unchanged\n");
    let diff = k.given(&["diff", "-f", "-"], &second);
    assert_eq!(diff.code, 1, "{diff:?}");
    assert!(
        diff.out.contains("-    start: 5ms") && diff.out.contains("+    start: 6ms"),
        "{diff:?}"
    );
    assert_eq!(k.field("function/hello", ".spec.fake.start"), "5ms", "a diff changes nothing");
    assert_eq!(k.apply(&second), "function.gapless.dev/hello configured\n");
    let diff = k.given(&["diff", "-f", "-"], &second);
    assert_eq!((diff.code, diff.out.as_str()), (0, ""), "{diff:?}");
    assert_eq!(k.field("function/hello", ".spec.fake.start"), "6ms");
    assert_eq!(k.field("function/hello", ".metadata.generation"), "2");
    assert_eq!(k.field("function/hello", ".metadata.uid"), version);
    let dry = k.given(&["apply", "--dry-run=server", "-f", "-"], &function("other", "x", "1ms"));
    assert_eq!(dry.out, "function.gapless.dev/other created (server dry run)\n", "{dry:?}");
    assert!(k.fails(&["get", "function", "other"]).contains("NotFound"));
    let replaced = k.given(&["replace", "-f", "-"], &function("hello", "new", "7ms"));
    assert_eq!(replaced.out, "function.gapless.dev/hello replaced\n", "{replaced:?}");
    assert_eq!(k.field("function/hello", ".metadata.labels.app"), "new");
    let absent = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: absent}\n";
    let absent = k.given(&["replace", "-f", "-"], absent);
    assert!(absent.err.contains("NotFound"), "{absent:?}");
    let twice = k.given(&["create", "-f", "-"], &first);
    assert!(twice.err.contains("AlreadyExists"), "{twice:?}");
}

#[test]
fn a_change_by_hand_reaches_the_object() {
    let k = kubectl_or_skip!();
    k.apply(&function("hello", "web", "5ms"));
    let merge = r#"{"spec":{"queue":{"size":7}}}"#;
    let json = r#"[{"op":"replace","path":"/spec/queue/size","value":8}]"#;
    k.ok(&["patch", "function", "hello", "--type=merge", "-p", merge]);
    assert_eq!(k.field("fn/hello", ".spec.queue.size"), "7");
    k.ok(&["patch", "function", "hello", "--type=json", "-p", json]);
    assert_eq!(k.field("fn/hello", ".spec.queue.size"), "8");
    let failed = r#"[{"op":"test","path":"/spec/queue/size","value":9}]"#;
    k.fails(&["patch", "function", "hello", "--type=json", "-p", failed]);
    assert_eq!(k.ok(&["label", "fn", "hello", "tier=a"]), "function.gapless.dev/hello labeled\n");
    k.fails(&["label", "fn", "hello", "tier=b"]);
    k.ok(&["label", "fn", "hello", "tier=b", "--overwrite"]);
    assert_eq!(k.field("fn/hello", ".metadata.labels.tier"), "b");
    k.ok(&["label", "fn", "hello", "tier-"]);
    assert_eq!(k.field("fn/hello", ".metadata.labels.tier"), "");
    k.ok(&["annotate", "fn", "hello", "note=of a person"]);
    assert_eq!(k.field("fn/hello", ".metadata.annotations.note"), "of a person");
    let mut edit = k.command(&["edit", "function", "hello"]);
    let edited = running::run(edit.env("EDITOR", "sed -i s/5ms/9ms/").env_remove("KUBE_EDITOR"));
    assert_eq!(edited.code, 0, "{edited:?}");
    assert_eq!(k.field("fn/hello", ".spec.fake.start"), "9ms");
}

#[test]
fn scaling_changes_the_instances_and_makes_no_revision() {
    let k = kubectl_or_skip!();
    k.apply(&function("hello", "web", "5ms"));
    k.ok(&["wait", "--for=condition=Ready", "function/hello", "--timeout=60s"]);
    let before = k.ok(&["get", "revisions", "-o", "name"]);
    assert_eq!(before, "revision.gapless.dev/hello-00001\n");
    let scaled = k.ok(&["scale", "function", "hello", "--replicas=3"]);
    assert_eq!(scaled, "function.gapless.dev/hello scaled\n");
    running::until("three are ready", || k.field("fn/hello", ".status.readyInstances") == "3");
    assert_eq!(k.ok(&["get", "instances", "-o", "name"]).lines().count(), 3);
    assert_eq!(k.ok(&["get", "revisions", "-o", "name"]), before);
    k.ok(&["scale", "function", "hello", "--replicas=1", "--current-replicas=3"]);
    k.fails(&["scale", "function", "hello", "--replicas=2", "--current-replicas=9"]);
    assert_eq!(k.field("fn/hello", ".spec.scale.min"), "1");
    assert_eq!(k.ok(&["get", "revisions", "-o", "name"]), before);
}

#[test]
fn what_is_listed_is_a_table_and_can_be_selected() {
    let k = kubectl_or_skip!();
    k.apply(&format!("{}---\n{}", function("a", "web", "5ms"), function("b", "job", "5ms")));
    k.ok(&["wait", "--for=condition=Ready", "function", "--all", "--timeout=60s"]);
    let table = k.ok(&["get", "functions"]);
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let columns =
        ["NAME", "READY", "REASON", "REVISION", "INSTANCES", "COLD", "QUEUE", "URL", "AGE"];
    assert_eq!(head, columns, "{table}");
    assert!(table.lines().nth(1).unwrap().contains("http://a.default.localhost"), "{table}");
    let wide = k.ok(&["get", "functions", "-A", "-o", "wide"]);
    assert!(wide.starts_with("NAMESPACE") && wide.contains("CODE"), "{wide}");
    let names = |selector: &[&str]| k.ok(&[&["get", "fn", "-o", "name"], selector].concat());
    assert_eq!(names(&["-l", "app=web"]), "function.gapless.dev/a\n");
    assert_eq!(names(&["-l", "app notin (web)"]), "function.gapless.dev/b\n");
    assert_eq!(names(&["--field-selector", "metadata.name=b"]), "function.gapless.dev/b\n");
    assert_eq!(names(&["--chunk-size=1"]), "function.gapless.dev/a\nfunction.gapless.dev/b\n");
    let yaml = k.ok(&["get", "function", "a", "-o", "yaml"]);
    for part in ["apiVersion: gapless.dev/v1", "kind: Function", "wait: 10s", "type: Ready"] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    let managed = k.field("function/a", ".metadata.managedFields");
    assert!(managed.contains("f:spec") && !managed.contains("f:status"), "{managed}");
    let described = k.ok(&["describe", "function", "a"]);
    for part in ["Kind:         Function", "a-00001 can be called", "Events:", "Promoted"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let explained = k.ok(&["explain", "function.spec"]);
    assert!(
        explained.contains("gapless.dev") && explained.contains("queue\t<Object>"),
        "{explained}"
    );
    let field = k.ok(&["explain", "function.spec.queue.size"]);
    assert!(field.contains("<integer>"), "{field}");
    assert!(k.ok(&["get", "events"]).contains("a-00001 serves"));
    assert!(k.ok(&["get", "nodes"]).contains("fake-00003"));
}

#[test]
fn the_kinds_there_are_can_be_found() {
    let k = kubectl_or_skip!();
    let kinds = k.ok(&["api-resources", "-o", "name"]);
    for kind in [
        "functions.gapless.dev",
        "revisions.gapless.dev",
        "instances.gapless.dev",
        "nodes.gapless.dev",
        "placementprofiles.gapless.dev",
        "services.serving.knative.dev",
        "namespaces",
        "secrets",
        "configmaps",
        "events",
    ] {
        assert!(kinds.lines().any(|line| line == kind), "{kind}: {kinds}");
    }
    let versions = k.ok(&["api-versions"]);
    assert_eq!(versions, "gapless.dev/v1\nserving.knative.dev/v1\nv1\n");
    assert!(k.ok(&["version"]).contains("gapless"));
    assert!(k.fails(&["get", "pods"]).contains("doesn't have a resource type"));
}

#[test]
fn a_watch_shows_changes_as_they_come() {
    let k = kubectl_or_skip!();
    let mut functions = Running::start(k.command(&["get", "functions", "-w"]));
    let mut instances = Running::start(k.command(&["get", "instances", "-w"]));
    k.apply(&function("hello", "web", "5ms"));
    functions.line("it is ready", |line| line.contains("hello") && line.contains("True"));
    k.ok(&["scale", "function", "hello", "--replicas=2"]);
    // Instances come to be without a write; the function's row tells of them all the same.
    functions.line("both are counted", |line| line.split_whitespace().nth(3) == Some("2"));
    let ready = |line: &str| line.contains("Ready");
    let first = instances.line("one is ready", ready);
    let name = first.split_whitespace().next().unwrap();
    instances.line("another is ready", |line| ready(line) && !line.starts_with(name));
    k.ok(&["delete", "function", "hello"]);
    instances.line("they go", |line| line.contains("Retiring"));
    let mut only = k.command(&["get", "functions", "-l", "app=web", "-o", "name", "--watch-only"]);
    only.arg("--request-timeout=60s");
    let only = Running::start(only);
    // It does not say when it has begun: what is relabelled again and again is told then.
    k.apply(&function("other", "job", "1ms"));
    let mut told = None;
    running::until("what enters the selection is told", || {
        k.ok(&["label", "fn", "other", "app=web", "--overwrite"]);
        k.ok(&["label", "fn", "other", "app=job", "--overwrite"]);
        told = only.printed();
        told.is_some()
    });
    assert_eq!(told.as_deref(), Some("function.gapless.dev/other"));
}

#[test]
fn fields_have_owners_and_owners_have_conflicts() {
    let k = kubectl_or_skip!();
    let apply = |manager: &str, start: &str, more: &[&str]| {
        let manager = format!("--field-manager={manager}");
        let flags = ["apply", "--server-side", &manager, "-f", "-"];
        k.given(&[&flags, more].concat(), &function("hello", "web", start))
    };
    let first = apply("one", "5ms", &[]);
    assert_eq!(first.out, "function.gapless.dev/hello serverside-applied\n", "{first:?}");
    let conflict = apply("two", "6ms", &[]);
    assert_ne!(conflict.code, 0);
    assert!(conflict.err.contains(r#"conflict with "one""#), "{conflict:?}");
    assert!(conflict.err.contains(".spec.fake.start"), "{conflict:?}");
    assert_eq!(k.field("fn/hello", ".spec.fake.start"), "5ms");
    assert_eq!(apply("two", "5ms", &[]).code, 0, "the same value is no conflict");
    assert_eq!(apply("two", "6ms", &["--force-conflicts"]).code, 0);
    assert_eq!(k.field("fn/hello", ".spec.fake.start"), "6ms");
    let back = apply("one", "5ms", &[]);
    assert!(back.err.contains(r#"conflict with "two""#), "{back:?}");
    let managers = k.field("fn/hello", ".metadata.managedFields[*].manager");
    assert_eq!(managers, "one two", "and not the platform, which writes the status");
}

#[test]
fn waiting_ends_when_it_is_so() {
    let k = kubectl_or_skip!();
    // Waits that begin at every moment of a start: none may miss that it became ready.
    for round in 0..8 {
        let name = format!("f{round}");
        k.apply(&function(&name, "web", "5ms"));
        let waited =
            k.ok(&["wait", "--for=condition=Ready", &format!("fn/{name}"), "--timeout=60s"]);
        assert_eq!(waited, format!("function.gapless.dev/{name} condition met\n"));
    }
    let fast = k.fails(&["wait", "--for=condition=Degraded", "fn/f0", "--timeout=1s"]);
    assert!(fast.contains("timed out"), "{fast}");
    // What holds an object keeps `kubectl delete` waiting.
    let hold = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        k.ok(&["patch", "fn", "f0", "--type=merge", "-p", &patch]);
    };
    hold(r#"["example.com/hold"]"#);
    let mut gone = Running::start(k.command(&["delete", "fn", "f0", "--timeout=60s"]));
    running::until("it is marked", || !k.field("fn/f0", ".metadata.deletionTimestamp").is_empty());
    hold("null");
    assert_eq!(gone.wait(), 0);
    assert!(k.fails(&["get", "fn", "f0"]).contains("NotFound"));
}

#[test]
fn deleting_takes_what_is_named_selected_or_all() {
    let k = kubectl_or_skip!();
    for (name, label) in [("a", "web"), ("b", "web"), ("c", "job"), ("d", "job"), ("e", "job")] {
        k.apply(&function(name, label, "1ms"));
    }
    let left = || k.ok(&["get", "fn", "-o", "name"]).replace("function.gapless.dev/", "");
    k.ok(&["delete", "fn", "c"]);
    assert_eq!(left(), "a\nb\nd\ne\n");
    k.ok(&["delete", "fn", "-l", "app=web"]);
    assert_eq!(left(), "d\ne\n");
    k.ok(&["delete", "fn", "d", "--dry-run=server"]);
    assert_eq!(left(), "d\ne\n");
    k.ok(&["delete", "fn", "--all"]);
    assert_eq!(left(), "");
    let missing = k.fails(&["delete", "fn", "a"]);
    assert!(missing.contains(r#"functions.gapless.dev "a" not found"#), "{missing}");
    k.ok(&["delete", "fn", "a", "--ignore-not-found"]);
}

#[test]
fn secrets_are_not_shown_and_configs_are() {
    let k = kubectl_or_skip!();
    k.ok(&["create", "secret", "generic", "pass", "--from-literal=word=open sesame"]);
    k.ok(&["create", "configmap", "conf", "--from-literal=colour=blue"]);
    assert_eq!(k.field("configmap/conf", ".data.colour"), "blue");
    let encoded = "b3BlbiBzZXNhbWU=";
    for output in ["yaml", "json", "wide"] {
        let shown = k.ok(&["get", "secret", "pass", "-o", output]);
        assert!(!shown.contains(encoded) && !shown.contains("sesame"), "{shown}");
    }
    let described = k.ok(&["describe", "secret", "pass"]);
    assert!(described.contains("word"), "{described}");
    assert_eq!(k.field("secret/pass", ".type"), "Opaque");
    let revealed = k.ok(&["get", "--raw", "/api/v1/namespaces/default/secrets/pass?reveal=true"]);
    assert!(revealed.contains(encoded), "{revealed}");
    // Written back as it was shown, it is as it was.
    let shown = k.ok(&["get", "secret", "pass", "-o", "yaml"]);
    let replaced = k.given(&["replace", "-f", "-"], &shown);
    assert_eq!(replaced.code, 0, "{replaced:?}");
    let revealed = k.ok(&["get", "--raw", "/api/v1/namespaces/default/secrets/pass?reveal=true"]);
    assert!(revealed.contains(encoded), "{revealed}");
    k.ok(&["delete", "secret", "pass"]);
    k.ok(&["delete", "configmap", "conf"]);
}

#[test]
fn a_namespace_takes_along_what_is_in_it() {
    let k = kubectl_or_skip!();
    assert_eq!(k.ok(&["create", "namespace", "team"]), "namespace/team created\n");
    assert_eq!(k.field("namespace/team", ".status.phase"), "Active");
    k.ok(&["-n", "team", "create", "secret", "generic", "s", "--from-literal=a=b"]);
    k.ok(&["-n", "team", "create", "configmap", "c", "--from-literal=a=b"]);
    let applied = k.given(&["-n", "team", "apply", "-f", "-"], &function("hello", "web", "1ms"));
    assert_eq!(applied.code, 0, "{applied:?}");
    k.apply(&function("stays", "web", "1ms"));
    k.ok(&["delete", "namespace", "team", "--timeout=60s"]);
    assert_eq!(k.ok(&["get", "fn,secrets,cm,revisions", "-n", "team", "-o", "name"]), "");
    assert_eq!(k.ok(&["get", "ns", "-o", "name"]), "namespace/default\n");
    assert_eq!(k.ok(&["get", "fn", "-o", "name"]), "function.gapless.dev/stays\n");
}

#[test]
fn a_knative_service_reads_back_in_its_shape() {
    let k = kubectl_or_skip!();
    // Its code is uploaded as any function's is.
    let folder = running::folder(k.folder(), "code", &format!("command: [{GAPLESS:?}, probe]"));
    assert_eq!(k.up.run(&["deploy", folder.to_str().unwrap()]).code, 0);
    let artifact = k.field("function/code", ".spec.artifact");
    let service = |concurrency: u32| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: web}}\n\
             spec:\n  template:\n    metadata:\n      annotations: \
             {{autoscaling.knative.dev/max-scale: \"5\"}}\n    spec:\n      \
             containerConcurrency: {concurrency}\n      containers:\n      - image: \
             gapless.dev/artifact@{artifact}\n        command: [{GAPLESS:?}, probe]\n        \
             env: [{{name: COLOUR, value: blue}}]\n"
        )
    };
    assert_eq!(k.apply(&service(3)), "service.serving.knative.dev/web created\n");
    let diff = k.given(&["diff", "-f", "-"], &service(3));
    assert_eq!((diff.code, diff.out.as_str()), (0, ""), "{diff:?}");
    let again = k.apply(&service(3));
    assert_eq!(again, "service.serving.knative.dev/web unchanged\n");
    assert_eq!(k.field("ksvc/web", ".metadata.generation"), "1");
    k.ok(&["wait", "--for=condition=Ready", "ksvc/web", "--timeout=60s"]);
    let spec = ".spec.template.spec";
    assert_eq!(k.field("ksvc/web", &format!("{spec}.containerConcurrency")), "3");
    assert_eq!(k.field("ksvc/web", &format!("{spec}.containers[0].env[0].value")), "blue");
    let conditions = k.field("ksvc/web", ".status.conditions[*].type");
    for condition in ["Ready", "ConfigurationsReady", "RoutesReady"] {
        assert!(conditions.contains(condition), "{conditions}");
    }
    assert_eq!(k.field("ksvc/web", ".status.traffic[0].percent"), "100");
    assert!(k.ok(&["get", "ksvc"]).contains("http://web.default.localhost"));
    assert_eq!(k.field("function/web", ".spec.scale.max"), "5");
    assert_eq!(k.field("function/web", ".spec.concurrency"), "3");
    assert_eq!(k.up.run(&["invoke", "web", "-p", "/hello"]).out.trim(), "hello");
    assert_eq!(k.apply(&service(4)), "service.serving.knative.dev/web configured\n");
    assert_eq!(k.field("function/web", ".spec.concurrency"), "4");
    assert!(!k.ok(&["get", "ksvc", "-o", "name"]).contains("/code"), "functions are none");
    k.ok(&["delete", "ksvc", "web"]);
    assert_eq!(k.ok(&["get", "ksvc", "-o", "name"]), "");
    assert_eq!(k.ok(&["get", "fn", "-o", "name"]), "function.gapless.dev/code\n");
}

#[test]
fn what_is_wrong_is_named() {
    let k = kubectl_or_skip!();
    let hello = function("hello", "web", "5ms");
    let misspelt = k.given(&["apply", "-f", "-"], &hello.replace("fake:", "fakee:"));
    assert_ne!(misspelt.code, 0);
    assert!(misspelt.err.contains("fakee"), "{misspelt:?}");
    let unchecked =
        k.given(&["create", "--validate=false", "-f", "-"], &hello.replace("fake:", "fakee:"));
    assert_ne!(unchecked.code, 0, "{unchecked:?}");
    let wrong = k.given(&["apply", "-f", "-"], &hello.replace("5ms", "5parsec"));
    assert_ne!(wrong.code, 0);
    assert!(wrong.err.contains("spec.fake.start: "), "{wrong:?}");
    assert!(wrong.err.contains("5parsec") && wrong.err.contains("250ms"), "{wrong:?}");
    k.apply(&hello);
    let merge = r#"{"spec":{"scale":{"max":-1}}}"#;
    let refused = k.fails(&["patch", "fn", "hello", "--type=merge", "-p", merge]);
    assert!(refused.contains("spec.scale.max"), "{refused}");
    let merge = r#"{"spec":{"scale":{"maxx":1}}}"#;
    let refused = k.run(&["patch", "fn", "hello", "--type=merge", "-p", merge]);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("spec.scale.maxx"), "{said}");
    let read_only = k.fails(&["delete", "revision", "hello-00001"]);
    assert!(
        read_only.contains("MethodNotAllowed") || read_only.contains("not support"),
        "{read_only}"
    );
}

#[test]
fn instances_are_watched_and_never_stored() {
    let k = kubectl_or_skip!();
    let small = function("many", "web", "1ms")
        .replace("service: 1ms}", "service: 1ms}, resources: {cpu: 10m, memory: 16Mi}");
    k.apply(&small);
    k.ok(&["wait", "--for=condition=Ready", "fn/many", "--timeout=60s"]);
    let mut watch = Running::start(k.command(&["get", "instances", "-w", "-o", "name"]));
    // The store's revision, as a list of anything stored tells it.
    let revision = || {
        let list = k.ok(&["get", "--raw", "/api/v1/configmaps"]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
    };
    let before = revision();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        k.ok(&["scale", "fn", "many", "--replicas=80"]);
        running::until("all are ready", || k.field("fn/many", ".status.readyInstances") == "80");
        k.ok(&["delete", "fn", "many"]);
        running::until("all are gone", || k.ok(&["get", "instances", "-o", "name"]).is_empty());
        k.apply(&small);
    }
    while seen.len() < 4 * 80 {
        seen.insert(watch.line("every one of them", |_| true));
    }
    // Declaring, scaling, deleting and their statuses: some writes a round, not 80.
    let written = revision() - before;
    assert!(written <= 4 * 12, "{written} revisions");
}
