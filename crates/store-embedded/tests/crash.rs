//! A process killed in the middle of its writes has lost none that it acknowledged.
//!
//! The writing process is this test binary itself, started again with
//! [`FOLDER`] set: then `writes_until_killed` writes and says each
//! acknowledgement on its standard output.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use gapless_store::{Expect, Store, StoreError};
use gapless_store_embedded::EmbeddedStore;

const FOLDER: &str = "GAPLESS_CRASH_TEST_FOLDER";
const WRITERS: u32 = 8;

/// The child's part; does nothing when run as an ordinary test.
#[test]
fn writes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = EmbeddedStore::open(Path::new(&folder)).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for round in 0u64.. {
                    let key = format!("crash/{writer}/{}", round % 50);
                    let value = format!("{writer}-{round}").repeat(20);
                    let revision = store.put(&key, value.as_bytes(), Expect::Any).unwrap();
                    let line = format!("acked {key} {revision} {writer}-{round}\n");
                    // Past the test harness's capture, in one write.
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn start_writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_killed", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn an_acknowledged_write_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut last_revision = 0;
    for _ in 0..3 {
        let mut child = start_writer(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acked: BTreeMap<String, (u64, String)> = BTreeMap::new();
        let mut count = 0;
        while let Some(Ok(line)) = lines.next() {
            let Some(rest) = line.split_once("acked ").map(|(_, rest)| rest) else {
                continue;
            };
            let fields: Vec<&str> = rest.split(' ').collect();
            let &[key, revision, value] = fields.as_slice() else {
                continue;
            };
            let ack = (revision.parse().unwrap(), value.to_owned());
            let newest = acked.entry(key.to_owned()).or_insert_with(|| ack.clone());
            if ack.0 > newest.0 {
                *newest = ack;
            }
            count += 1;
            if count == 300 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= 300, "the child acknowledged only {count} writes");
        let store = EmbeddedStore::open(folder.path()).unwrap();
        for (key, (revision, value)) in &acked {
            let record = store.get(key).unwrap().unwrap_or_else(|| panic!("{key} is lost"));
            assert!(record.revision >= *revision, "{key} went back");
            if record.revision == *revision {
                assert_eq!(record.value, value.repeat(20).as_bytes());
            }
            assert!(record.revision <= store.revision());
            last_revision = last_revision.max(*revision);
        }
        assert!(store.revision() >= last_revision, "the store's revision went back");
    }
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_writer(folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("acked ")));
    let Err(error) = EmbeddedStore::open(folder.path()) else { panic!("opened twice") };
    let is_child = |pid: &str| pid == child.id().to_string();
    assert!(matches!(&error, StoreError::InUse { pid, .. } if is_child(pid)), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    EmbeddedStore::open(folder.path()).unwrap();
}

#[test]
fn a_damaged_file_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.redb"), b"this is not a database").unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("state.redb") && error.contains("move it away"), "{error}");
}
