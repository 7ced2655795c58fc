//! Watching.

use std::thread;

use futures::StreamExt as _;
use futures::executor::block_on;

use super::Open;
use super::support::{created, is_quiet, next, record, until};
use crate::{Expect, StoreEvent, Write};

/// First what happened after the revision, then what happens, each with the value
/// before and after.
pub fn a_watch_delivers_history_and_then_what_happens(open: Open<'_>) {
    let store = open();
    let before = store.put("watch/a", b"0", Expect::Any).unwrap();
    let one = store.put("watch/a", b"1", Expect::Any).unwrap();
    let two = store.put("watch/b", b"2", Expect::Any).unwrap();
    let mut watch = store.watch("watch/", before).unwrap();
    let three = store.delete("watch/a", Expect::Any).unwrap();
    let events = until(&mut watch, three);
    let event = |revision, key: &str, value: Option<&[u8]>, previous| StoreEvent {
        revision,
        key: key.into(),
        value: value.map(|value| value.to_vec().into()),
        previous,
    };
    let a = |value: &[u8], revision| Some(record("watch/a", value, revision, before));
    assert_eq!(
        events,
        [
            event(one, "watch/a", Some(b"1"), a(b"0", before)),
            event(two, "watch/b", Some(b"2"), None),
            event(three, "watch/a", None, a(b"1", one)),
        ]
    );
    assert_eq!(events[0].record(), a(b"1", one));
    assert_eq!(events[1].record(), Some(created("watch/b", b"2", two)));
    assert_eq!(events[2].record(), None);
    assert!(is_quiet(&mut watch));
    // Woken by what comes later.
    let four = thread::scope(|scope| {
        let waiting = scope.spawn(|| next(&mut watch));
        let four = store.put("watch/a", b"4", Expect::Any).unwrap();
        assert_eq!(waiting.join().unwrap(), event(four, "watch/a", Some(b"4"), None));
        four
    });
    assert_eq!(watch.progress(), four);
}

/// Events are those of the prefix, all and no others.
pub fn a_watch_delivers_only_its_prefix(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let mut one = store.watch("only/a/", before).unwrap();
    let mut all = store.watch("", before).unwrap();
    assert!(is_quiet(&mut one) && is_quiet(&mut all));
    let put = |key: &str| Write::put(key, &b""[..], Expect::Any);
    store.commit_blocking(vec![put("only/b/1"), put("only/a/1"), put("only/a")]).unwrap();
    store.put("only/b/2", b"", Expect::Any).unwrap();
    let last = store.put("only/a/2", b"", Expect::Any).unwrap();
    let keys = |events: Vec<StoreEvent>| -> Vec<String> {
        events.iter().map(|event| event.key.to_string()).collect()
    };
    assert_eq!(keys(until(&mut one, last)), ["only/a/1", "only/a/2"]);
    let every = ["only/b/1", "only/a/1", "only/a", "only/b/2", "only/a/2"];
    assert_eq!(keys(until(&mut all, last)), every);
}

/// A watch after a revision from before a restart misses nothing.
pub fn a_watch_survives_reopening(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let mut last = 0;
    for n in 0..20u32 {
        last = store.put("resume/a", n.to_string().as_bytes(), Expect::Any).unwrap();
    }
    let events = until(&mut store.watch("resume/", before).unwrap(), last);
    assert_eq!(events.len(), 20);
    drop(store);
    let store = open();
    let mut watch = store.watch("resume/", before).unwrap();
    assert_eq!(until(&mut watch, last), events, "after a restart");
    let live = store.put("resume/a", b"live", Expect::Any).unwrap();
    assert_eq!(until(&mut watch, live).len(), 1);
    let mut later = store.watch("resume/", events[9].revision).unwrap();
    assert_eq!(until(&mut later, last), events[10..]);
}

/// A new watch after another's progress gets what that one has not delivered: no
/// gap, no duplicate, and a transaction whole or not at all.
pub fn a_watch_goes_on_where_another_was(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let put = |key: String| Write::put(key, &b""[..], Expect::Any);
    let mut last = 0;
    for n in 0..10 {
        let writes = (0..=n % 3).map(|m| put(format!("goes/{n}/{m}"))).collect();
        last = store.commit_blocking(writes).unwrap();
    }
    let all = until(&mut store.watch("goes/", before).unwrap(), last);
    for stop in 0..=all.len() {
        let mut first = store.watch("goes/", before).unwrap();
        let mut seen: Vec<StoreEvent> = (0..stop).map(|_| next(&mut first)).collect();
        let progress = first.progress();
        // What of a transaction was seen in part comes again, whole.
        seen.retain(|event| event.revision <= progress);
        seen.extend(until(&mut store.watch("goes/", progress).unwrap(), last));
        assert_eq!(seen, all, "after {stop} events");
    }
}

/// A watch tells how far it has come also if nothing under its prefix changes.
pub fn progress_moves_on_without_events(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let mut watch = store.watch("progress/", before).unwrap();
    assert_eq!(watch.progress(), before);
    assert!(is_quiet(&mut watch));
    let other = store.put("elsewhere/a", b"", Expect::Any).unwrap();
    assert!(is_quiet(&mut watch));
    assert_eq!(watch.progress(), other);
    let mine = store.put("progress/a", b"", Expect::Any).unwrap();
    assert!(watch.progress() < mine, "it was not delivered yet");
    assert_eq!(next(&mut watch).revision, mine);
    assert_eq!(watch.progress(), mine);
}

/// Watches that begin at any time, while many write, see the same sequence.
pub fn many_watches_see_the_same(open: Open<'_>) {
    const WRITERS: usize = 4;
    const WRITES: usize = 50;
    let store = open();
    let before = store.revision();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for n in 0..WRITES {
                    let key = format!("many/{writer}/{}", n % 7);
                    store.put(&key, n.to_string().as_bytes(), Expect::Any).unwrap();
                }
            });
        }
        let watch = || {
            let mut watch = store.watch("many/", before).unwrap();
            (0..WRITERS * WRITES).map(|_| next(&mut watch)).collect::<Vec<_>>()
        };
        let watches: Vec<_> = (0..4).map(|_| scope.spawn(watch)).collect();
        let seen: Vec<_> = watches.into_iter().map(|watch| watch.join().unwrap()).collect();
        assert!(seen[0].is_sorted_by(|a, b| a.revision < b.revision));
        assert!(seen.iter().all(|events| *events == seen[0]));
    });
}

/// A watch does not wait for ever on a store that is gone, and keeps nothing open.
pub fn a_watch_ends_when_the_store_is_closed(open: Open<'_>) {
    let store = open();
    let before = store.revision();
    let mut asleep = store.watch("closed/", before).unwrap();
    assert!(is_quiet(&mut asleep));
    let mut behind = store.watch("closed/", before).unwrap();
    let last = store.put("closed/a", b"", Expect::Any).unwrap();
    drop(store);
    for watch in [&mut asleep, &mut behind] {
        assert_eq!(next(watch).revision, last, "what was there is delivered");
        assert!(block_on(watch.next()).is_none());
    }
    assert!(open().get("closed/a").unwrap().is_some());
}
