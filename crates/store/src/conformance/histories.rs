//! How far history reaches.

use futures::StreamExt as _;
use futures::executor::block_on;

use super::Open;
use super::support::{is_quiet, until};
use crate::{Expect, Range, Store, StoreError, StoreRevision};

fn list_at(store: &dyn Store, at: StoreRevision) -> Result<usize, StoreError> {
    let range = Range { at: Some(at), ..Range::prefix("compact/") };
    store.list(range).map(|page| page.records.len())
}

/// What is yet to come can be neither listed, nor watched after, nor forgotten.
pub fn the_future_is_refused(open: Open<'_>) {
    let store = open();
    let newest = store.put("future/a", b"", Expect::Any).unwrap();
    let asked = newest + 1;
    let refused = Some(StoreError::InFuture { asked, newest });
    assert_eq!(list_at(&*store, asked).err(), refused);
    assert_eq!(store.watch("", asked).err(), refused);
    assert_eq!(block_on(store.compact(asked)).err(), refused);
    assert!(store.watch("", newest).is_ok());
}

/// Before the oldest revision nothing can be listed or watched, from it on all
/// can; records stay.
pub fn compaction_forgets_history_and_no_record(open: Open<'_>) {
    let store = open();
    let first = store.put("compact/a", b"1", Expect::Any).unwrap();
    store.put("compact/b", b"2", Expect::Any).unwrap();
    let second = store.put("compact/a", b"3", Expect::Any).unwrap();
    let third = store.delete("compact/b", Expect::Any).unwrap();
    let records = store.list_all("").unwrap();
    assert!(store.oldest() <= first, "history is kept for more than a few writes");
    assert_eq!(block_on(store.compact(second)).unwrap(), second);
    assert_eq!(store.oldest(), second);
    assert_eq!(block_on(store.compact(first)).unwrap(), second, "it does not go back");
    let refused = Some(StoreError::Compacted { asked: first, oldest: second });
    assert_eq!(list_at(&*store, first).err(), refused);
    assert_eq!(store.watch("compact/", first).err(), refused);
    assert_eq!(list_at(&*store, second), Ok(2));
    assert_eq!(list_at(&*store, third), Ok(1));
    let mut watch = store.watch("compact/", second).unwrap();
    let events = until(&mut watch, third);
    assert_eq!(events.len(), 1);
    let previous = events[0].previous.as_ref().map(|record| &record.value[..]);
    assert_eq!(previous, Some(&b"2"[..]), "what was replaced is known though it is older");
    assert_eq!(store.list_all("").unwrap(), records);
    assert_eq!(store.revision(), third);
    assert_eq!(block_on(store.compact(third)).unwrap(), third);
    assert_eq!(list_at(&*store, third), Ok(1));
    assert_eq!(store.list_all("").unwrap(), records);
}

/// The oldest revision neither goes back by a restart nor moves on.
pub fn compaction_survives_reopening(open: Open<'_>) {
    let store = open();
    for n in 0..5u8 {
        store.put("compact/r", &[n], Expect::Any).unwrap();
    }
    let last = store.revision();
    let oldest = block_on(store.compact(last - 2)).unwrap();
    let records = store.list_all("").unwrap();
    drop(store);
    let store = open();
    assert_eq!((store.oldest(), store.revision()), (oldest, last));
    assert_eq!(store.list_all("").unwrap(), records);
    assert_eq!(until(&mut store.watch("compact/r", oldest).unwrap(), last).len(), 2);
    assert!(store.watch("", oldest - 1).is_err());
}

/// A watch whose next event is forgotten ends with an error; one that is at the
/// end, or has delivered everything, does not.
pub fn a_watch_that_falls_behind_is_told(open: Open<'_>) {
    let store = open();
    let before = store.put("behind/a", b"0", Expect::Any).unwrap();
    let mut late = store.watch("behind/", before).unwrap();
    let mut asleep = store.watch("elsewhere/", before).unwrap();
    assert!(is_quiet(&mut asleep));
    let first = store.put("behind/a", b"1", Expect::Any).unwrap();
    let last = store.put("behind/a", b"2", Expect::Any).unwrap();
    block_on(store.compact(last)).unwrap();
    let told = block_on(late.next());
    let expected = StoreError::Compacted { asked: before, oldest: last };
    assert_eq!(told, Some(Err(expected)), "its next was revision {first}");
    assert!(block_on(late.next()).is_none(), "an error is the last item");
    assert!(is_quiet(&mut asleep), "nothing was there for it");
    assert_eq!(asleep.progress(), last);
}
