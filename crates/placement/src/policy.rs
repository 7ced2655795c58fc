//! What a policy is, by phase, in the vocabulary of the Kubernetes scheduling
//! framework:
//!
//! | phase | trait | answers |
//! |---|---|---|
//! | filter | [`Filter`] | may an instance of this shape be on this node? |
//! | score | [`Score`] | how good is this node, for what depends on the node alone |
//! | score | [`DomainScore`] | how good is this zone or rack, for what all its nodes share |
//! | score | [`ChoiceScore`] | which node does this one decision favour |
//! | reserve | [`Reserve`] | takes and gives back what an instance occupies |
//! | permit | [`Permit`] | may what was chosen stand, as a whole? |
//!
//! Scores come in three kinds because of what a placement changes. The score of a
//! node changes only when something on *that node* does, so a batch updates one
//! node per placement. What a whole zone shares is kept out of it, as one number
//! per zone, added when zones are compared. What is drawn anew for every decision
//! is added to the one node it favours.
//!
//! A policy is one file: a struct with its parameters, [`Policy`] for its name and
//! what it is at odds with, and the trait of its phase. One line in
//! [`registry`](crate::registry) makes it known.

use std::fmt::Debug;

use crate::context::{Context, Shape};
use crate::profile::{ParamError, Params};
use crate::state::{Domain, Level, NodeIndex, State};

/// What every policy says of itself.
pub trait Policy: Sized {
    /// Its name in profiles, such as `least-allocated`.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const SUMMARY: &'static str;
    /// Scores that want the opposite: with both and nothing else, a profile decides nothing.
    const OPPOSES: &'static [&'static str] = &[];
    /// Policies that have no effect where this one is: what it forbids or fixes,
    /// they cannot choose.
    const OVERRULES: &'static [&'static str] = &[];

    /// Whether it guards what must never be overcommitted: a filter that is always on.
    const IS_ESSENTIAL: bool = false;

    /// Makes it from a profile's parameters.
    fn read(params: &mut Params) -> Result<Self, ParamError>;
}

/// What an answer depends on, and so how long it stays good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On what the node is and holds: placements do not change it.
    Fixed,
    /// Also on what is on the node.
    Usage,
}

/// Decides whether a node is possible at all.
pub trait Filter: Debug + Send + Sync {
    /// Whether it has anything to say of this shape.
    fn applies(&self, _cx: &Context<'_>) -> bool {
        true
    }

    /// What its answers depend on.
    fn scope(&self) -> Scope;

    /// Whether an instance may be on this node.
    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool;

    /// What was lacking, for people: completes "3 nodes ...".
    fn lacking(&self, cx: &Context<'_>) -> String;

    /// Keeps the nodes that pass. Here so that `passes` is called directly, not
    /// through a table, once per node.
    fn retain(&self, cx: &Context<'_>, nodes: &mut Vec<NodeIndex>) {
        nodes.retain(|node| self.passes(cx, *node));
    }
}

/// Says how good a node is.
pub trait Score: Debug + Send + Sync {
    /// Whether it has anything to say of this shape. If not it weighs nothing.
    fn applies(&self, _cx: &Context<'_>) -> bool {
        true
    }

    /// What its answers depend on.
    fn scope(&self) -> Scope;

    /// Whether it reads [`State::mean_instances`]: its answers are then computed
    /// anew when that moves.
    fn reads_mean(&self) -> bool {
        false
    }

    /// How good this node is, in the policy's own measure.
    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32;

    /// That measure brought to 0 (worst) to 1 (best). It must not depend on what
    /// other nodes scored: then a node's score would change when another node's does.
    fn normalise(&self, raw: f32) -> f32 {
        raw
    }

    /// Adds `weight` times the normalised score of each node to `sums`.
    fn add(&self, cx: &Context<'_>, weight: f32, nodes: &[NodeIndex], sums: &mut [f32]) {
        for (node, sum) in nodes.iter().zip(sums) {
            *sum += weight * self.one(cx, *node);
        }
    }

    /// The normalised score of one node, within 0 to 1 whatever was computed.
    fn one(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        bounded(self.normalise(self.score(cx, node)))
    }
}

/// Brings a score to 0 to 1. What is not a number, such as 0/0 of a node without
/// capacity, is 0.
#[inline]
pub(crate) fn bounded(score: f32) -> f32 {
    if score > 0.0 { score.min(1.0) } else { 0.0 }
}

/// Says how good a zone or a rack is.
pub trait DomainScore: Debug + Send + Sync {
    /// Whether it has anything to say of this shape.
    fn applies(&self, _cx: &Context<'_>) -> bool {
        true
    }

    /// Zones or racks.
    fn level(&self) -> Level;

    /// Whether a placement in one domain changes the scores of others too.
    fn is_relative(&self) -> bool;

    /// How good it is, 0 to 1.
    fn score(&self, cx: &Context<'_>, domain: Domain) -> f32;
}

/// Favours one node per decision.
pub trait ChoiceScore: Debug + Send + Sync {
    /// The favoured of these nodes, as an index, for the decision whose random
    /// number is `draw`. There is at least one, and all of them are possible.
    fn favourite(&self, cx: &Context<'_>, draw: u64, nodes: &[NodeIndex]) -> usize;
}

/// What one instance occupies beyond plain amounts; what [`Reserve::unreserve`] needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Its devices, a bit per device of the node.
    pub devices: u64,
    /// Its NUMA node plus one; 0 is none.
    pub numa: u8,
    /// The mark of its group plus one; 0 is none.
    pub group: u32,
}

/// Takes what an instance occupies, and gives back exactly that. Every reserve is
/// always on: what they account for is what filters rely on.
pub trait Reserve: Debug + Send + Sync {
    /// Takes it. The filters have passed.
    fn reserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &mut Grant);

    /// Gives it back.
    fn unreserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &Grant);
}

/// What is being decided as a whole: the requests of one shape and group in a batch.
#[derive(Debug)]
pub struct Lot<'a> {
    /// The cluster, with what was chosen reserved.
    pub state: &'a State,
    /// The shape.
    pub shape: &'a Shape,
    /// Instances of the tenant, all told.
    pub tenant_instances: u32,
    /// Whether the requests said that they belong together.
    pub is_group: bool,
    /// Requests.
    pub wanted: u32,
    /// Of which a node was found for.
    pub placed: u32,
}

/// A permit's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was chosen stands.
    Allow,
    /// Only this many of it, for this reason.
    Keep(u32, String),
}

/// Decides whether what was chosen may stand.
pub trait Permit: Debug + Send + Sync {
    /// The answer. What is not kept is given back, newest first.
    fn permit(&self, lot: &Lot<'_>) -> Verdict;
}
