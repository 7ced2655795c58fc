//! [`NodeSet`]: a set of nodes as a bitset, one bit per [`NodeIndex`]. An attribute
//! (a label requirement that holds, an image that is there) is one set, so that a
//! filter over a whole cluster is an AND of a few machine words per 64 nodes.

use super::NodeIndex;

/// A set of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    /// Whether a node is in the set.
    #[inline]
    pub fn contains(&self, node: NodeIndex) -> bool {
        let word = self.words.get(node.index() / 64).copied().unwrap_or(0);
        word >> (node.index() % 64) & 1 == 1
    }

    /// Puts a node in, or takes it out.
    pub fn set(&mut self, node: NodeIndex, is_in: bool) {
        let (word, bit) = (node.index() / 64, 1 << (node.index() % 64));
        if word >= self.words.len() {
            if !is_in {
                return;
            }
            self.words.resize(word + 1, 0);
        }
        if is_in {
            self.words[word] |= bit;
        } else {
            self.words[word] &= !bit;
        }
    }

    /// How many nodes are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no node is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps only nodes that are also in `other`.
    pub fn intersect(&mut self, other: &NodeSet) {
        for (index, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(index).copied().unwrap_or(0);
        }
    }

    /// Takes out the nodes that are in `other`.
    pub fn subtract(&mut self, other: &NodeSet) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Makes this a copy of `other`, keeping its allocation.
    pub fn copy_from(&mut self, other: &NodeSet) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.words.capacity() * 8 + size_of::<Self>()
    }

    /// The nodes in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = left.trailing_zeros();
                left &= left - 1;
                Some(NodeIndex(index as u32 * 64 + bit))
            })
        })
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeIndex>>(nodes: I) -> Self {
        let mut set = NodeSet::default();
        for node in nodes {
            set.set(node, true);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set: NodeSet = [3, 64, 700].map(NodeIndex).into_iter().collect();
        assert_eq!(set.iter().map(|node| node.0).collect::<Vec<_>>(), [3, 64, 700]);
        assert!(!set.contains(NodeIndex(65)) && !set.contains(NodeIndex(100_000)));
        set.set(NodeIndex(64), false);
        set.set(NodeIndex(9_999), false);
        assert_eq!(set.len(), 2);
        set.intersect(&[700, 701].map(NodeIndex).into_iter().collect());
        assert_eq!(set.iter().collect::<Vec<_>>(), [NodeIndex(700)]);
        set.subtract(&[700].map(NodeIndex).into_iter().collect());
        assert!(set.is_empty());
    }
}
