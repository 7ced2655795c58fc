//! Compiling happens once, whoever asks and however often; what the cache holds
//! is checked before it is run.

mod support;

use std::path::{Path, PathBuf};

use gapless_sandbox::Driver;
use support::{driver_in, prepare_task, probe, spec};

async fn prepare(driver: &dyn Driver) {
    driver.prepare(prepare_task(spec(), &probe())).await.expect("the probe prepares");
}

/// The one file of the cache.
fn cached(dir: &Path) -> PathBuf {
    let folders = std::fs::read_dir(dir).expect("the cache");
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver_in(dir.path());
    let tasks = (0..4).map(|_| driver.prepare(prepare_task(spec(), &probe())));
    for prepared in futures::future::join_all(tasks).await {
        prepared.expect("prepares");
    }
    assert_eq!((driver.figures().compiled, driver.figures().resident), (1, 1));
    // Another process on the same cache.
    let next = driver_in(dir.path());
    prepare(&*next).await;
    assert_eq!((next.figures().compiled, next.figures().mapped), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoilt_cache_file_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    prepare(&*driver_in(dir.path())).await;
    let file = cached(dir.path());
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for spoilt in [&whole[..whole.len() - 1], &flipped, b"foreign", b""] {
        std::fs::write(&file, spoilt).unwrap();
        let driver = driver_in(dir.path());
        prepare(&*driver).await;
        assert_eq!(driver.figures().compiled, 1, "{} bytes", spoilt.len());
        assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_the_budget_is_mapped_when_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    prepare(&*driver_in(dir.path())).await;
    let mut config = gapless_sandbox_wasm::WasmConfig::new(dir.path());
    (config.resident_bytes_max, config.instances_max) = (0, 16);
    let driver = gapless_sandbox_wasm::WasmDriver::new(config).unwrap();
    let mut spec = spec();
    let digest = cached(dir.path()).file_stem().unwrap().to_string_lossy().into_owned();
    spec.artifact = Some(format!("sha256:{digest}"));
    let task = prepare_task(spec, &probe());
    driver.prepare(task.clone()).await.expect("prepares");
    assert_eq!((driver.figures().compiled, driver.figures().mapped), (0, 0));
    let start = gapless_sandbox::StartTask {
        instance: gapless_types::InstanceId(1),
        prepare: task.clone(),
        config: Default::default(),
        logs: gapless_sandbox::conformance::Lines::new(),
    };
    driver.start(start).await.expect("starts");
    assert_eq!((driver.figures().compiled, driver.figures().mapped), (0, 1));
    driver.forget(&task.revision.name);
    assert_eq!(driver.figures().resident, 0);
}
