//! One revision at work: its fleet, its instances, and what follows from events.
//!
//! Events change the state under the revision's own lock and leave effects in an
//! outbox. Whoever finds the outbox unattended empties it with the lock released,
//! effect by effect; whoever comes meanwhile (also the called service, on the same
//! thread) leaves its effects to be carried out in turn. So links are called
//! without a lock, and yet in the order of the events: an instance that is gone
//! is never told ready after.
//!
//! The node is the authority on which instances exist. An instance stays here,
//! with its reserved room, until its node says that it is gone, also when the
//! fleet and the gateway have long forgotten it.

mod effects;
mod events;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gapless_placement::{ShapeId, Unplaced};
use gapless_proto::{Endpoint, InstanceFact, StartFailure, StartReport, StartsBlocked};
use gapless_rt::Timer;
use gapless_scaling::{Block, Config, Fleet};
use gapless_types::{InstanceId, NodeId, Revision, Time};
use jiff::Timestamp;
use parking_lot::Mutex;

/// How long an instance that nobody uses has to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long a replaced or deleted revision's instances may go on with what they
/// have, beyond the function's own timeout. A bound for streams without end.
const CLOSE_WITHIN: Duration = Duration::from_secs(600);

/// A revision that was called, or has a minimum.
pub(crate) struct RevisionState {
    pub(crate) revision: Arc<Revision>,
    /// What its instances are to placement.
    pub(crate) shape: ShapeId,
    inner: Mutex<Inner>,
}

struct Inner {
    fleet: Fleet,
    instances: BTreeMap<InstanceId, Held>,
    last_failure: Option<Arc<StartFailure>>,
    /// Why there was no room, the last time there was none.
    shortage: Option<Arc<Unplaced>>,
    /// What blocks starts, in words, while they are blocked.
    blocked: Option<Arc<str>>,
    timer: Option<Timer>,
    /// Whether it is in the list of those who wait for room.
    is_starved: bool,
    /// The fleet said that nothing is left.
    is_closed: bool,
    outbox: Vec<Effect>,
    is_attended: bool,
}

/// An instance that its node has not said is gone.
struct Held {
    node: NodeId,
    phase: Phase,
    made: Timestamp,
    endpoint: Option<Endpoint>,
    report: Option<Arc<StartReport>>,
}

/// How far an instance is, as control sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Retiring,
    /// Told to end; gateway and fleet no longer count it.
    Ending,
}

/// What is carried out with the lock released.
enum Effect {
    Tell(InstanceId, InstanceFact),
    Blocked(Option<StartsBlocked>),
    Start(NodeId, InstanceId, Time),
    Stop(NodeId, InstanceId, Duration),
    RoomFreed,
    /// So many starts found no room: idle instances are asked for theirs.
    RoomWanted(u32),
    Closed,
    /// Its instances changed.
    Changed,
    /// What keeps it from having instances changed.
    Health,
}

/// An instance as people see it.
pub(crate) struct InstanceView {
    pub(crate) id: InstanceId,
    pub(crate) node: NodeId,
    pub(crate) phase: Phase,
    pub(crate) made: Timestamp,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) report: Option<Arc<StartReport>>,
}

/// How a revision is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) ready: u32,
    pub(crate) starting: u32,
    /// Why starts fail or are not made.
    pub(crate) trouble: Option<Trouble>,
}

/// What keeps a revision from having more instances.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) is_capacity: bool,
    pub(crate) message: String,
}

impl Trouble {
    /// One word for machines.
    pub(crate) fn reason(&self) -> &'static str {
        if self.is_capacity { "NoCapacity" } else { "CrashLoop" }
    }
}

impl RevisionState {
    pub(crate) fn new(revision: Arc<Revision>, shape: ShapeId) -> Arc<Self> {
        let scale = &revision.spec.scale;
        let fleet = Fleet::new(Config { min: scale.min, max: scale.max });
        let inner = Inner {
            fleet,
            instances: BTreeMap::new(),
            last_failure: None,
            shortage: None,
            blocked: None,
            timer: None,
            is_starved: false,
            is_closed: false,
            outbox: Vec::new(),
            is_attended: false,
        };
        Arc::new(RevisionState { revision, shape, inner: Mutex::new(inner) })
    }

    /// How important its function is.
    pub(crate) fn priority(&self) -> i32 {
        self.revision.spec.placement.as_ref().map_or(0, |placement| placement.priority)
    }

    /// How it is doing.
    pub(crate) fn health(&self) -> Health {
        let inner = self.inner.lock();
        let (ready, starting) = (inner.fleet.ready(), inner.fleet.starting());
        let block = inner.fleet.blocked();
        let is_failing = inner.fleet.failures() > 0 && ready == 0;
        let failure = inner.last_failure.as_ref().map(|failure| failure.message.clone());
        let trouble = match (&block, &inner.blocked, failure) {
            (Some(Block { is_capacity: true, .. }), Some(message), _) => {
                Some(Trouble { is_capacity: true, message: message.to_string() })
            }
            (_, Some(message), _) if is_failing => {
                Some(Trouble { is_capacity: false, message: message.to_string() })
            }
            (_, None, Some(message)) if is_failing => Some(Trouble { is_capacity: false, message }),
            _ => None,
        };
        Health { ready, starting, trouble }
    }

    /// Its instances, oldest first.
    pub(crate) fn instances(&self) -> Vec<InstanceView> {
        let inner = self.inner.lock();
        inner.instances.iter().map(|(id, held)| held.view(*id)).collect()
    }

    /// One of its instances.
    pub(crate) fn instance(&self, id: InstanceId) -> Option<InstanceView> {
        self.inner.lock().instances.get(&id).map(|held| held.view(id))
    }
}

impl Held {
    fn view(&self, id: InstanceId) -> InstanceView {
        InstanceView {
            id,
            node: self.node.clone(),
            phase: self.phase,
            made: self.made,
            endpoint: self.endpoint.clone(),
            report: self.report.clone(),
        }
    }
}
