//! [`ChangeLog`]: which nodes changed, in order, so that whoever keeps something
//! computed per node refreshes only those. Bounded: a reader that fell behind its
//! window computes everything anew.

use std::collections::VecDeque;

use crate::state::NodeIndex;

/// Changes kept, at the least; more for larger clusters.
const KEPT_MIN: usize = 4_096;

/// Changed nodes, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeLog {
    nodes: VecDeque<NodeIndex>,
    /// Sequence number of the oldest kept.
    first: u64,
}

impl ChangeLog {
    /// The number that the next change will have.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.nodes.len() as u64
    }

    pub(crate) fn push(&mut self, node: NodeIndex, cluster_size: usize) {
        self.nodes.push_back(node);
        if self.nodes.len() > KEPT_MIN.max(cluster_size) {
            self.nodes.pop_front();
            self.first += 1;
        }
    }

    /// The changes from number `seen` on; `None` if some of them are not kept.
    pub(crate) fn since(&self, seen: u64) -> Option<impl Iterator<Item = NodeIndex> + '_> {
        let skip = seen.checked_sub(self.first)?;
        Some(self.nodes.range(skip as usize..).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_fell_behind_is_told() {
        let mut log = ChangeLog::default();
        let begin = log.next();
        log.push(NodeIndex(1), 1);
        log.push(NodeIndex(1), 1);
        assert_eq!(log.since(begin).unwrap().count(), 2);
        for _ in 0..KEPT_MIN {
            log.push(NodeIndex(2), 1);
        }
        assert!(log.since(begin).is_none());
        assert_eq!(log.since(log.next()).unwrap().count(), 0);
    }
}
