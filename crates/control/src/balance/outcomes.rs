//! What came of instances, as control sees it, and what each cost.

use std::collections::hash_map::Entry;
use std::time::Duration;

use gapless_placement::balance::{Class, Cost, Features, Observation, Played};
use gapless_placement::{Cluster, NodeIndex, ShapeId, State};
use gapless_proto::Served;
use gapless_types::{InstanceId, Time};

use super::Balance;

/// A node this busy slows down who is there.
const CROWDED: f64 = 0.8;
/// The most that one instance pays for, of a node it has alone.
const NODE_HOURS_MAX: f64 = 50.0;
/// What a shortest start grows by with each one after, so that it follows a change.
const BEST_START_GROWTH: f64 = 1.0005;

/// Requests of an instance before how long they took says anything of its place.
const REQUESTS_MIN: u64 = 8;
/// What a new instance's requests count for in what is usual for its revision.
const USUAL_SHARE: f64 = 0.05;
/// How many times faster or slower than usual is believed: beyond, it was other work.
const FASTER_MAX: f64 = 0.5;
const SLOWER_MAX: f64 = 4.0;

/// What is known of a shape's instances.
pub(super) struct Kind {
    pub(super) features: Features,
    best_start_s: f64,
    pub(super) class: Class,
    /// How long a request takes, as a mean over instances.
    usual_request_s: Option<f64>,
}

impl Kind {
    fn new(mut features: Features) -> Self {
        let class = features.class();
        Kind { features, best_start_s: f64::INFINITY, class, usual_request_s: None }
    }

    /// How many times longer than usual an instance's requests took, which count from now
    /// on. None if they say nothing.
    fn slower(&mut self, served: Served) -> Option<f64> {
        let mean_s = served.mean().filter(|_| served.requests >= REQUESTS_MIN)?.as_secs_f64();
        let usual = self.usual_request_s.get_or_insert(mean_s);
        let slower = (mean_s / usual.max(1e-9)).clamp(FASTER_MAX, SLOWER_MAX);
        *usual += USUAL_SHARE * (slower * *usual - *usual);
        Some(slower)
    }
}

/// An instance whose end is not known.
pub(super) struct Open {
    shape: ShapeId,
    played: Played,
    start_s: Option<f64>,
    ready_at: Time,
    node_hours: f64,
    crowding: f64,
    served: Served,
}

/// A placement, as the cluster sees it right after.
pub(crate) struct Seen {
    instance: InstanceId,
    played: Played,
    node_hours: f64,
    crowding: f64,
}

impl Seen {
    pub(crate) fn played(&self) -> Played {
        self.played
    }
}

/// What came of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was not needed any more.
    Done,
    /// Its start was given up before it began: it says nothing.
    Dropped,
    /// It failed for a reason that is its node's.
    Lost,
}

impl Balance {
    /// Reads what the cluster knows of instances that were just placed, or are going.
    pub(crate) fn see(&self, cluster: &Cluster, instances: &[InstanceId]) -> Vec<Seen> {
        if self.inner.is_none() {
            return Vec::new();
        }
        let see = |instance: &InstanceId| {
            let placed = cluster.instance(*instance)?;
            let (node_hours, crowding) = paid(cluster.state(), placed.node);
            Some(Seen { instance: *instance, played: placed.played?, node_hours, crowding })
        };
        instances.iter().filter_map(see).collect()
    }

    /// So many instances of a shape were asked for, and these were placed.
    pub(crate) fn placed(
        &self,
        shape: ShapeId,
        features: impl FnOnce() -> Option<Features>,
        asked: u32,
        seen: Vec<Seen>,
        now: Time,
    ) {
        let Some(inner) = &self.inner else { return };
        let inner = &mut *inner.lock();
        let kind = match inner.features.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let Some(features) = features() else { return };
                new.insert(Kind::new(features))
            }
        };
        kind.features.asked(asked, now);
        for Seen { instance, played, node_hours, crowding } in seen {
            let (start_s, ready_at, served) = (None, now, Served::default());
            let open = Open { shape, played, start_s, ready_at, node_hours, crowding, served };
            inner.open.insert(instance, open);
        }
    }

    /// An instance is ready; its start took so long.
    pub(crate) fn ready(&self, instance: InstanceId, start: Duration, now: Time) {
        let Some(inner) = &self.inner else { return };
        let inner = &mut *inner.lock();
        let Some(open) = inner.open.get_mut(&instance) else { return };
        open.start_s = Some(start.as_secs_f64());
        open.ready_at = now;
        if let Some(kind) = inner.features.get_mut(&open.shape) {
            kind.features.started(start);
            let grown = kind.best_start_s * BEST_START_GROWTH;
            kind.best_start_s = start.as_secs_f64().min(grown).max(1e-6);
        }
    }

    /// What came of the requests that an instance served.
    pub(crate) fn served(&self, instance: InstanceId, served: Served) {
        let Some(inner) = &self.inner else { return };
        if let Some(open) = inner.lock().open.get_mut(&instance) {
            open.served = served;
        }
    }

    /// An instance is no more. `seen` is what the cluster knew of it last.
    pub(crate) fn gone(&self, instance: InstanceId, seen: Option<&Seen>, end: End, now: Time) {
        let Some(inner) = &self.inner else { return };
        let inner = &mut *inner.lock();
        let Some(open) = inner.open.remove(&instance) else { return };
        if end == End::Dropped || (end == End::Done && open.start_s.is_none()) {
            return;
        }
        let life_s = now.since(open.ready_at).as_secs_f64();
        let Some(kind) = inner.features.get_mut(&open.shape) else { return };
        let mean = |of: fn(&Seen) -> f64, at_first: f64| {
            seen.map_or(at_first, |seen| (at_first + of(seen)) / 2.0)
        };
        let mut slowdown = 1.0;
        if let Some(start_s) = open.start_s {
            kind.features.ended(now.since(open.ready_at));
            let crowded = 1.0 + mean(|seen| seen.crowding, open.crowding);
            let slower = kind.slower(open.served).unwrap_or(crowded);
            let least = kind.best_start_s.min(start_s) + life_s;
            slowdown = (start_s + life_s * slower) / least.max(1e-6);
        }
        let is_lost = end == End::Lost;
        let cost = Cost {
            slowdown,
            node_hours: mean(|seen| seen.node_hours, open.node_hours),
            failures: f64::from(u8::from(is_lost)),
            exposure: 0.0,
        };
        inner.balancer.observe(Observation {
            shape: u64::from(open.shape.0),
            played: open.played,
            cost: cost.total() as f32,
            failed: is_lost,
        });
    }
}

/// What an instance pays for on a node, and how crowded its processor is.
fn paid(state: &State, node: NodeIndex) -> (f64, f64) {
    let reserved = state.cpu_reserved_share(node).max(state.memory_reserved_share(node));
    let load = state.load(node);
    let crowding = (f64::from(load.cpu) - CROWDED).max(0.0);
    ((1.0 / f64::from(reserved).max(1e-6)).min(NODE_HOURS_MAX), crowding)
}
