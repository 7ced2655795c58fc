//! Group commit: one thread takes whatever writes are waiting, applies them in
//! one transaction, waits for one fsync and only then answers all of them. Under
//! load an fsync is shared by up to [`GROUP_MAX`] writes; a lone write waits for
//! nobody.
//!
//! Expectations are checked inside the transaction, so writes of one group see
//! each other. A refusal is answered after the commit too: what it found may be
//! a write of its own group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use gapless_store::{Expect, StoreError, StoreRevision};
use redb::{Database, ReadableTable, Table};

use crate::store::{META, META_REVISION, RECORDS};

/// Writes that wait for the writer; further writers wait to hand theirs over.
const WAITING_MAX: usize = 1024;
/// Writes in one transaction.
const GROUP_MAX: usize = 256;

/// What a write does to its record.
#[derive(Debug)]
pub(crate) enum Change {
    /// Sets the value.
    Put(Box<[u8]>),
    /// Removes the record.
    Delete,
}

struct Write {
    key: Box<str>,
    change: Change,
    expect: Expect,
    answer: SyncSender<Result<StoreRevision, StoreError>>,
}

/// The thread that writes. Dropping it finishes what is waiting.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `revision` shows the last commit's revision.
    pub(crate) fn start(
        database: Arc<Database>,
        revision: Arc<AtomicU64>,
    ) -> std::io::Result<Writer> {
        let (queue, writes) = sync_channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&database, &revision, &writes))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Writes and waits until it is on disk or refused.
    pub(crate) fn write(
        &self,
        key: &str,
        change: Change,
        expect: Expect,
    ) -> Result<StoreRevision, StoreError> {
        let (answer, answered) = sync_channel(1);
        let write = Write { key: key.into(), change, expect, answer };
        let closed = || StoreError::Failed {
            what: format!("cannot write {key}"),
            why: "the store's writer has ended; restart gapless".to_owned(),
        };
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(write).map_err(|_| closed())?;
        answered.recv().map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already seen by those who waited for it.
            let _ = thread.join();
        }
    }
}

fn run(database: &Database, revision: &AtomicU64, writes: &Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Ok(first) = writes.recv() {
        group.push(first);
        while group.len() < GROUP_MAX
            && let Ok(next) = writes.try_recv()
        {
            group.push(next);
        }
        match commit(database, &group) {
            Ok((last, outcomes)) => {
                revision.store(last, Ordering::Release);
                for (write, outcome) in group.drain(..).zip(outcomes) {
                    // Who no longer waits for the answer does not want it.
                    let _ = write.answer.send(outcome);
                }
            }
            Err(why) => refuse_all(&mut group, &why),
        }
    }
}

/// A commit that failed acknowledges nothing. redb refuses every later write
/// after an I/O error, so a store that may have lost something stays refused
/// until it is opened again.
fn refuse_all(group: &mut Vec<Write>, why: &redb::Error) {
    tracing::error!(%why, writes = group.len(), "the store cannot write");
    for write in group.drain(..) {
        let error = StoreError::Failed {
            what: format!("cannot write {}", write.key),
            why: why.to_string(),
        };
        let _ = write.answer.send(Err(error));
    }
}

type Outcomes = Vec<Result<StoreRevision, StoreError>>;

fn commit(database: &Database, group: &[Write]) -> Result<(u64, Outcomes), redb::Error> {
    let transaction = database.begin_write()?;
    let mut outcomes = Vec::with_capacity(group.len());
    let (before, mut last);
    {
        let mut records = transaction.open_table(RECORDS)?;
        let mut meta = transaction.open_table(META)?;
        before = meta.get(META_REVISION)?.map_or(0, |found| found.value());
        last = before;
        for write in group {
            let outcome = apply(&mut records, write, last + 1)?;
            match outcome {
                Outcome::Written => {
                    last += 1;
                    outcomes.push(Ok(last));
                }
                Outcome::WasAbsent => outcomes.push(Ok(last)),
                Outcome::Refused(found) => {
                    let key = write.key.to_string();
                    outcomes.push(Err(StoreError::Conflict { key, found }));
                }
            }
        }
        meta.insert(META_REVISION, last)?;
    }
    if last == before {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok((last, outcomes))
}

enum Outcome {
    Written,
    WasAbsent,
    Refused(Option<StoreRevision>),
}

fn apply(
    records: &mut Table<'_, &'static str, (u64, &'static [u8])>,
    write: &Write,
    revision: StoreRevision,
) -> Result<Outcome, redb::Error> {
    let found = records.get(&*write.key)?.map(|record| record.value().0);
    let is_as_expected = match write.expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::At(expected) => found == Some(expected),
    };
    if !is_as_expected {
        return Ok(Outcome::Refused(found));
    }
    match &write.change {
        Change::Put(value) => {
            records.insert(&*write.key, (revision, &**value))?;
        }
        Change::Delete if found.is_none() => return Ok(Outcome::WasAbsent),
        Change::Delete => {
            records.remove(&*write.key)?;
        }
    }
    Ok(Outcome::Written)
}
