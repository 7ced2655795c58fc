//! The links between services: which calls each side takes. All are
//! level-triggered and none blocks; what takes time happens after the call
//! returns and is reported by a fact.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gapless_types::{
    Fault, FunctionKey, InstanceId, NodeId, Outcomes, Percent, Revision, RevisionName, Time,
};

use crate::{Endpoint, InstanceFact, ResolvedConfig, Served, StartFailure, StartReport};

/// How many instances of a revision a gateway wants, all told: those that serve
/// now and those it wishes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Grows with every wish of one gateway for one revision; an older one is ignored.
    pub seq: u64,
    /// Instances wanted.
    pub instances: u32,
}

/// Gateway to control.
pub trait ControlLink: Send + Sync {
    /// "I want this many instances of this revision."
    fn demand(&self, revision: &RevisionName, demand: Demand);
    /// "This instance has had no request since its keep-alive began." Control
    /// answers with `Retiring` when it wants it back.
    fn idle(&self, revision: &RevisionName, instance: InstanceId);
    /// "I no longer use this instance", in answer to `Retiring`.
    fn released(&self, revision: &RevisionName, instance: InstanceId);
    /// "This is what came of the requests I sent there", before `released`: how fast an
    /// instance was tells whether its place was good.
    fn served(&self, revision: &RevisionName, instance: InstanceId, served: Served);
    /// "This instance is broken": it died under a request or does not answer.
    fn broken(&self, revision: &RevisionName, instance: InstanceId, why: &str);
}

/// A function as the gateway routes it: which of its revisions take which share of
/// its requests. One that is not named takes nothing new.
#[derive(Clone, Debug)]
pub struct FunctionRoute {
    /// The function.
    pub function: FunctionKey,
    /// Its revisions, each once. Weights count relative to each other: their sum need
    /// not be 100%. A revision of no weight takes what a tag or a probe sends it, and
    /// keeps its instances.
    pub targets: Vec<RouteTarget>,
    /// Tags, each once. A tagged request goes to the tag's revision whatever its weight.
    pub tags: Vec<RouteTag>,
}

/// One of a function's revisions.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// The revision.
    pub revision: Arc<Revision>,
    /// Its share of the requests that have no tag.
    pub weight: Percent,
    /// Whether it can run. While it cannot, its share goes to those that can; when none
    /// can, requests wait for those that are being prepared.
    pub readiness: RouteReadiness,
}

/// A name that leads to one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTag {
    /// The name, a DNS label.
    pub tag: Arc<str>,
    /// One of the route's targets. A tag whose revision is none of them leads nowhere.
    pub revision: RevisionName,
}

impl FunctionRoute {
    /// A route that gives everything to one revision.
    pub fn single(revision: Arc<Revision>, readiness: RouteReadiness) -> Self {
        let function = revision.function.clone();
        let target = RouteTarget { revision, weight: Percent::WHOLE, readiness };
        FunctionRoute { function, targets: vec![target], tags: Vec::new() }
    }
}

/// Whether a revision can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteReadiness {
    /// It can.
    Ready,
    /// Not yet: it is being prepared. Requests wait, as long as the queue allows.
    Preparing,
    /// It was refused, with the sentence for people.
    Failed(Arc<str>),
}

/// Why no further instance of a revision is started for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartsBlocked {
    /// When control will try again.
    pub until: Time,
    /// What stands in the way: the last start's failure, or no room on any node.
    pub reason: gapless_types::Reason,
    /// A sentence for people.
    pub message: Arc<str>,
}

/// Control to gateway.
pub trait GatewayLink: Send + Sync {
    /// States a function's route, which replaces the former one. Revisions that are no
    /// longer named finish what is being served and take nothing new; what waited for
    /// them is moved to those that are. Routes of one function are stated one at a time.
    fn set_route(&self, route: FunctionRoute);
    /// The function is no more.
    fn remove_route(&self, function: &FunctionKey);
    /// States one instance.
    fn instance(&self, revision: &RevisionName, instance: InstanceId, fact: InstanceFact);
    /// States whether starts are blocked (crash-loop back-off, no capacity).
    fn starts_blocked(&self, revision: &RevisionName, blocked: Option<StartsBlocked>);
    /// Room is wanted: the gateway reports so many idle instances as idle before their
    /// time, those first that are worth keeping least, of whichever functions.
    fn reclaim(&self, instances: u32);
    /// What became of a revision's requests since this gateway first knew it: counts
    /// that only grow. Nothing of a revision that was never called.
    fn outcomes(&self, revision: &RevisionName) -> Outcomes;
    /// Tries a revision, which must be one of a route's targets, of whatever weight and
    /// readiness: takes a slot, which starts an instance if there is none, and sends
    /// the request of its `spec.probe` there, if it has one. Neither is counted in its
    /// outcomes. The caller bounds how long it waits, by dropping the future.
    fn probe(&self, revision: &RevisionName) -> BoxFuture<'static, Result<(), ProbeFailure>>;
}

/// Why a revision did not pass its probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProbeFailure {
    /// Whose fault it is: if not the function's, trying again later makes sense.
    pub fault: Fault,
    /// A sentence for people.
    pub message: String,
}

/// Control asks a node for an instance. Asking twice is asking once.
#[derive(Clone, Debug)]
pub struct StartInstance {
    /// The instance to be.
    pub instance: InstanceId,
    /// What it runs.
    pub revision: Arc<Revision>,
    /// When the start was decided, for the `place` phase.
    pub asked_at: Time,
    /// Its environment and files, with the values of secrets and configs as they are now.
    pub config: Arc<ResolvedConfig>,
}

/// Control to node.
pub trait NodeLink: Send + Sync {
    /// The node's name.
    fn id(&self) -> &NodeId;
    /// Makes a revision runnable on this node (fetch, compile, check), once, at deploy.
    fn prepare(&self, revision: Arc<Revision>) -> BoxFuture<'static, Result<(), StartFailure>>;
    /// Starts an instance. The outcome comes as [`NodeFact`]s.
    fn start(&self, start: StartInstance);
    /// Stops an instance, in whichever phase it is; a start not yet begun is
    /// dropped. It is told to end, and after `grace` it is ended.
    fn stop(&self, instance: InstanceId, grace: Duration);
    /// Drops what was prepared for a revision.
    fn forget(&self, revision: &RevisionName);
}

/// What a node says of one instance. Only moves forward, in this order.
#[derive(Clone, Debug)]
pub enum NodeFact {
    /// The sandbox is being made.
    Starting,
    /// It can serve.
    Ready {
        /// Where.
        endpoint: Endpoint,
        /// How the start went.
        report: Arc<StartReport>,
    },
    /// It is no more: `None` when it was told to stop, otherwise why.
    Gone(Option<Arc<StartFailure>>),
}

/// Node to control.
pub trait NodeListener: Send + Sync {
    /// States one instance.
    fn fact(&self, node: &NodeId, revision: &RevisionName, instance: InstanceId, fact: NodeFact);
}
