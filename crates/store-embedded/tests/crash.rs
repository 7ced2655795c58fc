//! A process killed in the middle of its writes has lost none that it acknowledged,
//! shows no half transaction, and a watch goes on where it was.
//!
//! The writing process is this test binary itself, started again with [`FOLDER`]
//! set: then `writes_until_killed` writes with 16 threads and says each
//! acknowledgement on its standard output. Small bounds make every round begin log
//! files and checkpoints. `GAPLESS_CRASH_ROUNDS` sets another number of rounds.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use futures::StreamExt as _;
use futures::executor::block_on;
use gapless_store::{Expect, Store, StoreError, StoreEvent, StoreRevision, Write};
use gapless_store_embedded::{Bounds, EmbeddedStore};

const FOLDER: &str = "GAPLESS_CRASH_TEST_FOLDER";
const ROUNDS: &str = "GAPLESS_CRASH_ROUNDS";
const WRITERS: u32 = 16;
/// Acknowledgements after which a child is killed, at most.
const ACKS_MAX: u64 = 600;

fn open(folder: &Path) -> Result<Arc<EmbeddedStore>, StoreError> {
    let bounds = Bounds {
        history_events_max: 10_000,
        segment_bytes: 32 << 10,
        checkpoint_bytes_min: 128 << 10,
        ..Bounds::default()
    };
    EmbeddedStore::open_with(folder, bounds)
}

/// The child's part; does nothing when run as an ordinary test.
#[test]
fn writes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder)).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for round in 0u64.. {
                    let value = format!("{writer}-{round}-{}", std::process::id());
                    let put = |half: &str| {
                        let key = format!("crash/{half}/{writer}/{}", round % 20);
                        Write::put(key, value.repeat(10), Expect::Any)
                    };
                    let revision = store.commit_blocking(vec![put("a"), put("b")]).unwrap();
                    let line = format!("acked {revision} {writer}/{} {value}\n", round % 20);
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

/// An acknowledged transaction.
#[derive(Debug)]
struct Ack {
    revision: StoreRevision,
    key: String,
    value: String,
}

/// Lets a child write and kills it; what it acknowledged.
fn killed_after(folder: &Path, acks: u64) -> Vec<Ack> {
    let mut child = start_writer(folder);
    let mut acked = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let fields = line.split_once("acked ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
        let Some(&[revision, key, value]) = fields.as_deref() else { continue };
        let (revision, key) = (revision.parse().unwrap(), key.to_owned());
        acked.push(Ack { revision, key, value: value.repeat(10) });
        if acked.len() as u64 == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acked.len() as u64 >= acks, "the child acknowledged only {}", acked.len());
    acked
}

/// What a reader knows that follows a watch over all restarts.
#[derive(Debug, Default)]
struct Follower {
    at: StoreRevision,
    records: BTreeMap<String, (StoreRevision, Vec<u8>)>,
}

impl Follower {
    /// Goes on after a restart: no gap, no duplicate, no half transaction.
    fn follow(&mut self, store: &EmbeddedStore) -> Vec<StoreEvent> {
        let mut watch = store.watch("crash/", self.at).unwrap();
        let mut events: Vec<StoreEvent> = Vec::new();
        while watch.progress() < store.revision() {
            events.push(block_on(watch.next()).unwrap().unwrap());
        }
        for pair in events.chunks(2) {
            let [a, b] = pair else { panic!("half a transaction: {pair:?}") };
            self.at += 1;
            assert_eq!((a.revision, b.revision), (self.at, self.at), "a gap or a duplicate");
            assert_eq!(a.value, b.value);
            assert_eq!(a.key.replace("/a/", "/b/"), *b.key);
        }
        for event in &events {
            let value = event.value.as_ref().unwrap().to_vec();
            let former = self.records.insert(event.key.to_string(), (event.revision, value));
            let previous = event.previous.as_ref();
            let previous = previous.map(|record| (record.revision, record.value.to_vec()));
            assert_eq!(former, previous);
        }
        assert_eq!(self.at, store.revision());
        events
    }
}

#[test]
fn an_acknowledged_write_survives_a_kill() {
    let rounds = std::env::var(ROUNDS).map_or(100, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut follower = Follower::default();
    let mut random = 88_172_645_463_325_252_u64;
    let mut acknowledged = 0;
    for round in 0..rounds {
        // xorshift: another moment each round, the same in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acked = killed_after(folder.path(), 1 + random % ACKS_MAX);
        acknowledged += acked.len();
        let store = open(folder.path()).unwrap();
        let before = follower.at;
        let events = follower.follow(&store);
        for ack in &acked {
            let at = (ack.revision - before - 1) as usize * 2;
            let event = events.get(at).unwrap_or_else(|| panic!("round {round}: {ack:?} is lost"));
            assert_eq!(*event.key, format!("crash/a/{}", ack.key), "round {round}");
            assert_eq!(event.value.as_deref(), Some(ack.value.as_bytes()), "round {round}");
        }
        let listed = store.list_all("crash/").unwrap();
        let listed =
            listed.into_iter().map(|r| (r.key.to_string(), (r.revision, r.value.to_vec())));
        assert!(listed.eq(follower.records.clone()), "round {round}: list and watch differ");
    }
    let files = std::fs::read_dir(folder.path().join("state")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    let is_checkpoint =
        |name: &std::ffi::OsString| name.to_string_lossy().starts_with("checkpoint-");
    assert!(rounds < 50 || names.iter().any(is_checkpoint), "kills met no checkpoint: {names:?}");
    println!("{rounds} kills, {acknowledged} acknowledged transactions, none lost");
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_writer(folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("acked ")));
    let Err(error) = open(folder.path()) else { panic!("opened twice") };
    let is_child = |pid: &str| pid == child.id().to_string();
    assert!(matches!(&error, StoreError::InUse { pid, .. } if is_child(pid)), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    open(folder.path()).unwrap();
}
