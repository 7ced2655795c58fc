//! Group commit: one thread takes whatever waits, decides it in order, makes it
//! durable with one fsync, shows it to readers and watches, and only then answers.
//! Under load an fsync is shared by everything that came during the one before;
//! a lone write waits for nobody.
//!
//! Expectations are decided before the disk is touched, against what is durable
//! and what the same group already decided, so that a group is one frame.

mod group;
mod queue;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use gapless_store::StoreError;

use crate::bounds::Bounds;
use crate::checkpoint::{Checkpointer, Job};
use crate::log::append::Log;
use crate::log::frame::FrameBuffer;
use crate::memory::Memory;
use group::{Gathered, Group};
pub(crate) use queue::{PackedWrite, Queue, Request};

/// The thread that writes. Dropping it finishes what waits and closes the log.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(log: Log, memory: Arc<Memory>, bounds: Bounds) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(&bounds));
        let done = Arc::clone(&queue);
        let checkpointer = Checkpointer::start(
            Arc::clone(&log.disk),
            log.folder.clone(),
            Arc::clone(&memory),
            move |first| done.tell(Request::Checkpointed { first }),
        )?;
        let writing = Writing {
            queue: Arc::clone(&queue),
            log,
            memory,
            checkpointer,
            bounds,
            is_checkpointing: false,
            reclaimable_at_failure: 0,
            frame: FrameBuffer::default(),
        };
        let thread =
            thread::Builder::new().name("store-writer".to_owned()).spawn(move || writing.run())?;
        Ok(Writer { queue, thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already seen by those who waited for it.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Writing {
    queue: Arc<Queue>,
    log: Log,
    memory: Arc<Memory>,
    checkpointer: Checkpointer,
    bounds: Bounds,
    is_checkpointing: bool,
    /// How much a checkpoint would have freed when the last one failed.
    reclaimable_at_failure: u64,
    frame: FrameBuffer,
}

impl Writing {
    fn run(mut self) {
        let mut requests = Vec::new();
        while self.queue.take(&mut requests) {
            let mut waiting = requests.drain(..);
            while waiting.len() > 0 {
                self.group(&mut waiting);
                self.consider_checkpoint();
            }
        }
        self.log.close();
    }

    /// Takes a group's worth of requests and settles it.
    fn group(&mut self, waiting: &mut std::vec::Drain<'_, Request>) {
        let gathered = {
            let state = self.memory.read();
            let mut group = Group::begin(state.revision(), &mut self.frame);
            while !group.is_full()
                && let Some(request) = waiting.next()
            {
                match request {
                    Request::Commit { writes, answer } => group.commit(&state, writes, answer),
                    Request::Compact { before, answer } => group.compact(&state, before, answer),
                    Request::Checkpointed { first } => {
                        self.is_checkpointing = false;
                        match first {
                            Some(first) => {
                                self.log.forget_before(first);
                                self.reclaimable_at_failure = 0;
                            }
                            None => {
                                self.reclaimable_at_failure =
                                    self.log.reclaimable_bytes(state.oldest());
                            }
                        }
                    }
                }
            }
            group.end()
        };
        self.settle(gathered);
    }

    fn settle(&mut self, gathered: Gathered) {
        let Gathered { is_written, last, effects, history, answers } = gathered;
        let written = if is_written { self.log.append(&mut self.frame, last) } else { Ok(()) };
        if let Err(error) = written {
            for (answer, _) in answers {
                // Who no longer waits for the answer does not want it.
                let _ = answer.send(Err(error.clone()));
            }
            return;
        }
        if is_written {
            self.memory.publish(effects, last, history);
        }
        for (answer, outcome) in answers {
            let _ = answer.send(outcome);
        }
    }

    /// Begins a checkpoint when the log before history is long enough to be worth it.
    fn consider_checkpoint(&mut self) {
        if self.is_checkpointing {
            return;
        }
        let (oldest, live_bytes) = {
            let state = self.memory.read();
            (state.oldest(), state.live_bytes())
        };
        let worth = live_bytes.max(self.bounds.checkpoint_bytes_min) + self.reclaimable_at_failure;
        if self.log.reclaimable_bytes(oldest) < worth {
            return;
        }
        let replaced: Vec<u64> = self.log.reclaimable(oldest).map(|one| one.sequence).collect();
        // Only this thread moves history on, so the oldest revision is still there.
        let pin: Result<_, StoreError> = self.memory.pin(Some(oldest));
        if let (Ok(pin), Some(last)) = (pin, replaced.last()) {
            let first = last + 1;
            self.is_checkpointing = self.checkpointer.begin(Job { pin, first, replaced });
        }
    }
}

impl Drop for Writing {
    /// Also when the thread panics: nobody waits for an answer that never comes.
    fn drop(&mut self) {
        self.queue.abandon();
        self.memory.close();
    }
}
