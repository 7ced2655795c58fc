//! [`Ranking`]: nodes with their scores for one shape, and the best of them at once.
//!
//! A node's score is a `u64` *key*: above, the score in steps of 2^-30; below, how
//! long ago the node was chosen, so that equal nodes take turns. Integer keys make
//! comparing exact and the outcome the same everywhere. Nodes of one zone (or rack)
//! are a *bucket* with a tournament tree of its own: a placement changes one leaf
//! and the `log n` winners above it. What a whole bucket shares, a *term*, is added
//! when buckets are compared, so a term's change touches no leaf.
//!
//! Why not a binary heap: changing the key of a given node in a heap needs its
//! place in it, kept up to date by every move; in a tournament a leaf stays put.

use crate::context::Context;
use crate::state::{Domain, Level, NodeIndex};

use super::layout::domain_of;
use super::plan::Plan;

/// Key of a node that must not be chosen.
pub(crate) const NOT_POSSIBLE: u64 = 0;
/// Steps of a score of 1.
pub(crate) const SCALE: f32 = (1 << 30) as f32;
/// Nodes evaluated together: their columns stay in the first-level cache while one
/// policy after the other reads them.
const BLOCK: usize = 256;

/// The key of a score from 0 to 1, of a node that was chosen at that decision.
pub(crate) fn key(score: f32, chosen_at: u32) -> u64 {
    let steps = (score * SCALE) as u64 + 1;
    steps << 32 | u64::from(u32::MAX - chosen_at)
}

/// What a term adds to a key.
pub(crate) fn term(score: f32) -> u64 {
    ((score * SCALE) as u64) << 32
}

/// The score in a key.
pub(crate) fn score(key: u64) -> f32 {
    (key >> 32).saturating_sub(1) as f32 / SCALE
}

/// Nodes that share a term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    start: u32,
    len: u32,
    pub(crate) domain: Option<Domain>,
}

/// Nodes by score.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranking {
    pub(crate) nodes: Vec<NodeIndex>,
    fixed: Vec<f32>,
    /// For each bucket a tree of `2 * len` keys from `2 * start`: the root at 1,
    /// the leaves from `len`.
    tree: Vec<u64>,
    pub(crate) buckets: Vec<Bucket>,
    block: Vec<NodeIndex>,
}

impl Ranking {
    /// Ranks these nodes, which are in the layout's order.
    pub(crate) fn rebuild(&mut self, plan: &Plan, cx: &Context<'_>, nodes: &[NodeIndex]) {
        self.nodes.clear();
        self.nodes.extend_from_slice(nodes);
        self.fixed.clear();
        self.fixed.resize(nodes.len(), 0.0);
        self.tree.clear();
        self.tree.resize(2 * nodes.len(), NOT_POSSIBLE);
        self.divide(cx, plan.level);
        let mut bucket = 0;
        for start in (0..nodes.len()).step_by(BLOCK) {
            let block = &nodes[start..nodes.len().min(start + BLOCK)];
            self.evaluate(plan, cx, block, |ranking, at, fixed, key| {
                let leaf = start + at;
                ranking.fixed[leaf] = fixed;
                while leaf >= (ranking.buckets[bucket].start + ranking.buckets[bucket].len) as usize
                {
                    bucket += 1;
                }
                let Bucket { start, len, .. } = ranking.buckets[bucket];
                ranking.tree[leaf + (start + len) as usize] = key;
            });
        }
        for bucket in &self.buckets {
            let (start, len) = (bucket.start as usize, bucket.len as usize);
            let tree = &mut self.tree[2 * start..2 * (start + len)];
            for at in (1..len).rev() {
                tree[at] = tree[2 * at].max(tree[2 * at + 1]);
            }
        }
    }

    fn divide(&mut self, cx: &Context<'_>, level: Option<Level>) {
        self.buckets.clear();
        for (at, node) in self.nodes.iter().enumerate() {
            let domain = domain_of(cx.state, *node, level);
            match self.buckets.last_mut() {
                Some(bucket) if bucket.domain == domain => bucket.len += 1,
                _ => self.buckets.push(Bucket { start: at as u32, len: 1, domain }),
            }
        }
    }

    /// The best node with its bucket's term: `(leaf, bucket, key and term)`.
    pub(crate) fn best(&self, terms: &[u64]) -> Option<(usize, usize, u64)> {
        let mut best = (0, NOT_POSSIBLE);
        for (index, (bucket, term)) in self.buckets.iter().zip(terms).enumerate() {
            let start = 2 * bucket.start as usize;
            let root = self.tree[start + 1];
            if root != NOT_POSSIBLE && root + term > best.1 {
                best = (index, root + term);
            }
        }
        if best.1 == NOT_POSSIBLE {
            return None;
        }
        let Bucket { start, len, .. } = self.buckets[best.0];
        let (start, len) = (start as usize, len as usize);
        let tree = &self.tree[2 * start..2 * (start + len)];
        let mut at = 1;
        while at < len {
            at = if tree[2 * at] == tree[at] { 2 * at } else { 2 * at + 1 };
        }
        Some((start + at - len, best.0, best.1))
    }

    /// The bucket of a leaf.
    pub(crate) fn bucket_of(&self, leaf: usize) -> usize {
        self.buckets.partition_point(|bucket| bucket.start as usize <= leaf) - 1
    }

    /// The key of a leaf.
    pub(crate) fn key_of(&self, leaf: usize) -> u64 {
        let bucket = self.buckets[self.bucket_of(leaf)];
        self.tree[leaf + (bucket.start + bucket.len) as usize]
    }

    /// What placements do not change of a leaf's score.
    pub(crate) fn fixed_of(&self, leaf: usize) -> f32 {
        self.fixed[leaf]
    }

    /// Sets the key of a leaf.
    pub(crate) fn set(&mut self, leaf: usize, bucket: usize, key: u64) {
        let Bucket { start, len, .. } = self.buckets[bucket];
        let (start, len) = (start as usize, len as usize);
        let tree = &mut self.tree[2 * start..2 * (start + len)];
        let mut at = leaf - start + len;
        tree[at] = key;
        while at > 1 {
            at /= 2;
            let winner = tree[2 * at].max(tree[2 * at + 1]);
            if tree[at] == winner {
                return;
            }
            tree[at] = winner;
        }
    }

    /// Evaluates these leaves anew. Together, because one policy after the other over
    /// many nodes waits for memory once per policy, not once per node and policy.
    pub(crate) fn refresh(&mut self, plan: &Plan, cx: &Context<'_>, leaves: &[usize]) {
        let mut nodes = [NodeIndex::default(); BLOCK];
        for leaves in leaves.chunks(BLOCK) {
            for (node, leaf) in nodes.iter_mut().zip(leaves) {
                *node = self.nodes[*leaf];
                self.fixed[*leaf] = 0.0;
                self.set(*leaf, self.bucket_of(*leaf), NOT_POSSIBLE);
            }
            self.evaluate(plan, cx, &nodes[..leaves.len()], |ranking, at, fixed, key| {
                let leaf = leaves[at];
                ranking.fixed[leaf] = fixed;
                ranking.set(leaf, ranking.bucket_of(leaf), key);
            });
        }
    }

    /// Evaluates a block of nodes; tells of each that is possible its index in the
    /// block, its fixed sum and its key.
    fn evaluate(
        &mut self,
        plan: &Plan,
        cx: &Context<'_>,
        block: &[NodeIndex],
        mut tell: impl FnMut(&mut Ranking, usize, f32, u64),
    ) {
        let mut possible = std::mem::take(&mut self.block);
        possible.clear();
        possible.extend_from_slice(block);
        plan.retain(cx, &mut possible);
        let mut fixed = [0.0; BLOCK];
        let fixed = &mut fixed[..possible.len()];
        plan.add_fixed(cx, &possible, fixed);
        let mut sums = [0.0; BLOCK];
        let sums = &mut sums[..possible.len()];
        sums.copy_from_slice(fixed);
        plan.add_usage(cx, &possible, sums);
        // What is possible is a subsequence of the block.
        let mut at = 0;
        for (index, node) in possible.iter().enumerate() {
            while block[at] != *node {
                at += 1;
            }
            tell(self, at, fixed[index], key(sums[index], cx.state.chosen_at(*node)));
        }
        self.block = possible;
    }

    /// Memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * 4 + self.fixed.capacity() * 4 + self.tree.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(buckets: &[&[u64]]) -> Ranking {
        let mut ranking = Ranking::default();
        for keys in buckets {
            let (start, len) = (ranking.nodes.len(), keys.len());
            ranking.buckets.push(Bucket { start: start as u32, len: len as u32, domain: None });
            ranking.nodes.extend((start..start + len).map(|node| NodeIndex(node as u32)));
            ranking.tree.resize(2 * (start + len), 0);
            ranking.fixed.resize(start + len, 0.0);
        }
        for (bucket, keys) in buckets.iter().enumerate() {
            for (at, key) in keys.iter().enumerate() {
                ranking.set(ranking.buckets[bucket].start as usize + at, bucket, *key);
            }
        }
        ranking
    }

    #[test]
    fn the_best_is_the_best_of_all_with_terms() {
        let mut ranking = ranking(&[&[5, 9, 3], &[7], &[1, 8, 2, 4, 6]]);
        assert_eq!(ranking.best(&[0, 0, 0]), Some((1, 0, 9)));
        assert_eq!(ranking.best(&[0, 3, 0]), Some((3, 1, 10)));
        assert_eq!(ranking.best(&[0, 0, 2]), Some((5, 2, 10)));
        ranking.set(1, 0, NOT_POSSIBLE);
        assert_eq!(ranking.best(&[0, 0, 0]), Some((5, 2, 8)));
        for leaf in 0..9 {
            ranking.set(leaf, ranking.bucket_of(leaf), NOT_POSSIBLE);
        }
        assert_eq!(ranking.best(&[1 << 40, 1, 1]), None);
        assert!(ranking.bytes() > 0);
    }

    #[test]
    fn equal_scores_take_turns_by_age() {
        assert!(key(0.5, 3) > key(0.5, 4));
        assert!(key(0.5001, 4) > key(0.5, 0));
        assert!((score(key(0.75, 9)) - 0.75).abs() < 1e-6);
        assert_eq!(score(key(0.25, 9) + term(0.5)), 0.75);
    }
}
