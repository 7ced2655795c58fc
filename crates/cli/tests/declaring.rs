//! Declaring, rolling back, watching: against a real `gapless up`.

#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use running::{Run, Up, folder, until};

const MODEL: &str = "fake: {start: 1ms, service: 1ms}";

fn data() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("gl-").tempdir_in("/tmp").unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn up(dir: &Path) -> Up {
    Up::start(&dir.join("data"), &["--fake-nodes", "1"])
}

fn function(name: &str, more: &str) -> String {
    format!(
        "apiVersion: gapless.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  {MODEL}\n{more}"
    )
}

/// Runs `gapless ARGUMENTS -f -` with `input`.
fn with_input(up: &Up, arguments: &[&str], input: &str) -> Run {
    let mut command = up.command(arguments);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn files_are_applied_compared_and_pruned() {
    let dir = data();
    let up = up(dir.path());
    let folder = dir.path().join("files");
    std::fs::create_dir(&folder).unwrap();
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {a: \"1\"}\n";
    let both = format!("{}---\n{config}", function("one", ""));
    std::fs::write(folder.join("both.yaml"), &both).unwrap();
    std::fs::write(folder.join("two.yaml"), function("two", "")).unwrap();
    let apply = ["apply", "-f", text(&folder), "--prune", "web"];

    let dry = up.run(&["apply", "-f", text(&folder), "--dry-run"]);
    assert_eq!(dry.out.matches("created (dry run)").count(), 3, "{dry:?}");
    assert_eq!(up.run(&["get", "functions", "-o", "name"]).out, "", "a dry run writes nothing");

    let created = up.run(&apply);
    let expected = "configmap/words created\nfunction/one created\nfunction/two created\n";
    assert_eq!((created.code, created.out.as_str()), (0, expected), "{created:?}");
    let again = up.run(&apply);
    assert_eq!(again.out.matches(" unchanged\n").count(), 3, "{again:?}");

    std::fs::write(folder.join("both.yaml"), both.replace("\"1\"", "\"2\"")).unwrap();
    let other = up.run(&["diff", "-f", text(&folder), "--prune", "web"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.out.contains("\n-  a: \"1\"\n+  a: \"2\"\n"), "{other:?}");
    assert!(other.out.contains("--- live/default/configmap/words\n"), "{other:?}");
    assert!(!other.out.contains("managedFields"), "{other:?}");

    std::fs::remove_file(folder.join("two.yaml")).unwrap();
    let less = up.run(&["diff", "-f", text(&folder), "--prune", "web"]).out;
    assert!(less.contains("--- live/default/function/two\n"), "{less}");
    let would = up.run(&["apply", "-f", text(&folder), "--prune", "web", "--dry-run"]);
    assert!(would.out.contains("function/two pruned (dry run)"), "{would:?}");
    // What another set or nobody labelled is left alone.
    with_input(&up, &["apply"], &function("three", ""));
    with_input(&up, &["apply", "--prune", "other"], &function("four", ""));
    let pruned = up.run(&apply);
    assert!(pruned.out.contains("configmap/words configured\n"), "{pruned:?}");
    assert!(pruned.out.ends_with("function/two pruned\n"), "{pruned:?}");
    assert!(pruned.err.contains("function/two in namespace default"), "{pruned:?}");
    let left = up.run(&["get", "functions", "-o", "name"]).out;
    assert_eq!(left, "function/four\nfunction/one\nfunction/three\n");
    let same = up.run(&["diff", "-f", text(&folder), "--prune", "web"]);
    assert_eq!((same.code, same.out.as_str()), (0, ""), "{same:?}");
}

#[test]
fn conflicts_and_mistakes_are_told_by_field() {
    let dir = data();
    let up = up(dir.path());
    let deployed = up.run(&["deploy", text(&folder(dir.path(), "one", MODEL))]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    let taken = function("one", "").replace("service: 1ms", "service: 2ms");
    let conflict = with_input(&up, &["apply"], &taken);
    assert_eq!(conflict.code, 1, "{conflict:?}");
    assert!(conflict.err.contains("spec.fake"), "{conflict:?}");
    assert!(conflict.err.contains("conflict with \"gapless-deploy\""), "{conflict:?}");
    assert!(conflict.err.contains("--force-conflicts"), "{conflict:?}");
    let forced = with_input(&up, &["apply", "--force-conflicts"], &taken);
    assert_eq!(forced.out, "function/one configured\n", "{forced:?}");

    let wrong = function("bad", "  scale: {mx: 3}\n");
    let both = with_input(&up, &["apply"], &format!("{wrong}---\n{}", function("good", "")));
    assert_eq!((both.code, both.out.as_str()), (1, "function/good created\n"), "{both:?}");
    assert!(both.err.contains("spec.scale.mx"), "{both:?}");
    let kind = with_input(&up, &["apply"], "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n");
    assert!(kind.err.contains("there is no kind \"Pod\""), "{kind:?}");
    let trouble = with_input(&up, &["diff"], &wrong);
    assert_eq!(trouble.code, 2, "a diff that cannot be told is no difference: {trouble:?}");
}

#[test]
fn a_revision_is_rolled_back_promoted_and_given_its_share() {
    let dir = data();
    let up = up(dir.path());
    let none = up.run(&["rollback", "one"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("there is no function default/one"), "{none:?}");
    let path = folder(dir.path(), "one", MODEL);
    up.run(&["deploy", text(&path)]);
    let first = up.run(&["rollback", "one"]);
    assert!(first.err.contains("no earlier revision that served"), "{first:?}");
    folder(&dir.path().join("."), "one", "fake: {start: 1ms, service: 2ms}");
    let second = up.run(&["deploy", text(&path)]);
    assert!(second.out.contains("revision one-00002"), "{second:?}");

    let back = up.run(&["rollback", "one"]);
    assert_eq!(back.out, "function default/one rolled back, one-00001 serves\n", "{back:?}");
    let shown = up.run(&["traffic", "one"]).out;
    assert!(shown.contains("one-00001   100%    latest"), "{shown}");
    assert!(shown.contains("rollout: one-00002 RolledBack"), "{shown}");
    let described = up.run(&["describe", "function", "one"]).out;
    // It is as it was wanted, so nothing is wrong.
    assert!(described.contains("Ready = True (Ready"), "{described}");
    assert!(described.contains("RevisionReady = True (RolledBack"), "{described}");
    for part in ["Traffic:\n", "Revisions (2):\n", "one-00002   RolledBack", "Events:\n"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let far = up.run(&["rollback", "one", "--to", "one-00009"]);
    assert!(far.err.contains("to: \"one-00009\" is no revision of one"), "{far:?}");

    assert_eq!(up.run(&["promote", "one"]).code, 0);
    until("it takes everything", || up.run(&["traffic", "one"]).out.contains("one-00002   100%"));
    let nothing = up.run(&["promote", "one"]);
    assert!(nothing.err.contains("one-00002 takes everything already"), "{nothing:?}");

    let split = up.run(&["traffic", "one", "one-00001=90", "latest=10", "--tag", "old=one-00001"]);
    assert_eq!(split.code, 0, "{split:?}");
    until("the split holds", || up.run(&["traffic", "one"]).out.contains("one-00001   90%"));
    let shown = up.run(&["traffic", "one"]).out;
    assert!(shown.contains("http://old---one.default.localhost"), "{shown}");
    let sum = up.run(&["traffic", "one", "one-00001=90"]);
    assert!(sum.err.contains("spec.traffic: the percents sum to 90"), "{sum:?}");
    assert_eq!(up.run(&["traffic", "one", "--reset"]).code, 0);
    until("the split is gone", || up.run(&["traffic", "one"]).out.contains("one-00002   100%"));
}

#[test]
fn every_kind_is_listed_and_a_watch_survives_a_restart() {
    let dir = data();
    let data = dir.path().join("data");
    let port = free_port();
    let start = || Up::start_at(&data, &port, &["--fake-nodes", "1"]);
    let up = start();
    let input = format!(
        "{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: key, labels: {{a: b}}}}\nstringData: {{k: hush}}\n",
        function("one", "")
    );
    assert_eq!(with_input(&up, &["apply"], &input).code, 0);
    for kind in [
        "functions",
        "revisions",
        "instances",
        "nodes",
        "profiles",
        "namespaces",
        "secrets",
        "cm",
        "events",
    ] {
        let listed = up.run(&["get", kind, "-A"]);
        assert_eq!(listed.code, 0, "{kind}: {listed:?}");
    }
    until("the function is ready", || {
        up.run(&["get", "revisions"]).out.contains("one-00001   one")
    });
    let secrets = up.run(&["get", "secrets", "-l", "a=b"]).out;
    assert!(secrets.starts_with("NAME") && secrets.contains("\nkey"), "{secrets}");
    assert_eq!(up.run(&["get", "secrets", "-l", "a=c"]).err, "no secrets\n");
    let hidden = up.run(&["get", "secret/key", "-o", "yaml"]).out;
    let shown = up.run(&["get", "secret/key", "-o", "yaml", "--show-secrets"]).out;
    assert!(!hidden.contains("aHVzaA=="), "{hidden}");
    assert!(shown.contains("aHVzaA=="), "{shown}");
    let owners = |flags: &[&str]| {
        let arguments = [&["get", "fn", "one", "-o", "yaml"], flags].concat();
        up.run(&arguments).out.contains("manager: gapless-apply")
    };
    assert!(!owners(&[]) && owners(&["--show-managed-fields"]));
    assert_eq!(up.run(&["delete", "secret/key"]).out, "secret/key deleted\n");
    let unknown = up.run(&["get", "pods"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");

    let mut watch = up.command(&["get", "configmaps", "-w", "-o", "name"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let config =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    // What exists is told before what changes: that the watch has begun is known by this.
    with_input(&up, &["apply"], &config("first"));
    assert_eq!(lines.next().unwrap().unwrap(), "configmap/first");
    up.stop();
    let up = start();
    with_input(&up, &["apply"], &config("second"));
    assert_eq!(lines.next().unwrap().unwrap(), "configmap/second", "and not the first again");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn what_is_in_memory_is_told_again_after_a_restart() {
    let dir = data();
    let (data, port) = (dir.path().join("data"), free_port());
    let up = Up::start_at(&data, &port, &["--fake-nodes", "1"]);
    let mut watch = up.command(&["get", "nodes", "-w", "-o", "name"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until_told = |name: &str| assert!(lines.any(|line| line.unwrap() == name), "{name}");
    until_told("node/local");
    up.stop();
    // Its versions are older than all of the new platform's.
    let _up = Up::start_at(&data, &port, &["--fake-nodes", "2"]);
    until_told("node/fake-00002");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_rollout_that_goes_on_counts_as_deployed() {
    let dir = data();
    let up = up(dir.path());
    let steps = "rollout: {steps: [10, 50], interval: 1h}";
    let path = folder(dir.path(), "one", &format!("{MODEL}\n  {steps}"));
    let first = up.run(&["deploy", text(&path)]);
    assert!(!first.out.contains("taking over"), "nothing is there to roll out from: {first:?}");
    folder(dir.path(), "one", &format!("fake: {{start: 1ms, service: 2ms}}\n  {steps}"));
    let second = up.run(&["deploy", text(&path)]);
    assert_eq!(second.code, 0, "{second:?}");
    assert!(second.out.contains("is ready, revision one-00001"), "{second:?}");
    assert!(second.out.contains("one-00002 is taking over: 10% now, step 1 of 2"), "{second:?}");
    // A field that the folder no longer has goes.
    let before = up.run(&["get", "fn", "one", "-o", "json"]).out;
    assert!(before.contains("\"steps\""), "{before}");
    folder(dir.path(), "one", "fake: {start: 1ms, service: 2ms}");
    up.run(&["deploy", text(&path)]);
    let after = up.run(&["get", "fn", "one", "-o", "json"]).out;
    assert!(!after.contains("\"steps\": ["), "{after}");
}

/// A port that nobody has just now.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn what_is_waited_for_comes_or_is_told() {
    let dir = data();
    let up = up(dir.path());
    with_input(&up, &["apply"], &function("one", ""));
    let ready = up.run(&["wait", "function/one", "--for=condition=Ready"]);
    assert_eq!((ready.code, ready.out.as_str()), (0, "function/one condition met\n"), "{ready:?}");
    let never = up.run(&["wait", "fn/one", "--for=condition=Ready=False", "--timeout", "200ms"]);
    assert_eq!(never.code, 1, "{never:?}");
    assert!(never.err.contains("last known: Ready is True"), "{never:?}");
    let none = up.run(&["wait", "fn/nope", "--for=condition=Ready", "--timeout", "200ms"]);
    assert!(none.err.contains("there is none yet"), "{none:?}");
    let mut gone = up.command(&["wait", "fn/one", "--for", "delete"]);
    let mut gone = gone.stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(up.run(&["delete", "one"]).code, 0);
    assert_eq!(gone.wait().unwrap().code(), Some(0));
    assert_eq!(up.run(&["wait", "one", "--for=delete"]).code, 2, "the kind is missing");
}

#[test]
fn platforms_have_names() {
    let dir = data();
    let up = up(dir.path());
    let context = |arguments: &[&str]| {
        let mut command = up.command(arguments);
        command.env_remove("GAPLESS_API").env("XDG_CONFIG_HOME", dir.path());
        running::run(&mut command)
    };
    assert!(context(&["context"]).err.contains("no contexts"));
    let added = context(&["context", "add", "here", "--api", &up.api, "-n", "team"]);
    assert_eq!(added.out, "context here added\n", "{added:?}");
    context(&["context", "add", "there", "--api", "http://127.0.0.1:1"]);
    let listed = context(&["context"]).out;
    assert!(listed.contains("*   here    http://") && listed.contains("team"), "{listed}");
    with_input(&up, &["apply", "-n", "team"], &function("one", ""));
    // The namespace is the context's; -n wins over it, and --api over the whole.
    assert_eq!(context(&["get", "functions", "-o", "name"]).out, "function/one\n");
    assert_eq!(context(&["get", "functions", "-o", "name", "-n", "default"]).out, "");
    assert_eq!(context(&["get", "functions", "-o", "name", "--api", &up.api]).out, "");
    let config = context(&["kubeconfig"]).out;
    let config: serde_json::Value = serde_saphyr::from_str(&config).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], up.api.as_str());
    assert_eq!(config["contexts"][0]["context"]["namespace"], "team");
    context(&["context", "use", "there"]);
    let nobody = context(&["get", "nodes"]).err;
    assert!(nobody.contains("no gapless answers at http://127.0.0.1:1"), "{nobody}");
    assert_eq!(context(&["context", "use", "nowhere"]).code, 1);
    assert_eq!(context(&["context", "remove", "there"]).out, "context there removed\n");
}

#[test]
fn secrets_and_config_maps_are_made_of_values_and_files() {
    let dir = data();
    let up = up(dir.path());
    let file = dir.path().join("words.txt");
    std::fs::write(&file, "a b c").unwrap();
    let bytes = dir.path().join("bytes");
    std::fs::write(&bytes, [0xff, 0xfe]).unwrap();
    let raw = format!("raw={}", text(&bytes));
    let made = up.run(&[
        "create",
        "secret",
        "key",
        "--from-literal",
        "token=hush",
        "--from-file",
        text(&file),
        "--from-file",
        &raw,
    ]);
    assert_eq!((made.code, made.out.as_str()), (0, "secret/key created\n"), "{made:?}");
    let shown = up.run(&["get", "secret", "key", "--show-secrets", "-o", "json"]).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let expected = serde_json::json!({"token": "aHVzaA==", "words.txt": "YSBiIGM=", "raw": "//4="});
    assert_eq!(shown["data"], expected);
    let again = up.run(&["create", "secret", "key", "--from-literal", "a=b"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("gapless apply -f"), "{again:?}");
    assert_eq!(up.run(&["create", "configmap", "words"]).code, 2, "nothing is in it");
    let words = up.run(&["create", "configmap", "words", "--from-literal", "a=b"]);
    assert_eq!(words.out, "configmap/words created\n", "{words:?}");
}

/// The values are as they were, only the new key is left, and what was interrupted half
/// way (a key was added, and no more) is completed by rotating again.
#[test]
fn the_key_of_secrets_is_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let up = up(dir.path());
    let keys = dir.path().join("data/secrets.key");
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(&keys).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    for n in 0..20 {
        let (name, value) = (format!("s{n}"), format!("v=word-{n}"));
        up.run(&["create", "secret", &name, "--from-literal", &value]);
    }
    let values = |up: &Up| -> Vec<serde_json::Value> {
        let shown = up.run(&["get", "secrets", "--show-secrets", "-o", "json"]).out;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["items"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect()
    };
    let before = (lines(), values(&up));
    assert_eq!((before.0.len(), before.1.len()), (1, 20));
    let rotated = up.run(&["secrets", "rotate-key"]);
    assert!(rotated.out.ends_with("; 20 were sealed again\n"), "{rotated:?}");
    assert_eq!(values(&up), before.1);
    assert_eq!(lines().len(), 1);
    assert_ne!(lines(), before.0);
    // Killed after a key was added.
    up.signal(rustix::process::Signal::KILL);
    drop(up);
    let text = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, format!("{text}{}\n", "ab".repeat(32))).unwrap();
    let up = self::up(dir.path());
    assert_eq!(values(&up), before.1);
    let written = up.run(&["create", "secret", "late", "--from-literal", "v=1"]);
    assert_eq!(written.code, 0, "{written:?}");
    let rotated = up.run(&["secrets", "rotate-key"]);
    assert!(rotated.out.ends_with("; 21 were sealed again\n"), "{rotated:?}");
    assert_eq!(lines().len(), 1);
    assert_eq!(values(&up).len(), 21);
    let described = up.run(&["describe", "secret", "late"]).out;
    assert!(described.contains("v: (hidden)") && described.contains("Events"), "{described}");
    let node = up.run(&["describe", "node/local"]).out;
    assert!(node.contains("Name:         local") && node.contains("Created:"), "{node}");
}
