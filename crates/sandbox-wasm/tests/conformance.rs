//! The driver against the suite that every driver passes, both with a fresh
//! memory for every request and with one that is kept.

mod support;

use std::path::Path;
use std::sync::Arc;

use gapless_sandbox::Driver;
use gapless_sandbox::conformance::{Ability, BadArtifact, Fixture};
use gapless_sandbox_wasm::WasmFigures;
use gapless_types::FunctionSpec;

fn bad(name: &'static str, wat_or_bytes: &str, dir: &Path, says: &[&'static str]) -> BadArtifact {
    let bytes = wat::parse_str(wat_or_bytes).unwrap_or_else(|_| wat_or_bytes.as_bytes().to_vec());
    let artifact = dir.join(name);
    std::fs::write(&artifact, bytes).expect("a temporary file");
    BadArtifact { name, spec: support::spec(), artifact: Some(artifact), says: says.to_vec() }
}

const WRONG_WORLD: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $run (export "run" (func $f)))
    (export "example:tool/run@1.0.0" (instance $run)))"#;

const UNKNOWN_IMPORT: &str = r#"(component
    (import "example:database/query@1.0.0" (instance (export "ask" (func)))))"#;

fn fixture(driver: &Arc<gapless_sandbox_wasm::WasmDriver>, spec: FunctionSpec) -> Fixture {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut tight = spec.clone();
    tight.resources.memory.0 = 64 << 10;
    let seen = driver.clone();
    Fixture::new(spec, Some(support::probe()))
        .with_abilities(&[
            Ability::Echo,
            Ability::Env,
            Ability::Files,
            Ability::Log,
            Ability::Sleep,
        ])
        .with_bad(bad("core-module", "(module)", dir.path(), &["core module", "wasm32-wasip2"]))
        .with_bad(bad(
            "wrong-world",
            WRONG_WORLD,
            dir.path(),
            &["exports example:tool/run@1.0.0", "needed is wasi:http/incoming-handler@0.2"],
        ))
        .with_bad(bad(
            "unknown-import",
            UNKNOWN_IMPORT,
            dir.path(),
            &["example:database/query@1.0.0", "does not provide"],
        ))
        .with_bad(bad("text", "print('hello')", dir.path(), &["not WebAssembly", "prin"]))
        .with_bad(bad("nothing", "", dir.path(), &["is empty"]))
        .with_bad(bad("broken", "\0asm\u{d}\0\u{1}\0\u{7f}\u{7f}", dir.path(), &["not valid"]))
        .with_bad(BadArtifact {
            name: "absent",
            spec: support::spec(),
            artifact: Some(dir.path().join("absent.wasm")),
            says: vec!["absent.wasm", "cannot be read"],
        })
        .with_bad(BadArtifact {
            name: "memory",
            spec: tight,
            artifact: Some(support::probe()),
            says: vec!["begins with a memory of", "spec.resources.memory"],
        })
        .with_leftovers(move || match seen.figures() {
            WasmFigures { stores: 0, files: 0, .. } => Vec::new(),
            left => vec![format!("{left:?}")],
        })
        .keeping(dir)
}

fn fresh() -> (Arc<dyn Driver>, Fixture) {
    let driver = support::driver();
    let fixture = fixture(&driver, support::spec());
    (driver, fixture)
}

fn reused() -> (Arc<dyn Driver>, Fixture) {
    let driver = support::driver();
    let mut spec = support::spec();
    spec.reuse = true;
    let fixture = fixture(&driver, spec).with_abilities(&[Ability::Count]);
    (driver, fixture)
}

mod a_fresh_memory_each {
    gapless_sandbox::conformance_tests!(super::fresh);
}

mod a_memory_kept {
    gapless_sandbox::conformance_tests!(super::reused);
}
