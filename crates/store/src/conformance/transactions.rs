//! Transactions of several writes.

use std::thread;

use futures::executor::block_on;
use futures::future::join_all;

use super::Open;
use super::support::{conflict, created, until};
use crate::{
    Expect, KEY_BYTES_MAX, Range, StoreError, TRANSACTION_BYTES_MAX, TRANSACTION_WRITES_MAX, Write,
};

/// All writes of a transaction share one revision, the next.
pub fn a_transaction_is_one_revision(open: Open<'_>) {
    let store = open();
    let gone = store.put("one/gone", b"", Expect::Any).unwrap();
    let writes = vec![
        Write::put("one/a", &b"a"[..], Expect::Absent),
        Write::put("one/b", &b"b"[..], Expect::Any),
        Write::delete("one/gone", Expect::At(gone)),
        Write::delete("one/never", Expect::Any),
    ];
    let revision = store.commit_blocking(writes).unwrap();
    assert_eq!(revision, gone + 1);
    let expected = [created("one/a", b"a", revision), created("one/b", b"b", revision)];
    assert_eq!(store.list_all("one/").unwrap(), expected);
    assert_eq!(store.revision(), revision);
}

/// One expectation that is not met refuses all writes, and names its record.
pub fn a_transaction_is_all_or_nothing(open: Open<'_>) {
    let store = open();
    let there = store.put("all/there", b"", Expect::Any).unwrap();
    let wrong = [
        Write::put("all/there", &b"new"[..], Expect::Absent),
        Write::delete("all/there", Expect::At(there + 1)),
    ];
    for wrong in wrong {
        let writes = vec![
            Write::put("all/first", &b""[..], Expect::Any),
            wrong,
            Write::put("all/last", &b""[..], Expect::At(7)),
        ];
        match store.commit_blocking(writes) {
            Err(StoreError::Conflict { key, found }) => {
                assert_eq!((&*key, found), ("all/there", Some(there)));
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
    assert_eq!(store.list_all("all/").unwrap(), [created("all/there", b"", there)]);
    assert_eq!(store.revision(), there);
    drop(store);
    assert_eq!(open().list_all("all/").unwrap().len(), 1);
}

/// A transaction without writes, or of deletions of what is absent, is no event
/// and takes no revision, but its expectations count.
pub fn a_transaction_that_changes_nothing_takes_no_revision(open: Open<'_>) {
    let store = open();
    let before = store.put("nothing/there", b"", Expect::Any).unwrap();
    assert_eq!(store.commit_blocking(vec![]).unwrap(), before);
    let absent = || Write::delete("nothing/absent", Expect::Any);
    let other = || Write::delete("nothing/other", Expect::Absent);
    assert_eq!(store.commit_blocking(vec![absent(), other()]).unwrap(), before);
    let wrong = Write::delete("nothing/there", Expect::Absent);
    assert_eq!(conflict(store.commit_blocking(vec![absent(), wrong])), Some(before));
    let mut watch = store.watch("nothing/", before).unwrap();
    let after = store.put("nothing/there", b"1", Expect::Any).unwrap();
    assert_eq!(after, before + 1);
    assert_eq!(until(&mut watch, after).len(), 1);
}

/// Too many, too large, twice the same key, no key: refused, and nothing changed.
pub fn a_wrong_transaction_is_refused(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let put = |key: &str, bytes: usize| Write::put(key, vec![7; bytes], Expect::Any);
    let refused = |writes| store.commit_blocking(writes).unwrap_err();
    let twice = refused(vec![put("wrong/a", 1), put("wrong/b", 1), put("wrong/a", 2)]);
    assert_eq!(twice, StoreError::DuplicateKey { key: "wrong/a".to_owned() });
    assert_eq!(refused(vec![put("", 1)]), StoreError::EmptyKey);
    let many: Vec<_> =
        (0..=TRANSACTION_WRITES_MAX).map(|n| put(&format!("wrong/{n}"), 1)).collect();
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    let large = put("wrong/large", TRANSACTION_BYTES_MAX);
    for (writes, most) in [
        (many.clone(), TRANSACTION_WRITES_MAX),
        (vec![put(&long, 1)], KEY_BYTES_MAX),
        (vec![large], TRANSACTION_BYTES_MAX),
    ] {
        match refused(writes) {
            StoreError::TooLarge { found, max, .. } => assert!(max == most && found > most),
            other => panic!("expected to be too large, got {other:?}"),
        }
    }
    assert_eq!(store.revision(), before);
    let most = store.commit_blocking(many[1..].to_vec()).unwrap();
    assert_eq!(most, before + 1, "exactly as many as allowed are");
    let largest = put(&"l".repeat(KEY_BYTES_MAX), TRANSACTION_BYTES_MAX - KEY_BYTES_MAX);
    assert_eq!(store.commit_blocking(vec![largest]).unwrap(), most + 1);
}

/// Readers see all of a transaction or none, at every revision.
pub fn transactions_are_seen_whole(open: Open<'_>) {
    const ROUNDS: u32 = 60;
    let store = open();
    let write = |round: u32| {
        let value = round.to_string().into_bytes();
        let put = |key: &str| Write::put(key, value.clone(), Expect::Any);
        store.commit_blocking(vec![put("whole/a"), put("whole/b"), put("whole/c")]).unwrap()
    };
    let first = write(0);
    let mut watch = store.watch("whole/", first).unwrap();
    let last = thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=ROUNDS).fold(0, |_, round| write(round)));
        while !writer.is_finished() {
            let records = store.list_all("whole/").unwrap();
            assert_eq!(records.len(), 3);
            assert!(records.iter().all(|r| r.value == records[0].value), "a torn read");
        }
        writer.join().unwrap()
    });
    let events = until(&mut watch, last);
    assert_eq!(events.len(), 3 * ROUNDS as usize);
    for of_one in events.chunks(3) {
        assert!(of_one.iter().all(|event| event.revision == of_one[0].revision));
        assert!(of_one.iter().all(|event| event.value == of_one[0].value));
    }
    for event in &events {
        let range = Range { at: Some(event.revision), ..Range::prefix("whole/") };
        let records = store.list(range).unwrap().records;
        assert!(records.iter().all(|record| Some(&record.value) == event.value.as_ref()));
    }
}

/// Commits are in the order of their calls, whenever they are awaited, and one
/// that nobody awaits happens too.
pub fn commits_in_sequence_commit_in_that_sequence(open: Open<'_>) {
    let store = open();
    let put = |n: u32| {
        store.commit(vec![Write::put("sequence/a", n.to_string().into_bytes(), Expect::Any)])
    };
    let mut commits: Vec<_> = (0..50).map(put).collect();
    commits.reverse();
    let mut revisions = block_on(join_all(commits));
    revisions.reverse();
    let revisions: Vec<_> = revisions.into_iter().map(Result::unwrap).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b));
    drop(put(50));
    let last = block_on(put(51)).unwrap();
    assert_eq!(last, revisions[49] + 2, "the dropped one happened");
    assert_eq!(&store.get("sequence/a").unwrap().unwrap().value[..], b"51");
}
