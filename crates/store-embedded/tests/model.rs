//! The store against a plain model: random transactions, lists at revisions,
//! watches from revisions, compactions and restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use futures::{FutureExt as _, StreamExt as _};
use gapless_store::{
    Change, Expect, Range, Record, Store, StoreError, StoreEvent, StoreRevision, Watch, Write,
};
use gapless_store_embedded::{Bounds, EmbeddedStore};
use proptest::prelude::*;

const HISTORY: usize = 25;
const PREFIXES: [&str; 4] = ["", "a/", "b/", "c/"];

fn open(folder: &Path) -> Arc<EmbeddedStore> {
    let bounds = Bounds {
        history_events_max: HISTORY,
        segment_bytes: 600,
        checkpoint_bytes_min: 1_000,
        ..Bounds::default()
    };
    EmbeddedStore::open_with(folder, bounds).unwrap()
}

/// What is done to the store. Revisions are taken modulo those that are possible.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Guess, Option<Vec<u8>>)>),
    List { prefix: usize, after: Option<u8>, limit: Option<usize>, back: Option<u64> },
    Watch { prefix: usize, back: u64 },
    Poll,
    Compact { back: u64 },
    Reopen,
}

/// What a write expects.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Any,
    Right,
    Wrong,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guess =
        prop_oneof![4 => Just(Guess::Any), 3 => Just(Guess::Right), 1 => Just(Guess::Wrong)];
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..40));
    let write = (0..9u8, guess, value);
    let commit = proptest::collection::vec(write, 0..4).prop_map(Step::Commit);
    let list = (
        0..PREFIXES.len(),
        proptest::option::of(0..9u8),
        proptest::option::of(0..5usize),
        proptest::option::of(0..40u64),
    )
        .prop_map(|(prefix, after, limit, back)| Step::List { prefix, after, limit, back });
    let watch =
        (0..PREFIXES.len(), 0..40u64).prop_map(|(prefix, back)| Step::Watch { prefix, back });
    let step = prop_oneof![
        12 => commit,
        4 => list,
        2 => watch,
        3 => Just(Step::Poll),
        1 => (0..40u64).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..80)
}

fn key(n: u8) -> String {
    format!("{}{n}", PREFIXES[1 + usize::from(n % 3)])
}

/// Everything that ever was.
#[derive(Default)]
struct Model {
    /// The records at each revision.
    states: Vec<BTreeMap<String, Record>>,
    events: Vec<StoreEvent>,
    compacted: StoreRevision,
}

impl Model {
    fn new() -> Self {
        Model { states: vec![BTreeMap::new()], ..Model::default() }
    }

    fn revision(&self) -> StoreRevision {
        self.states.len() as u64 - 1
    }

    /// History is cut by compactions, and to its bound in whole transactions.
    fn oldest(&self) -> StoreRevision {
        let beyond = self.events.len().saturating_sub(HISTORY);
        let cut = beyond.checked_sub(1).map_or(0, |last| self.events[last].revision);
        self.compacted.max(cut)
    }

    fn check(&self, asked: StoreRevision) -> Result<(), StoreError> {
        let (oldest, newest) = (self.oldest(), self.revision());
        if asked < oldest {
            return Err(StoreError::Compacted { asked, oldest });
        }
        if asked > newest { Err(StoreError::InFuture { asked, newest }) } else { Ok(()) }
    }

    fn commit(&mut self, writes: &[Write]) -> Result<StoreRevision, StoreError> {
        let mut state = self.states[self.states.len() - 1].clone();
        let revision = self.revision() + 1;
        let mut events = Vec::new();
        for Write { key, expect, change } in writes {
            let previous = state.get(&**key).cloned();
            let found = previous.as_ref().map(|previous| previous.revision);
            let is_met = match expect {
                Expect::Any => true,
                Expect::Absent => found.is_none(),
                Expect::At(at) => found == Some(*at),
            };
            if !is_met {
                return Err(StoreError::Conflict { key: key.to_string(), found });
            }
            let value = match change {
                Change::Put(value) => Some(value.clone()),
                Change::Delete if previous.is_none() => continue,
                Change::Delete => None,
            };
            let event = StoreEvent { revision, key: Arc::clone(key), value, previous };
            match event.record() {
                Some(record) => state.insert(key.to_string(), record),
                None => state.remove(&**key),
            };
            events.push(event);
        }
        if events.is_empty() {
            return Ok(self.revision());
        }
        self.events.extend(events);
        self.states.push(state);
        Ok(revision)
    }

    /// What a watch after a revision has to deliver until now.
    fn events_after(&self, prefix: &str, after: StoreRevision) -> Vec<StoreEvent> {
        let is_meant =
            |event: &&StoreEvent| event.revision > after && event.key.starts_with(prefix);
        self.events.iter().filter(is_meant).cloned().collect()
    }
}

/// A watch, and where its reader thinks it is.
struct Watched {
    watch: Watch,
    prefix: &'static str,
    at: StoreRevision,
}

struct Test {
    folder: tempfile::TempDir,
    store: Option<Arc<EmbeddedStore>>,
    model: Model,
    watches: Vec<Watched>,
}

impl Test {
    fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(writes) => self.commit(writes),
            Step::List { prefix, after, limit, back } => {
                let after = after.map(key);
                // One less than nothing back is the future.
                let at = back.map(|back| (self.model.revision() + 1).saturating_sub(back));
                let prefix = PREFIXES[*prefix];
                self.list(Range { prefix, after: after.as_deref(), limit: *limit, at });
            }
            Step::Watch { prefix, back } => {
                let (prefix, at) = (PREFIXES[*prefix], self.model.revision() + 1);
                let at = at.saturating_sub(*back);
                let expected = self.model.check(at).err();
                match self.store().watch(prefix, at) {
                    Ok(watch) => self.watches.push(Watched { watch, prefix, at }),
                    Err(error) => assert_eq!(Some(error), expected),
                }
            }
            Step::Poll => self.poll(),
            Step::Compact { back } => {
                let before = (self.model.revision() + 1).saturating_sub(*back);
                let compacted = block_on(self.store().compact(before));
                if before <= self.model.revision() {
                    self.model.compacted = self.model.compacted.max(before);
                    assert_eq!(compacted, Ok(self.model.oldest()));
                } else {
                    let newest = self.model.revision();
                    assert_eq!(compacted, Err(StoreError::InFuture { asked: before, newest }));
                }
            }
            Step::Reopen => {
                self.poll();
                self.store = None;
                for watched in &mut self.watches {
                    assert!(block_on(watched.watch.next()).is_none(), "it ends");
                }
                self.store = Some(open(self.folder.path()));
                let store = self.store.as_ref().unwrap();
                // A reader goes on where its watch was.
                self.watches.retain_mut(|watched| {
                    match store.watch(watched.prefix, watched.watch.progress()) {
                        Ok(watch) => watched.watch = watch,
                        Err(_) => return false,
                    }
                    true
                });
            }
        }
        assert_eq!(self.store().revision(), self.model.revision());
        assert_eq!(self.store().oldest(), self.model.oldest());
    }

    fn commit(&mut self, writes: &[(u8, Guess, Option<Vec<u8>>)]) {
        let newest = self.model.states.last().unwrap();
        let writes: Vec<Write> = writes
            .iter()
            .map(|(n, guess, value)| {
                let key = key(*n);
                let found = newest.get(&key).map(|record| record.revision);
                let expect = match (guess, found) {
                    (Guess::Any, _) => Expect::Any,
                    (Guess::Right, None) | (Guess::Wrong, Some(_)) => Expect::Absent,
                    (Guess::Right, Some(revision)) => Expect::At(revision),
                    (Guess::Wrong, None) => Expect::At(1),
                };
                match value {
                    Some(value) => Write::put(key, Bytes::from(value.clone()), expect),
                    None => Write::delete(key, expect),
                }
            })
            .collect();
        let committed = self.store().commit_blocking(writes.clone());
        match gapless_store::check(&writes) {
            Ok(()) => assert_eq!(committed, self.model.commit(&writes)),
            Err(error) => assert_eq!(committed, Err(error)),
        }
    }

    fn list(&self, range: Range<'_>) {
        let at = range.at.unwrap_or(self.model.revision());
        let page = match (self.store().list(range), self.model.check(at)) {
            (Ok(page), Ok(())) => page,
            (listed, checked) => {
                assert_eq!(listed.err(), checked.err());
                return;
            }
        };
        let state = &self.model.states[at as usize];
        let is_meant = |record: &&Record| {
            record.key.starts_with(range.prefix)
                && range.after.is_none_or(|after| &*record.key > after)
        };
        let all: Vec<Record> = state.values().filter(is_meant).cloned().collect();
        let length = all.len().min(range.limit.unwrap_or(usize::MAX));
        assert_eq!(page.records, all[..length]);
        assert_eq!((page.revision, page.more), (at, length < all.len()));
    }

    /// Takes from every watch what there is; it must be what the model says.
    fn poll(&mut self) {
        let model = &self.model;
        self.watches.retain_mut(|watched| {
            let expected = model.events_after(watched.prefix, watched.at);
            let mut seen = Vec::new();
            let mut error = None;
            while let Some(item) = watched.watch.next().now_or_never().flatten() {
                match item {
                    Ok(event) => seen.push(event),
                    Err(other) => error = Some(other),
                }
            }
            if let Some(error) = error {
                // It was overtaken; what it had taken before that it delivers.
                assert!(expected.starts_with(&seen));
                assert!(matches!(error, StoreError::Compacted { oldest, .. } if oldest == model.oldest()));
                assert!(watched.watch.progress() < model.oldest());
                return false;
            }
            assert_eq!(seen, expected);
            watched.at = model.revision();
            assert_eq!(watched.watch.progress(), watched.at);
            true
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_what_the_model_says(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(open(folder.path()));
        let mut test = Test { folder, store, model: Model::new(), watches: Vec::new() };
        for step in &steps {
            test.step(step);
        }
        test.step(&Step::Reopen);
        test.poll();
    }
}
