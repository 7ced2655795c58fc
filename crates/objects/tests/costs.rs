//! What writes cost, in microseconds: a measurement, so it is ignored;
//! `cargo xtask measure` runs it.

mod ours;

use std::hint::black_box;
use std::time::Instant;

use gapless_objects::managed::{self, Writer};
use gapless_objects::openapi::OpenApi;
use gapless_objects::patch::{Patch, PatchType};
use gapless_objects::{apply, decode, fields};
use jiff::Timestamp;
use serde_json::{Value, json};

fn measure<T>(name: &str, rounds: u32, mut work: impl FnMut() -> T) {
    for _ in 0..rounds / 10 {
        black_box(work());
    }
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(work());
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    println!("{name}: {each:.1} us");
}

#[test]
#[ignore = "a measurement of the machine, neither right nor wrong: `cargo xtask measure` runs it"]
fn write_cost() {
    let schema = (ours::FUNCTION.schema)();
    let function = json!({
        "apiVersion": "gapless.dev/v1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "default", "labels": {"app": "x", "tier": "a"}},
        "spec": {"wasm": "a.wasm", "env": {"A": "1", "B": "2"}, "scale": {"min": 0, "max": 10},
                 "resources": {"cpu": "100m", "memory": "128Mi"}, "concurrency": 1,
                 "queue": {"size": 1000, "wait": "10s", "order": "fifo"}, "timeout": "30s"},
    });
    let text = function.to_string();
    let by = Writer { manager: "bench", api_version: "gapless.dev/v1", subresource: "" };
    let now = Timestamp::UNIX_EPOCH;
    let mut live = function.clone();
    managed::track(&schema, &Value::Null, &mut live, by, now).unwrap();
    let mut changed = live.clone();
    changed["spec"]["scale"]["max"] = json!(11);
    let applied = apply::apply(&schema, &Value::Null, &function, by, false, now).unwrap();

    println!("{} bytes, with its record {}", text.len(), live.to_string().len());
    measure("decode", 10_000, || decode::json(text.as_bytes()).unwrap());
    measure("clone", 10_000, || live.clone());
    measure("unknown fields", 10_000, || fields::unknown(&function, &schema));
    measure("track create", 10_000, || {
        let mut new = function.clone();
        managed::track(&schema, &Value::Null, &mut new, by, now).unwrap();
        new
    });
    measure("track update", 10_000, || {
        let mut new = changed.clone();
        managed::track(&schema, &live, &mut new, by, now).unwrap();
        new
    });
    measure("apply again", 10_000, || {
        apply::apply(&schema, &applied, &function, by, false, now).unwrap()
    });
    let body = br#"{"spec":{"scale":{"max":11}}}"#;
    measure("merge patch", 10_000, || {
        let patch = Patch::parse(PatchType::Merge, body).unwrap();
        patch.apply(&ours::FUNCTION, &schema, &live).unwrap()
    });
    let kinds = ours::all();
    measure("openapi documents", 20, || OpenApi::new(&kinds, "0.1.0"));
}
