//! Writing one record at a time.

use std::thread;

use super::Open;
use super::support::{conflict, created, record};
use crate::{Expect, Store, StoreError, StoreRevision};

/// A record reads as it was last written, with the revision its write returned.
pub fn reads_what_was_written(open: Open<'_>) {
    let store = open();
    let mut first = None;
    for value in [&b"one"[..], b"two", b""] {
        let revision = store.put("read/a", value, Expect::Any).unwrap();
        let first = *first.get_or_insert(revision);
        assert_eq!(store.get("read/a").unwrap(), Some(record("read/a", value, revision, first)));
        assert_eq!(store.revision(), revision);
    }
}

/// What is absent reads as absent and can be removed.
pub fn absent_is_not_an_error(open: Open<'_>) {
    let store = open();
    assert_eq!(store.get("absent/a").unwrap(), None);
    assert!(store.list_all("absent/").unwrap().is_empty());
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
    assert_eq!(store.list_all("reopen/").unwrap(), [created("reopen/kept", b"kept", kept)]);
    assert_eq!(store.revision(), last);
    assert!(store.put("reopen/kept", b"new", Expect::At(kept)).unwrap() > last);
}

/// The revision that created a record stays with it while it is changed, over
/// reopening too; one that was deleted is created anew.
pub fn created_is_the_first_write(open: Open<'_>) {
    let store = open();
    let first = store.put("created/a", b"1", Expect::Absent).unwrap();
    let second = store.put("created/a", b"2", Expect::Any).unwrap();
    let changed = Some(record("created/a", b"2", second, first));
    assert_eq!(store.get("created/a").unwrap(), changed);
    drop(store);
    let store = open();
    assert_eq!(store.get("created/a").unwrap(), changed);
    store.delete("created/a", Expect::Any).unwrap();
    let again = store.put("created/a", b"3", Expect::Any).unwrap();
    assert_eq!(store.get("created/a").unwrap(), Some(created("created/a", b"3", again)));
}

/// Writers that race for one record by compare-and-swap lose no update, and
/// nobody is told that a write happened which did not.
pub fn compare_and_swap_loses_no_update(open: Open<'_>) {
    const WRITERS: u64 = 4;
    const ADDS: u64 = 25;
    let store = open();
    store.put("race/sum", &0u64.to_le_bytes(), Expect::Any).unwrap();
    let sum_of = |store: &dyn Store| {
        let record = store.get("race/sum").unwrap().unwrap();
        (u64::from_le_bytes(record.value[..].try_into().unwrap()), record.revision)
    };
    let add = |store: &dyn Store| loop {
        let (sum, revision) = sum_of(store);
        match store.put("race/sum", &(sum + 1).to_le_bytes(), Expect::At(revision)) {
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
    let (sum, last) = sum_of(&*store);
    assert_eq!(sum, WRITERS * ADDS);
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len() as u64, WRITERS * ADDS, "every write has its own revision");
    assert_eq!(revisions.last(), Some(&last));
}
