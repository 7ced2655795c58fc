//! The engine: from a shape and a state to nodes. It knows phases, not policies.
//!
//! | file | what |
//! |---|---|
//! | [`layout`] | the nodes in order of zone and rack, so that a domain is a range |
//! | [`plan`] | which policies have something to say of a shape, and their weights |
//! | [`ranking`] | nodes with their scores, the best in `O(log n)` after each change |
//! | [`sample`] | which nodes to look at when looking at all is too much |
//! | [`pick`] | a lot of alike instances, one by one, each changing what the next sees |

mod layout;
mod pick;
mod plan;
mod ranking;
mod sample;

pub(crate) use layout::Layout;
pub(crate) use pick::{Lot, Pick, Scratch, occupy, pick};
pub(crate) use plan::Plan;
pub(crate) use ranking::Ranking;
pub(crate) use sample::{Sampling, sample};

/// Every node's score for one shape, kept from batch to batch.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) ranking: Ranking,
    /// The first change it has not seen.
    pub(crate) seen: u64,
    /// What else it was made under.
    pub(crate) made_under: MadeUnder,
}

/// What an index depends on besides the nodes' own changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MadeUnder {
    pub(crate) epoch: u64,
    pub(crate) plan: u64,
    pub(crate) mean: f32,
}

impl MadeUnder {
    /// Of an index that was never made: no cluster has epoch 0.
    pub(crate) const NEVER: MadeUnder = MadeUnder { epoch: 0, plan: 0, mean: 0.0 };
}
