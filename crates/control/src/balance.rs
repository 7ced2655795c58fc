//! The balancer live: what comes of placements is told to it, and every few seconds the
//! table that follows is given to the cluster.
//!
//! What an instance cost is made of what control sees of it. *Slowdown*: its start, over
//! the shortest start of its revision, as a share of start and life; and how crowded the
//! processor of its node was, as measured. *Node hours*: what it reserved, over all that
//! was reserved on its node, when it came and when it went. *Failures*: starts that
//! failed for the node's fault, instances that died. How long an instance's requests took,
//! against what is usual for its revision, the gateway says when it gives it back; of one
//! that served few, the node's load has to do.
//!
//! | to find | look in |
//! |---|---|
//! | what came of instances, and what each cost | [`outcomes`] |
//! | metrics | [`shown`] |
//! | which scores pull against which | [`conflicts`] |
//!
//! What always holds: deciding does not wait for learning (the table is a pointer that is
//! exchanged under the cluster's lock; this lock is never taken under it); what is kept of
//! instances is bounded by instances; what was learned survives a restart.

mod conflicts;
mod outcomes;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use gapless_placement::balance::{
    Balancer, Class, Config, Prior, Regime, Report, Saved, Situation,
};
use gapless_placement::{Cluster, Profile, ShapeId};
use gapless_store::{Expect, Store, StoreError};
use gapless_telemetry::Metrics;
use gapless_types::{InstanceId, Time};
use parking_lot::Mutex;

pub(crate) use conflicts::fights;
pub(crate) use outcomes::{End, Seen};
use outcomes::{Kind, Open};
use shown::tell;

use crate::Control;

/// How often the table is made anew.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// How often what was learned is written down.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Where it is written down.
const KEY: &str = "balance/learned";

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
        let mut seen = None;
        with(&mut |cluster| {
            regime = Regime::of_cluster(cluster.state(), regime);
            seen = Situation::of_cluster(cluster);
        });
        let (table, classes) = {
            let inner = &mut *inner.lock();
            let changed = inner.features.iter_mut().filter_map(|(shape, kind)| {
                let class = kind.features.class();
                let is_new = std::mem::replace(&mut kind.class, class) != class;
                is_new.then_some((*shape, class))
            });
            let classes: Vec<(ShapeId, Class)> = changed.collect();
            (inner.balancer.tick(regime, seen.as_ref()), classes)
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
}
