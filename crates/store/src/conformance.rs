//! The suite every store passes. A store's test file calls [`suite`], or the
//! checks one by one for a test each; `open` opens the store on one place, and
//! opens the same place again when the former handle is gone.
//!
//! ```ignore
//! let folder = tempfile::tempdir()?;
//! conformance::suite(&|| EmbeddedStore::open(folder.path()).unwrap());
//! ```
//!
//! Each check uses keys of its own, so all of them can run on one place, in any
//! order. They panic with what was expected: they are for tests.

use std::sync::Arc;
use std::thread;

use crate::{Expect, Record, Store, StoreError, StoreRevision};

/// Opens the store under test.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// Every check.
pub fn suite(open: Open<'_>) {
    let checks: [fn(Open<'_>); 9] = [
        reads_what_was_written,
        absent_is_not_an_error,
        revisions_order_every_write,
        expectations_decide,
        a_refused_write_changes_nothing,
        lists_by_prefix_in_key_order,
        takes_any_bytes,
        survives_reopening,
        compare_and_swap_loses_no_update,
    ];
    for check in checks {
        check(open);
    }
}

fn conflict(result: Result<StoreRevision, StoreError>) -> Option<StoreRevision> {
    match result {
        Err(StoreError::Conflict { found, .. }) => found,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

/// A record reads as it was last written, with the revision its write returned.
pub fn reads_what_was_written(open: Open<'_>) {
    let store = open();
    for value in [&b"one"[..], b"two", b""] {
        let revision = store.put("read/a", value, Expect::Any).unwrap();
        let expected = Record { key: "read/a".to_owned(), value: value.to_vec(), revision };
        assert_eq!(store.get("read/a").unwrap(), Some(expected));
        assert_eq!(store.revision(), revision);
    }
}

/// What is absent reads as absent and can be removed.
pub fn absent_is_not_an_error(open: Open<'_>) {
    let store = open();
    assert_eq!(store.get("absent/a").unwrap(), None);
    assert!(store.list("absent/").unwrap().is_empty());
    let before = store.revision();
    let after = store.delete("absent/a", Expect::Any).unwrap();
    assert_eq!((before, store.revision()), (after, after), "nothing was written");
}

/// Every write, of whichever key, gets a revision greater than the last.
pub fn revisions_order_every_write(open: Open<'_>) {
    let store = open();
    let mut last = store.revision();
    for round in 0..10u8 {
        let key = format!("order/{}", round % 3);
        let revision = match round % 4 {
            3 if store.get(&key).unwrap().is_some() => store.delete(&key, Expect::Any).unwrap(),
            _ => store.put(&key, &[round], Expect::Any).unwrap(),
        };
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
}

/// `Absent` and `At` are compared with what is there, for writes and removals.
pub fn expectations_decide(open: Open<'_>) {
    let store = open();
    assert_eq!(conflict(store.put("expect/a", b"", Expect::At(1))), None);
    let first = store.put("expect/a", b"1", Expect::Absent).unwrap();
    assert_eq!(conflict(store.put("expect/a", b"2", Expect::Absent)), Some(first));
    let second = store.put("expect/a", b"2", Expect::At(first)).unwrap();
    assert_eq!(conflict(store.put("expect/a", b"3", Expect::At(first))), Some(second));
    assert_eq!(conflict(store.delete("expect/a", Expect::At(first))), Some(second));
    assert_eq!(conflict(store.delete("expect/a", Expect::Absent)), Some(second));
    store.delete("expect/a", Expect::At(second)).unwrap();
    assert_eq!(conflict(store.delete("expect/a", Expect::At(second))), None);
    let again = store.put("expect/a", b"4", Expect::Absent).unwrap();
    assert!(again > second, "a revision is never used twice");
}

/// A refused write leaves value, revision and the store's revision as they were.
pub fn a_refused_write_changes_nothing(open: Open<'_>) {
    let store = open();
    store.put("refused/a", b"kept", Expect::Any).unwrap();
    let (before, revision) = (store.get("refused/a").unwrap(), store.revision());
    conflict(store.put("refused/a", b"lost", Expect::Absent));
    conflict(store.delete("refused/a", Expect::At(revision + 1)));
    conflict(store.put("refused/b", b"lost", Expect::At(revision)));
    assert_eq!(store.get("refused/a").unwrap(), before);
    assert_eq!(store.get("refused/b").unwrap(), None);
    assert_eq!(store.revision(), revision);
}

/// A prefix selects exactly the keys that begin with it, in byte order.
pub fn lists_by_prefix_in_key_order(open: Open<'_>) {
    let store = open();
    let all = ["list/a/2", "list/a/10", "list/ab/1", "list/b", "list/a/\u{10FFFF}", "list/a/"];
    for key in all {
        store.put(key, key.as_bytes(), Expect::Any).unwrap();
    }
    let listed = store.list("list/a/").unwrap();
    assert_eq!(keys(&listed), ["list/a/", "list/a/10", "list/a/2", "list/a/\u{10FFFF}"]);
    assert!(listed.iter().all(|record| record.value == record.key.as_bytes()));
    let mut sorted = all;
    sorted.sort_unstable();
    assert_eq!(keys(&store.list("list/").unwrap()), sorted);
    store.delete("list/a/10", Expect::Any).unwrap();
    assert_eq!(store.list("list/a/").unwrap().len(), 3);
    assert!(store.list("").unwrap().len() >= 5, "the empty prefix selects everything");
}

/// Values are bytes: any, none, and more than a page of them.
pub fn takes_any_bytes(open: Open<'_>) {
    let store = open();
    let every: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    for (key, value) in [("bytes/none", vec![]), ("bytes/every", every), ("bytes/large", large)] {
        store.put(key, &value, Expect::Any).unwrap();
        assert!(store.get(key).unwrap().unwrap().value == value, "{key}");
    }
}

/// What was acknowledged is there when the store is opened again, and
/// revisions go on from where they were.
pub fn survives_reopening(open: Open<'_>) {
    let store = open();
    let kept = store.put("reopen/kept", b"kept", Expect::Any).unwrap();
    store.put("reopen/gone", b"", Expect::Any).unwrap();
    let last = store.delete("reopen/gone", Expect::Any).unwrap();
    drop(store);
    let store = open();
    let record = Record { key: "reopen/kept".to_owned(), value: b"kept".to_vec(), revision: kept };
    assert_eq!(store.list("reopen/").unwrap(), [record]);
    assert_eq!(store.revision(), last);
    assert!(store.put("reopen/kept", b"new", Expect::At(kept)).unwrap() > last);
}

/// Writers that race for one record by compare-and-swap lose no update, and
/// nobody is told that a write happened which did not.
pub fn compare_and_swap_loses_no_update(open: Open<'_>) {
    const WRITERS: u64 = 4;
    const ADDS: u64 = 25;
    let store = open();
    store.put("race/sum", &0u64.to_le_bytes(), Expect::Any).unwrap();
    let add = |store: &dyn Store| loop {
        let record = store.get("race/sum").unwrap().unwrap();
        let sum = u64::from_le_bytes(record.value.try_into().unwrap()) + 1;
        match store.put("race/sum", &sum.to_le_bytes(), Expect::At(record.revision)) {
            Ok(revision) => return revision,
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    };
    let mut revisions: Vec<StoreRevision> = thread::scope(|scope| {
        let work = || (0..ADDS).map(|_| add(&*store)).collect::<Vec<_>>();
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(work)).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let sum = store.get("race/sum").unwrap().unwrap();
    assert_eq!(u64::from_le_bytes(sum.value.try_into().unwrap()), WRITERS * ADDS);
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len() as u64, WRITERS * ADDS, "every write has its own revision");
    assert_eq!(revisions.last(), Some(&sum.revision));
}
