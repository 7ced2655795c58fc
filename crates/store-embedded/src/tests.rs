//! The store on a disk that fails: what is refused, what stays, what comes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use gapless_store::{Expect, Record, Store, StoreError, StoreRevision, Write};

use crate::bounds::Bounds;
use crate::disk::fake::{FakeDisk, Fault};
use crate::log::{STATE_FOLDER, segment_path};
use crate::store::EmbeddedStore;

/// Small files and early checkpoints.
fn small() -> Bounds {
    Bounds {
        history_events_max: 50,
        history_bytes_max: 1 << 20,
        segment_bytes: 2 << 10,
        checkpoint_bytes_min: 8 << 10,
        waiting_max: 1000,
        waiting_bytes_max: 1 << 20,
    }
}

fn open(disk: &Arc<FakeDisk>, folder: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open_on(disk.clone(), folder, small()).unwrap()
}

fn segment(folder: &Path, sequence: u64) -> PathBuf {
    segment_path(&folder.join(STATE_FOLDER), sequence)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(STATE_FOLDER)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn put(store: &dyn Store, key: &str, value: &str) -> Result<StoreRevision, StoreError> {
    store.put(key, value.as_bytes(), Expect::Any)
}

#[test]
fn a_full_disk_refuses_keeps_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let store = open(&disk, folder.path());
    put(&*store, "a", "kept").unwrap();
    let (before, records) = (store.revision(), store.list_all("").unwrap());
    let mut watch = store.watch("", before).unwrap();
    for room in [0, 1, 11, 12, 13, 40, 80] {
        disk.set(Some(Fault::FullAfter(room)));
        let error = put(&*store, "a", &"lost".repeat(30)).unwrap_err();
        assert!(matches!(&error, StoreError::NoSpace { .. }), "{error}");
        assert!(error.to_string().starts_with("nothing was changed: no space left"), "{error}");
        assert_eq!(store.list_all("").unwrap(), records, "it stays readable");
        assert_eq!(store.revision(), before);
        assert!(watch.next().now_or_never().is_none(), "nobody sees what was refused");
        // Without closing: a crash now loses nothing and shows nothing of it.
        let copy = copied(folder.path());
        let reopened = EmbeddedStore::open(copy.path()).unwrap();
        assert_eq!(reopened.list_all("").unwrap(), records);
    }
    disk.set(None);
    let after = put(&*store, "a", "again").unwrap();
    assert_eq!(after, before + 1);
    assert_eq!(block_on(watch.next()).unwrap().unwrap().revision, after);
    drop(store);
    let store = open(&disk, folder.path());
    assert_eq!(&store.get("a").unwrap().unwrap().value[..], b"again");
}

#[test]
fn a_disk_without_room_for_another_file_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let store = open(&disk, folder.path());
    while store.revision() < 3 {
        put(&*store, "a", &"v".repeat(600)).unwrap();
    }
    disk.set(Some(Fault::FullAfter(10)));
    let error = put(&*store, "a", &"w".repeat(600)).unwrap_err();
    assert!(matches!(&error, StoreError::NoSpace { .. }), "{error}");
    assert_eq!(files(folder.path()), ["log-0000000001"], "nothing of the second is left");
    disk.set(None);
    put(&*store, "a", &"w".repeat(600)).unwrap();
    assert_eq!(files(folder.path()).len(), 2);
    drop(store);
    assert_eq!(open(&disk, folder.path()).revision(), 4);
}

/// After a failed fsync nobody knows what is on the disk, and a second fsync would
/// say that all is well (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
#[test]
fn a_failed_fsync_ends_writing_until_the_store_is_opened_again() {
    for fault in [Fault::FailSync, Fault::FailSyncAndCut] {
        let folder = tempfile::tempdir().unwrap();
        let disk = FakeDisk::new();
        let store = open(&disk, folder.path());
        put(&*store, "a", "kept").unwrap();
        let records = store.list_all("").unwrap();
        let watch = store.watch("", store.revision()).unwrap();
        disk.set(Some(fault));
        let refused = |store: &EmbeddedStore| {
            let error = put(store, "a", "lost").unwrap_err();
            assert!(matches!(&error, StoreError::ReadOnly { .. }), "{error}");
            assert!(error.to_string().contains("then restart"), "{error}");
        };
        refused(&store);
        disk.set(None);
        refused(&store);
        assert_eq!(store.list_all("").unwrap(), records, "it stays readable");
        let compacted = block_on(store.compact(store.revision()));
        assert!(matches!(compacted, Err(StoreError::ReadOnly { .. })));
        assert_eq!(put(&*store, "a", "").unwrap_err(), compacted.unwrap_err());
        drop(store);
        let seen: Vec<_> = block_on(watch.collect());
        assert_eq!(seen, [], "nothing that was refused was shown");
        let store = open(&disk, folder.path());
        let found = store.get("a").unwrap().unwrap();
        match fault {
            Fault::FailSync => assert_eq!(Some(found), records.first().cloned()),
            // It could not be taken back: then it is there whole.
            _ => assert!([&b"kept"[..], b"lost"].contains(&&*found.value)),
        }
        put(&*store, "a", "new").unwrap();
    }
}

/// Waits for what happens in the background, if it does.
fn until(has_happened: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !has_happened() && begun.elapsed().as_secs() < 30 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whichever call fails, at the start, in a write, in a new file, in a checkpoint:
/// what was acknowledged is there, what was refused is not, and the store works
/// again once it is opened on a good disk.
#[test]
fn any_call_may_fail() {
    let bounds = Bounds {
        history_events_max: 5,
        segment_bytes: 1 << 10,
        checkpoint_bytes_min: 2 << 10,
        ..small()
    };
    let mut failing = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let disk = FakeDisk::new();
        disk.set(Some(Fault::FailCall(failing)));
        let opened = EmbeddedStore::open_on(disk.clone(), folder.path(), bounds);
        let mut acknowledged: Vec<(String, String)> = Vec::new();
        if let Ok(store) = &opened {
            for n in 0..30 {
                let (key, value) = (format!("k{}", n % 7), format!("{n}-").repeat(60));
                if put(&**store, &key, &value).is_ok() {
                    acknowledged.retain(|(other, _)| *other != key);
                    acknowledged.push((key, value));
                }
            }
        }
        if opened.is_ok() {
            // A checkpoint that is under way when the store closes is not made.
            let has_checkpoint = || files(folder.path())[0].starts_with("checkpoint-");
            until(|| disk.calls() > failing || has_checkpoint());
        }
        drop(opened);
        let calls = disk.calls();
        disk.set(None);
        let store = open(&disk, folder.path());
        acknowledged.sort();
        let found: Vec<(String, String)> = store
            .list_all("")
            .unwrap()
            .into_iter()
            .map(|Record { key, value, .. }| {
                (key.to_string(), String::from_utf8(value.to_vec()).unwrap())
            })
            .collect();
        assert_eq!(found, acknowledged, "after call {failing} failed");
        put(&*store, "k0", "works again").unwrap();
        if failing >= calls {
            let names = files(folder.path());
            assert!(names[0].starts_with("checkpoint-") && names.len() > 2, "{names:?}");
            return;
        }
        failing += 1;
    }
}

#[test]
fn many_writers_share_an_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let bounds = Bounds { waiting_max: 1000, ..Bounds::default() };
    let store = EmbeddedStore::open_on(disk.clone(), folder.path(), bounds).unwrap();
    let before = disk.syncs();
    let writes = (0..1000)
        .map(|n| store.commit(vec![Write::put(format!("k{n}"), &b"v"[..], Expect::Absent)]));
    let done = block_on(join_all(writes.collect::<Vec<_>>()));
    assert!(done.iter().all(Result::is_ok));
    let syncs = disk.syncs() - before;
    assert!(syncs < 500, "{syncs} fsyncs for 1000 writes");
}

#[test]
fn more_than_may_wait_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let bounds = Bounds { waiting_max: 3, waiting_bytes_max: 1000, ..small() };
    let store = EmbeddedStore::open_on(disk.clone(), folder.path(), bounds).unwrap();
    disk.set(Some(Fault::HoldSync));
    let held = disk.hold();
    let syncs = disk.syncs();
    let commit = |bytes| store.commit(vec![Write::put("a", vec![7; bytes], Expect::Any)]);
    let at_the_disk = commit(1);
    while disk.syncs() == syncs {
        std::thread::yield_now();
    }
    // Too large for the bound, but nothing else waits.
    let waiting = commit(2000);
    assert_eq!(block_on(commit(1)), Err(StoreError::Busy { waiting: 1 }));
    drop(held);
    assert_eq!((block_on(at_the_disk), block_on(waiting)), (Ok(1), Ok(2)));
    let held = disk.hold();
    let syncs = disk.syncs();
    let at_the_disk = commit(1);
    while disk.syncs() == syncs {
        std::thread::yield_now();
    }
    let waiting = [commit(1), commit(2), commit(3)];
    assert_eq!(block_on(commit(4)), Err(StoreError::Busy { waiting: 3 }));
    drop(held);
    assert_eq!(block_on(at_the_disk), Ok(3));
    assert_eq!(block_on(join_all(waiting)), [Ok(4), Ok(5), Ok(6)]);
}

#[test]
fn the_log_stays_bounded_by_checkpoints_and_history_by_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let store = open(&disk, folder.path());
    let value = "v".repeat(200);
    for n in 0..2000 {
        put(&*store, &format!("k{}", n % 10), &value).unwrap();
    }
    assert_eq!(store.revision() - store.oldest(), 50);
    let usage = store.usage();
    assert_eq!((usage.history_events, usage.waiting), (50, 0));
    assert!(usage.history_bytes > 50 * 400 && usage.record_bytes == 10 * (2 + 200 + 24));
    assert_eq!((usage.records, usage.syncs), (10, 2000), "one write at a time, one fsync each");
    assert!(usage.log_bytes > 50 * 200 && usage.log_bytes < 2000 * 200, "{usage:?}");
    let records = store.list_all("").unwrap();
    drop(store);
    let names = files(folder.path());
    let logs = names.iter().filter(|name| name.starts_with("log-")).count();
    // 2,000 writes of 230 bytes are 230 files; history and a checkpoint's worth are 10.
    assert!(logs < 60, "{names:?}");
    assert_eq!(names.len(), logs + 1, "one checkpoint, nothing left over: {names:?}");
    let store = open(&disk, folder.path());
    assert_eq!(store.list_all("").unwrap(), records);
    assert_eq!((store.revision(), store.oldest()), (2000, 1950));
}

/// Also while history is forgotten under it, and checkpoints are written.
#[test]
fn a_long_list_is_one_state_while_others_write() {
    const KEYS: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_with(folder.path(), small()).unwrap();
    let round = |round: usize| {
        for first in (0..KEYS).step_by(100) {
            let put = |n| Write::put(format!("k{n:04}"), round.to_string(), Expect::Any);
            store.commit_blocking((first..first + 100).map(put).collect()).unwrap();
        }
    };
    round(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..30).for_each(round));
        while !writer.is_finished() {
            let records = store.list_all("").unwrap();
            let values = records.iter().map(|r| String::from_utf8_lossy(&r.value).parse().unwrap());
            let values: Vec<usize> = values.collect();
            // The keys that a round has come to are before those that it has not.
            assert_eq!(values.len(), KEYS);
            assert!(values.is_sorted_by(|a, b| a >= b) && values[0] - values[KEYS - 1] <= 1);
        }
    });
    assert_eq!(store.oldest(), store.revision() - 1, "the last is kept though it is too large");
    // A checkpoint may be reading yet; what it kept goes when it has.
    until(|| store.usage().history_events <= 100);
    assert_eq!(store.usage().history_events, 100);
}

#[test]
fn what_is_damaged_is_named_and_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let store = open(&disk, folder.path());
    for n in 0..300 {
        put(&*store, &format!("k{}", n % 10), &"v".repeat(200)).unwrap();
    }
    drop(store);
    let names = files(folder.path());
    let (checkpoint, first, last) = (&names[0], &names[1], names.last().unwrap());
    assert!(checkpoint.starts_with("checkpoint-") && names.len() > 4, "{names:?}");
    for (name, at) in [
        (checkpoint, 3),
        (checkpoint, 20),
        (checkpoint, 100),
        (checkpoint, 1000),
        (first, 9),
        (first, 40),
        (first, 300),
        (&names[3], 700),
        (last, 5),
        (last, 60),
    ] {
        let copy = copied(folder.path());
        let path = copy.path().join(STATE_FOLDER).join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        refuses(copy.path(), name, &format!("byte {at} of {name}"));
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed");
    }
    for missing in [checkpoint, first, &names[3]] {
        let copy = copied(folder.path());
        fs::remove_file(copy.path().join(STATE_FOLDER).join(missing)).unwrap();
        refuses(copy.path(), "", &format!("without {missing}"));
    }
    // Cut in the middle, though files follow.
    let copy = copied(folder.path());
    let path = copy.path().join(STATE_FOLDER).join(&names[3]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    refuses(copy.path(), &names[3], "a file in the middle cut");
}

fn refuses(folder: &Path, name: &str, what: &str) {
    let error = match EmbeddedStore::open_with(folder, small()) {
        Ok(_) => panic!("{what}: opened"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(name) && error.contains("is damaged at byte"), "{what}: {error}");
    assert!(error.contains("Restore") && error.contains("nothing was changed"), "{what}: {error}");
}

#[test]
fn another_format_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    put(&*open(&disk, folder.path()), "a", "1").unwrap();
    let path = segment(folder.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..32]);
    bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it has format 9") && error.contains("--data-dir"), "{error}");
}

#[test]
fn the_layout_before_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.redb"), "redb").unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("state.redb") && error.contains("--data-dir"), "{error}");
}

/// A value that looks like a frame is none, even at the end of a torn log.
#[test]
fn a_value_made_to_look_like_a_frame_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let store = open(&disk, folder.path());
    let path = segment(folder.path(), 1);
    put(&*store, "a", "1").unwrap();
    // Frames of another file, with another seed.
    let other = tempfile::tempdir().unwrap();
    put(&*open(&disk, other.path()), "a", "2").unwrap();
    let frames = fs::read(segment(other.path(), 1)).unwrap();
    store.put("b", &frames[36..], Expect::Any).unwrap();
    let records = store.list_all("").unwrap();
    let copy = copied(folder.path());
    drop(store);
    let path = copy.path().join(path.strip_prefix(folder.path()).unwrap());
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&path, &bytes[..end - 3]).unwrap();
    let store = EmbeddedStore::open(copy.path()).unwrap();
    assert_eq!(store.list_all("").unwrap(), records[..1]);
}

/// A copy as a crash would leave it.
fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join(STATE_FOLDER)).unwrap();
    for name in files(folder) {
        let state = Path::new(STATE_FOLDER);
        fs::copy(folder.join(state).join(&name), copy.path().join(state).join(&name)).unwrap();
    }
    copy
}
