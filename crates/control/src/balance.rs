//! The balancer live: what comes of placements is told to it, and every few seconds the
//! table that follows is given to the cluster.
//!
//! What an instance cost is made of what control sees of it. *Slowdown*: its start, over
//! the shortest start of its revision, as a share of start and life; and how crowded the
//! processor of its node was, as measured. *Node hours*: what it reserved, over all that
//! was reserved on its node, when it came and when it went. *Failures*: starts that
//! failed for the node's fault, instances that died. How long requests took is the
//! gateway's to know, so interference is seen by the node's load only.
//!
//! What always holds: deciding does not wait for learning (the table is a pointer that is
//! exchanged under the cluster's lock; this lock is never taken under it); what is kept of
//! instances is bounded by instances; what was learned survives a restart.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use gapless_placement::balance::{
    Balancer, Class, Config, ContextReport, Cost, Features, Observation, Played, Prior, Regime,
    Report, Rollback, Saved,
};
use gapless_placement::conflicts::{Conflicts, Pair};
use gapless_placement::{Cluster, NodeIndex, Profile, Shape, ShapeId, State, reference};
use gapless_store::{Expect, Store, StoreError};
use gapless_telemetry::Metrics;
use gapless_types::{InstanceId, Time};
use parking_lot::Mutex;

use crate::Control;

/// How often the table is made anew.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// How often what was learned is written down.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Where it is written down.
const KEY: &str = "balance/learned";
/// A node this busy slows down who is there.
const CROWDED: f64 = 0.8;
/// The most that one instance pays for, of a node it has alone.
const NODE_HOURS_MAX: f64 = 50.0;
/// What a shortest start grows by with each one after, so that it follows a change.
const BEST_START_GROWTH: f64 = 1.0005;

/// The balancer and what it waits to be told.
pub(crate) struct Balance {
    inner: Option<Mutex<Inner>>,
}

struct Inner {
    balancer: Balancer,
    features: HashMap<ShapeId, Kind>,
    open: HashMap<InstanceId, Open>,
    saved_at: Time,
    saved_observed: u64,
}

/// What is known of a shape's instances.
struct Kind {
    features: Features,
    best_start_s: f64,
    class: Class,
}

/// An instance whose end is not known.
struct Open {
    shape: ShapeId,
    played: Played,
    start_s: Option<f64>,
    ready_at: Time,
    node_hours: f64,
    crowding: f64,
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
    /// One that knows what the shipped prior knows, and what was learned here before.
    pub(crate) fn restore(store: &dyn Store, is_on: bool) -> Result<Self, StoreError> {
        if !is_on {
            return Ok(Balance { inner: None });
        }
        let (config, prior) = (Config::default(), Prior::shipped());
        let saved = store.get(KEY)?.and_then(|record| {
            let saved = serde_json::from_slice::<Saved>(&record.value);
            saved.inspect_err(|error| tracing::warn!(%error, "what was learned of weights is not readable; learning anew")).ok()
        });
        let balancer = match saved.map(|saved| Balancer::restore(config, prior.clone(), saved)) {
            Some(Ok(balancer)) => balancer,
            Some(Err(error)) => {
                tracing::warn!(%error, "what was learned of weights is not used; learning anew");
                Balancer::new(config, prior)
            }
            None => Balancer::new(config, prior),
        };
        let observed = balancer.report().observed;
        let inner = Inner {
            balancer,
            features: HashMap::new(),
            open: HashMap::new(),
            saved_at: Time::ZERO,
            saved_observed: observed,
        };
        Ok(Balance { inner: Some(Mutex::new(inner)) })
    }

    /// The profile that is balanced; without a balancer, the one that is not.
    pub(crate) fn profile(&self) -> Profile {
        match self.inner {
            Some(_) => Profile::balanced(),
            None => Profile::default_profile(),
        }
    }

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
                let Some(mut features) = features() else { return };
                let class = features.class();
                new.insert(Kind { features, best_start_s: f64::INFINITY, class })
            }
        };
        kind.features.asked(asked, now);
        for Seen { instance, played, node_hours, crowding } in seen {
            let open = Open { shape, played, start_s: None, ready_at: now, node_hours, crowding };
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
            let crowding = mean(|seen| seen.crowding, open.crowding);
            let least = kind.best_start_s.min(start_s) + life_s;
            slowdown = (start_s + life_s * (1.0 + crowding)) / least.max(1e-6);
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

    /// A revision is forgotten.
    pub(crate) fn forget(&self, shape: ShapeId) {
        if let Some(inner) = &self.inner {
            inner.lock().features.remove(&shape);
        }
    }

    /// Gives the cluster the classes and the table that follow from what was seen. The
    /// cluster is locked by `with`, briefly, twice.
    pub(crate) fn tick(&self, with: impl Fn(&mut dyn FnMut(&mut Cluster)), metrics: &Metrics) {
        let Some(inner) = &self.inner else { return };
        let mut regime = inner.lock().balancer.regime();
        with(&mut |cluster| regime = Regime::of_cluster(cluster.state(), regime));
        let (table, classes) = {
            let inner = &mut *inner.lock();
            let changed = inner.features.iter_mut().filter_map(|(shape, kind)| {
                let class = kind.features.class();
                let is_new = std::mem::replace(&mut kind.class, class) != class;
                is_new.then_some((*shape, class))
            });
            let classes: Vec<(ShapeId, Class)> = changed.collect();
            (inner.balancer.tick(regime), classes)
        };
        if table.is_none() && classes.is_empty() {
            return;
        }
        with(&mut |cluster| {
            classes.iter().for_each(|(shape, class)| cluster.set_class(*shape, *class));
            if table.is_some() {
                cluster.set_table(table.clone());
            }
        });
        if let Some(report) = self.report() {
            tell(metrics, &report);
        }
    }

    /// Gives the cluster the table as it is now, whether or not anything was learned.
    pub(crate) fn replay(&self, with: impl Fn(&mut dyn FnMut(&mut Cluster)), metrics: &Metrics) {
        let Some(inner) = &self.inner else { return };
        let table = inner.lock().balancer.table();
        with(&mut |cluster| cluster.set_table(Some(table.clone())));
        if let Some(report) = self.report() {
            tell(metrics, &report);
        }
    }

    /// The table to begin with.
    pub(crate) fn begin(&self, cluster: &mut Cluster) {
        if let Some(inner) = &self.inner {
            cluster.set_table(Some(inner.lock().balancer.table()));
        }
    }

    /// What was learned; `None` when nothing is balanced.
    pub(crate) fn report(&self) -> Option<Report> {
        self.inner.as_ref().map(|inner| inner.lock().balancer.report())
    }

    /// Stops learning and trying, or goes on. `false` when nothing is balanced.
    pub(crate) fn set_frozen(&self, is_frozen: bool) -> bool {
        let Some(inner) = &self.inner else { return false };
        let inner = &mut *inner.lock();
        inner.balancer.set_frozen(is_frozen);
        // It is written down with the next save, whatever was seen until then.
        inner.saved_observed = u64::MAX;
        true
    }

    /// Writes down what was learned, if it is new and was not written lately. Blocks while
    /// the disk works.
    pub(crate) fn save(&self, store: &dyn Store, now: Time, at_once: bool) {
        let Some(inner) = &self.inner else { return };
        let bytes = {
            let inner = &mut *inner.lock();
            let observed = inner.balancer.report().observed;
            let is_due = at_once || now.since(inner.saved_at) >= SAVE_EVERY;
            let is_new = observed != inner.saved_observed;
            if !is_due || !is_new {
                return;
            }
            (inner.saved_at, inner.saved_observed) = (now, observed);
            serde_json::to_vec(&inner.balancer.save())
        };
        let written = bytes.map_err(|error| error.to_string()).and_then(|bytes| {
            store.put(KEY, &bytes, Expect::Any).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write down what was learned of weights");
        }
    }
}

/// What an instance pays for on a node, and how crowded its processor is.
fn paid(state: &State, node: NodeIndex) -> (f64, f64) {
    let reserved = state.cpu_reserved_share(node).max(state.memory_reserved_share(node));
    let load = state.load(node);
    let crowding = (f64::from(load.cpu) - CROWDED).max(0.0);
    ((1.0 / f64::from(reserved).max(1e-6)).min(NODE_HOURS_MAX), crowding)
}

/// Shows what was learned as metrics.
fn tell(metrics: &Metrics, report: &Report) {
    let balance = &metrics.balance;
    for reason in Rollback::ALL {
        let count = report.rollbacks.get(reason.as_str()).copied().unwrap_or(0);
        balance.rollbacks(reason.as_str(), count);
    }
    balance.regime(report.regime.as_str(), &Regime::ALL.map(Regime::as_str));
    for context in report.contexts.iter().filter(|c| c.windows > 0 || c.regime == report.regime) {
        let (class, regime) = (context.class_name(), context.regime.as_str());
        balance.gain(&class, regime, f64::from(context.gain), f64::from(context.gain_ci95));
        let shares = context.weights.shares();
        balance.weights(
            &class,
            regime,
            shares.iter().map(|(name, share)| (*name, f64::from(*share))),
        );
        for arm in &context.arms {
            balance.arm(&class, regime, &arm.name, arm.plays, f64::from(arm.share));
        }
    }
    balance.keep_arms(|class, regime, arm| {
        let is_it = |c: &&ContextReport| c.class_name() == class && c.regime.as_str() == regime;
        let context = report.contexts.iter().find(is_it);
        context.is_some_and(|context| context.arms.iter().any(|known| known.name == arm))
    });
}

impl Control {
    /// Makes the table anew every few seconds until shutdown, and writes down what was
    /// learned.
    pub(crate) fn attend_balance(&self) {
        let (control, clock) = (self.weak(), *self.clock());
        let shutdown = self.shutdown().clone();
        gapless_rt::spawn(async move {
            let mut next = clock.now();
            loop {
                next += TICK;
                tokio::select! {
                    () = clock.sleep_until(next) => {}
                    // What was learned is written down when control is dropped.
                    () = shutdown.begun() => return,
                }
                let Some(control) = control.upgrade() else { return };
                control.nodes().tick_balance(control.metrics());
                let saving = gapless_rt::spawn_blocking(move || control.save_balance(false));
                if saving.await.is_err() {
                    return;
                }
            }
        });
    }

    /// Writes down what was learned. Blocks while the disk works.
    pub(crate) fn save_balance(&self, at_once: bool) {
        self.nodes().balance().save(&**self.store(), self.clock().now(), at_once);
    }

    /// Which scores pull against which, over the candidates that the functions have now,
    /// by class of workload. Looks at one function of each kind there is.
    pub(crate) fn conflicts(&self) -> Vec<(String, u32, Vec<Pair>)> {
        let base = Profile::balanced();
        let mut by_class: HashMap<String, Conflicts> = HashMap::new();
        for state in self.revisions().iter().take(CONFLICT_SHAPES_MAX) {
            let Some((view, shape)) = self.nodes().view_for(state.shape) else { continue };
            let Some(class) = self.nodes().class(state.shape) else { continue };
            by_class.entry(class.to_string()).or_default().sample(&view, &shape, &base);
        }
        let told = by_class.into_iter().map(|(class, c)| (class, c.samples(), c.pairs()));
        let mut told: Vec<_> = told.collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    }
}

/// Scores of a profile that rank nodes against each other, over a function's candidates
/// or, without one, over a modelled cluster.
pub(crate) fn fights(profile: &Arc<Profile>, on: Option<&(Arc<State>, Arc<Shape>)>) -> Vec<Pair> {
    let mut conflicts = Conflicts::default();
    if let Some((view, shape)) = on {
        conflicts.sample(view, shape, profile);
    }
    if conflicts.pairs().is_empty() {
        let (view, shape) = reference(profile);
        conflicts.sample(&view, &shape, profile);
    }
    conflicts.within(profile, FIGHTS_BELOW)
}

/// A rank correlation below this is worth a warning.
const FIGHTS_BELOW: f32 = -0.5;
/// Functions whose candidates are ranked when somebody asks for conflicts.
const CONFLICT_SHAPES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    use gapless_placement::{NodeSpec, Request, ShapeSpec};
    use gapless_store_embedded::EmbeddedStore;
    use gapless_types::{Bytes, CpuMillis, NodeId};

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    struct World {
        store: Arc<EmbeddedStore>,
        cluster: Mutex<Cluster>,
        shape: ShapeId,
        _folder: tempfile::TempDir,
    }

    fn world() -> (World, Balance) {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let balance = Balance::restore(&*store, true).unwrap();
        let mut cluster = Cluster::default();
        for number in 0..8 {
            let id = NodeId::new(&format!("n{number}"));
            let mut spec = NodeSpec::new(id, CpuMillis(16_000), Bytes(64 << 30));
            spec.sandboxes = vec!["wasm".into()];
            cluster.add_node(spec).unwrap();
        }
        let spec = ShapeSpec::new("a/f", "wasm", CpuMillis(500), Bytes(512 << 20));
        let shape = cluster.add_shape(spec, Arc::new(balance.profile())).unwrap();
        balance.begin(&mut cluster);
        (World { store, cluster: Mutex::new(cluster), shape, _folder: folder }, balance)
    }

    /// Starts and ends `count` instances, one after the other.
    fn live(world: &World, balance: &Balance, first: u64, count: u64) {
        for number in first..first + count {
            let instance = InstanceId(number);
            let now = at(number);
            let seen = {
                let mut cluster = world.cluster.lock();
                cluster.place(&[Request { instance, shape: world.shape, group: None }], now);
                balance.see(&cluster, &[instance])
            };
            assert_eq!(seen.len(), 1);
            let features =
                || world.cluster.lock().shape(world.shape).map(|s| Features::new(&s.spec));
            balance.placed(world.shape, features, 1, seen, now);
            world.cluster.lock().confirm(instance);
            balance.ready(instance, Duration::from_millis(100 + number % 7), now);
            let later = at(number + 3);
            let seen = balance.see(&world.cluster.lock(), &[instance]);
            world.cluster.lock().release(instance);
            balance.gone(instance, seen.first(), End::Done, later);
        }
    }

    fn tick(world: &World, balance: &Balance) {
        balance.tick(|with| with(&mut world.cluster.lock()), &Metrics::new());
    }

    #[test]
    fn what_comes_of_instances_is_learned_and_survives_a_restart() {
        let (world, balance) = world();
        live(&world, &balance, 1, 400);
        tick(&world, &balance);
        let report = balance.report().unwrap();
        assert_eq!(report.observed, 400);
        let classes = report.contexts.iter().filter(|c| c.class.is_some());
        let played: u64 = classes.flat_map(|c| &c.arms).map(|arm| arm.plays).sum();
        assert_eq!(played, 400, "each is counted for the arm that placed it");
        assert!(report.contexts.iter().any(|context| context.windows > 0 && context.cost > 1.0));
        balance.save(&*world.store, at(500), true);
        let back = Balance::restore(&*world.store, true).unwrap();
        assert_eq!(back.report().unwrap(), report);
        assert!(balance.inner.as_ref().unwrap().lock().open.is_empty());
    }

    #[test]
    fn frozen_is_frozen_also_after_a_restart() {
        let (world, balance) = world();
        assert!(balance.set_frozen(true));
        live(&world, &balance, 1, 100);
        assert_eq!(balance.report().unwrap().observed, 0);
        balance.save(&*world.store, at(500), true);
        assert!(Balance::restore(&*world.store, true).unwrap().report().unwrap().is_frozen);
    }

    #[test]
    fn switched_off_it_does_nothing_and_the_default_profile_decides() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let balance = Balance::restore(&*store, false).unwrap();
        assert!(balance.report().is_none() && !balance.set_frozen(true));
        assert!(!balance.profile().is_balanced());
        let mut cluster = Cluster::default();
        balance.begin(&mut cluster);
        assert!(cluster.table().is_none());
    }

    #[test]
    fn what_is_stored_and_unreadable_is_learned_anew() {
        let (world, _) = world();
        world.store.put(KEY, b"{\"version\": 99}", Expect::Any).unwrap();
        assert_eq!(Balance::restore(&*world.store, true).unwrap().report().unwrap().observed, 0);
    }
}
