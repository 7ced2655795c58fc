//! The newest lines of one function, in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

use super::line::Line;

/// Lines kept of one function.
const LINES_MAX: usize = 1_000;
/// What they may take.
const BYTES_MAX: usize = 1 << 20;
/// What the lines of all functions may take; past it, whoever writes gives up its own oldest.
const BYTES_OF_ALL_MAX: usize = 64 << 20;
/// Lines a follower may be behind.
const BEHIND_MAX: usize = 512;

/// What the rings of all functions take together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    has_dropped: bool,
    live: Option<broadcast::Sender<Arc<Line>>>,
    budget: Arc<Budget>,
}

impl Ring {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Ring { lines: VecDeque::new(), bytes: 0, has_dropped: false, live: None, budget }
    }

    pub(super) fn push(&mut self, line: Arc<Line>) {
        if let Some(live) = &self.live
            && live.send(Arc::clone(&line)).is_err()
        {
            // The last follower has left.
            self.live = None;
        }
        let bytes = line.bytes();
        self.lines.push_back(line);
        self.bytes += bytes;
        let mut all = self.budget.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        while self.lines.len() > LINES_MAX
            || self.bytes > BYTES_MAX
            || (all > BYTES_OF_ALL_MAX && self.lines.len() > 1)
        {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.has_dropped = true;
            self.bytes -= oldest.bytes();
            all = self.budget.bytes.fetch_sub(oldest.bytes(), Ordering::Relaxed) - oldest.bytes();
        }
    }

    /// Whether it holds every line of this run.
    pub(super) fn is_complete(&self) -> bool {
        !self.has_dropped
    }

    /// The newest `lines` lines, oldest first.
    pub(super) fn tail(&self, lines: usize) -> Vec<Arc<Line>> {
        let skipped = self.lines.len().saturating_sub(lines);
        self.lines.iter().skip(skipped).cloned().collect()
    }

    /// Every line from now on.
    pub(super) fn follow(&mut self) -> broadcast::Receiver<Arc<Line>> {
        self.live.get_or_insert_with(|| broadcast::channel(BEHIND_MAX).0).subscribe()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use gapless_sandbox::LogStream;
    use gapless_types::InstanceId;

    use super::*;

    fn line(bytes: usize) -> Arc<Line> {
        Arc::new(Line::new(InstanceId(1), LogStream::Stdout, &vec![b'x'; bytes]))
    }

    #[test]
    fn bounded_in_lines_and_bytes_and_given_back() {
        let budget = Arc::<Budget>::default();
        let mut ring = Ring::new(Arc::clone(&budget));
        for _ in 0..LINES_MAX {
            ring.push(line(10));
        }
        assert!(ring.is_complete());
        ring.push(line(10));
        assert!(!ring.is_complete());
        assert_eq!(ring.tail(usize::MAX).len(), LINES_MAX);
        for _ in 0..200 {
            ring.push(line(10_000));
        }
        assert!(ring.bytes <= BYTES_MAX && ring.lines.len() > 90);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), ring.bytes);
        drop(ring);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }
}
