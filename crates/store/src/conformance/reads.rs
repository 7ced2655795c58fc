//! Listing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Open;
use super::support::{keys, record};
use crate::{Expect, Range, Record, Store};

/// A prefix selects exactly the keys that begin with it, in byte order.
pub fn lists_by_prefix_in_key_order(open: Open<'_>) {
    let store = open();
    let all = ["list/a/2", "list/a/10", "list/ab/1", "list/b", "list/a/\u{10FFFF}", "list/a/"];
    for key in all {
        store.put(key, key.as_bytes(), Expect::Any).unwrap();
    }
    let listed = store.list_all("list/a/").unwrap();
    assert_eq!(keys(&listed), ["list/a/", "list/a/10", "list/a/2", "list/a/\u{10FFFF}"]);
    assert!(listed.iter().all(|record| record.value == record.key.as_bytes()));
    let mut sorted = all;
    sorted.sort_unstable();
    assert_eq!(keys(&store.list_all("list/").unwrap()), sorted);
    store.delete("list/a/10", Expect::Any).unwrap();
    assert_eq!(store.list_all("list/a/").unwrap().len(), 3);
    assert!(store.list_all("").unwrap().len() >= 5, "the empty prefix selects everything");
    assert!(store.list_all("list/c").unwrap().is_empty());
}

/// Every page but the last is full and says that there is more.
pub fn lists_in_pages(open: Open<'_>) {
    let store = open();
    let all: Vec<String> = (0..10).map(|n| format!("pages/{n}")).collect();
    for key in &all {
        store.put(key, b"", Expect::Any).unwrap();
    }
    store.put("pages0", b"after the prefix", Expect::Any).unwrap();
    for limit in [1, 3, 5, 10, 11] {
        let found = in_pages(&*store, "pages/", limit);
        assert_eq!(keys(&found), all, "in pages of {limit}");
    }
    let page = |range| store.list(range).unwrap();
    let base = Range::prefix("pages/");
    let none = page(Range { limit: Some(0), ..base });
    assert!(none.records.is_empty() && none.more);
    let rest = page(Range { after: Some("pages/7x"), ..base });
    assert_eq!((keys(&rest.records), rest.more), (vec!["pages/8", "pages/9"], false));
    let before = page(Range { after: Some("a"), limit: Some(1), ..base });
    assert_eq!((keys(&before.records), before.more), (vec!["pages/0"], true));
    assert!(page(Range { after: Some("pages/9"), ..base }).records.is_empty());
    assert!(page(Range { after: Some("z"), ..base }).records.is_empty());
}

fn in_pages(store: &dyn Store, prefix: &str, limit: usize) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    let mut at = None;
    loop {
        let after = found.last().map(|record| record.key.clone());
        let after = after.as_deref();
        let page = store.list(Range { prefix, after, limit: Some(limit), at }).unwrap();
        assert!(page.records.len() <= limit);
        assert!(page.records.len() == limit || !page.more, "a page that is not full is the last");
        found.extend(page.records);
        at = Some(page.revision);
        if !page.more {
            return found;
        }
    }
}

/// A list at a revision shows what was there then, whatever came later.
pub fn lists_at_a_revision(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let first = store.put("at/a", b"1", Expect::Any).unwrap();
    let second = store.put("at/b", b"2", Expect::Any).unwrap();
    let third = store.put("at/a", b"3", Expect::Any).unwrap();
    let gone = store.delete("at/b", Expect::Any).unwrap();
    let back = store.put("at/b", b"4", Expect::Any).unwrap();
    let check = |store: &dyn Store| {
        let at = |revision| {
            let page = store.list(Range { at: Some(revision), ..Range::prefix("at/") }).unwrap();
            assert_eq!((page.revision, page.more), (revision, false));
            page.records
        };
        let (a1, b2) = (record("at/a", b"1", first, first), record("at/b", b"2", second, second));
        let a3 = record("at/a", b"3", third, first);
        assert_eq!(at(before), []);
        assert_eq!(at(first), std::slice::from_ref(&a1));
        assert_eq!(at(second), [a1, b2.clone()]);
        assert_eq!(at(third), [a3.clone(), b2]);
        assert_eq!(at(gone), std::slice::from_ref(&a3));
        assert_eq!(at(back), [a3, record("at/b", b"4", back, back)]);
    };
    check(&*store);
    drop(store);
    check(&*open());
}

/// Pages that name the first one's revision show one state, and a list without a
/// limit does so by itself, while others write.
pub fn pages_of_one_revision_agree_while_others_write(open: Open<'_>) {
    const KEYS: usize = 700;
    let store = open();
    for n in 0..KEYS {
        store.put(&format!("agree/{n:04}"), b"0", Expect::Any).unwrap();
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Each round gives every key the same value, in key order.
            for round in 1u32.. {
                for n in 0..KEYS {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let value = round.to_string();
                    store.put(&format!("agree/{n:04}"), value.as_bytes(), Expect::Any).unwrap();
                }
            }
        });
        // At any one revision, the keys already written in a round come before the others.
        let is_one_state = |records: &[Record]| {
            let numbers: Vec<u32> = records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.value).parse().unwrap())
                .collect();
            let first = numbers[0];
            records.len() == KEYS
                && numbers.is_sorted_by(|a, b| a >= b)
                && numbers.iter().all(|number| first - number <= 1)
        };
        for _ in 0..5 {
            let paged = in_pages(&*store, "agree/", 100);
            let whole = store.list_all("agree/").unwrap();
            is_over.store(!is_one_state(&paged) || !is_one_state(&whole), Ordering::Relaxed);
            assert!(is_one_state(&paged) && is_one_state(&whole), "a list mixes revisions");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
