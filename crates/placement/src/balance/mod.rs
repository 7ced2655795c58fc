//! The balancer: which weights the scores have, learned from what came of placements.
//!
//! Many scores conflict, and which of them matters differs by workload and by the
//! cluster's state. Filters stay filters; every score stays what it says; only how they
//! are weighed against each other is learned, as a table that people can read.
//!
//! ```text
//!  decisions --Played--> instance --cost--> Balancer::observe
//!      ^                                        | Balancer::tick, every few seconds
//!      '-------- Table (immutable) <------------'
//! ```
//!
//! | to find | look in |
//! |---|---|
//! | a weight for each score | [`weights`] |
//! | what weights depend on: class and regime | [`class`], [`regime`] |
//! | what decisions read | [`table`] |
//! | what a placement is judged by | [`objective`] |
//! | how good an arm is, and how sure that is | [`estimate`] |
//! | one class in one regime: who leads | [`context`] |
//! | who is tried, and how much | [`explore`] |
//! | what was seen of it in one window | [`window`] |
//! | when not to trust, and when to go back | [`guard`] |
//! | new weight vectors from good ones | [`refine`] |
//! | all of it together | [`balancer`] |
//! | what the present resembles, and what did well there | [`situation`], [`prior`], [`likeness`], [`outlook`] |
//! | what is kept | [`saved`] |
//! | what was learned, for people | [`report`] |
//!
//! What always holds: the default arm (the profile as it is) takes part in every
//! context; what does not play the leader is bounded; after so many windows in which
//! the leader is worse than the default, or in which costs cannot be told from
//! nonsense, the default leads. Whatever is learned, filters decide what is possible.
//!
//! Not a learned policy that picks nodes (Decima, FaaSRank): that would be opaque, and
//! could do anything. The shape follows Asenov et al. (arXiv 2603.10545), who learn
//! weights, and what production systems do (LAVA, arXiv 2412.09840: explainable
//! scorers stay). Contextual bandits rather than deep reinforcement learning, because
//! tens of contexts and a handful of arms need hundreds of observations, not millions.

mod balancer;
mod class;
mod context;
mod estimate;
mod explore;
mod guard;
mod likeness;
mod objective;
mod outlook;
mod prior;
mod refine;
mod regime;
mod report;
mod saved;
mod situation;
mod table;
mod weights;
mod window;

pub use balancer::{Balancer, Config, Observation};
pub use class::{CLASS_COUNT, Class, ContextError, Features};
pub use guard::Rollback;
pub use objective::{Cost, EXPOSURE_COST, FAILURE_COST, NODE_COST, UNAVOIDABLE};
pub use prior::{Prior, PriorArm, PriorCase, PriorError};
pub use regime::{REGIME_COUNT, Regime};
pub use report::{ArmReport, ContextReport, Report, SituationReport};
pub use saved::{Saved, SavedError};
pub use situation::{FEATURE_NAMES, FEATURES, Past, Situation};
pub use table::{ArmId, Played, Share, Table};
pub use weights::{SCORES, WEIGHT_MAX, WeightError, Weights, scores};

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod tests;
