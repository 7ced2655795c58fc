//! A group: transactions that one fsync makes durable, decided one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use gapless_store::{Change, StoreError, StoreRevision, Write};

use super::queue::{Answer, PackedWrite};
use crate::log::frame::{FrameBuffer, GROUP_BYTES};
use crate::memory::{Effect, State};

/// Transactions in a group.
const TRANSACTIONS_MAX: usize = 1_000;

/// A group being gathered. Nothing of it counts until its frame is durable.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    frame: &'a mut FrameBuffer,
    before: StoreRevision,
    last: StoreRevision,
    /// What is written takes the place of the state for those that come later.
    written: HashMap<Arc<str>, Option<StoreRevision>>,
    effects: Vec<Effect>,
    /// Where history is asked to begin; 0 if nobody asks.
    history: StoreRevision,
    answers: Vec<(Answer, Result<StoreRevision, StoreError>)>,
}

/// A group that is complete.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Whether there is something to write.
    pub(crate) is_written: bool,
    pub(crate) last: StoreRevision,
    pub(crate) effects: Vec<Effect>,
    pub(crate) history: StoreRevision,
    /// Sent when the frame is durable, refusals too: what they found may be a write
    /// of the same group.
    pub(crate) answers: Vec<(Answer, Result<StoreRevision, StoreError>)>,
}

impl<'a> Group<'a> {
    pub(crate) fn begin(before: StoreRevision, frame: &'a mut FrameBuffer) -> Self {
        frame.begin_group(before);
        Group {
            frame,
            before,
            last: before,
            written: HashMap::new(),
            effects: Vec::new(),
            history: 0,
            answers: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.answers.len() >= TRANSACTIONS_MAX || self.frame.len() >= GROUP_BYTES
    }

    /// Decides a transaction.
    pub(crate) fn commit(&mut self, state: &State, writes: Vec<PackedWrite>, answer: Answer) {
        let mut found = Vec::with_capacity(writes.len());
        for PackedWrite { write, .. } in &writes {
            let revision = match self.written.get(&write.key) {
                Some(revision) => *revision,
                None => state.revision_of(&write.key),
            };
            if !write.expect.is_met_by(revision) {
                let conflict = StoreError::Conflict { key: write.key.to_string(), found: revision };
                self.answers.push((answer, Err(conflict)));
                return;
            }
            found.push(revision.is_some());
        }
        let is_effective = |(write, found): &(PackedWrite, bool)| *found || write.packed.is_some();
        let writes: Vec<_> = writes.into_iter().zip(found).filter(is_effective).collect();
        if !writes.is_empty() {
            self.last += 1;
            self.frame.transaction(writes.len());
            writes.into_iter().for_each(|(write, _)| self.write(write));
        }
        self.answers.push((answer, Ok(self.last)));
    }

    fn write(&mut self, PackedWrite { write: Write { key, change, .. }, packed }: PackedWrite) {
        match change {
            Change::Put(value) => self.frame.put(&key, &value),
            Change::Delete => self.frame.delete(&key),
        }
        self.written.insert(Arc::clone(&key), packed.as_ref().map(|_| self.last));
        self.effects.push((self.last, key, packed));
    }

    /// Decides a compaction.
    pub(crate) fn compact(&mut self, state: &State, before: StoreRevision, answer: Answer) {
        let outcome = if before > self.last {
            Err(StoreError::InFuture { asked: before, newest: self.last })
        } else {
            let oldest = state.oldest().max(self.history);
            if before > oldest {
                self.history = before;
            }
            Ok(oldest.max(before))
        };
        self.answers.push((answer, outcome));
    }

    pub(crate) fn end(self) -> Gathered {
        let transactions = self.last - self.before;
        self.frame.end_group(self.history, transactions as u32);
        Gathered {
            is_written: transactions > 0 || self.history > 0,
            last: self.last,
            effects: self.effects,
            history: self.history,
            answers: self.answers,
        }
    }
}
