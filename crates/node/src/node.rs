//! [`Node`]: the shell around the instances.
//!
//! What follows from an event is collected under the lock and carried out after
//! it is released, because the listener may call back on the same thread. A node
//! without instances is a few hundred bytes and no task, so ten thousand
//! modelled ones are cheap.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use gapless_proto::{
    NodeFact, NodeLink, NodeListener, StartFailure, StartInstance, StartPhase, StartReport,
};
use gapless_rt::Clock;
use gapless_sandbox::{Driver, LogStream, PrepareTask, StartTask};
use gapless_telemetry::Metrics;
use gapless_types::{Fault, InstanceId, NodeId, Revision, RevisionName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::instances::{Effect, Instances, Outcome};
use crate::lifecycle::Event;
use crate::live::{self, Begun};
use crate::logs::LogStore;
use crate::turns::WAITING_MAX;

/// Gives the path of an artifact on this machine by its digest, `None` if it
/// cannot be there.
pub type ArtifactPath = Arc<dyn Fn(&str) -> Option<PathBuf> + Send + Sync>;

/// The kind of failure of a start that a node which is ending refuses: no news
/// for those who read the function's log.
const DRAINING: &str = "Draining";

/// What a node is.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name.
    pub id: NodeId,
    /// Cores it has: decides how many starts are under way at a time.
    pub cores: usize,
}

/// Runs instances on one machine, or pretends to.
pub struct Node {
    me: Weak<Node>,
    config: NodeConfig,
    drivers: Arc<[Arc<dyn Driver>]>,
    artifacts: ArtifactPath,
    logs: Arc<LogStore>,
    clock: Clock,
    metrics: Arc<Metrics>,
    listener: OnceLock<Weak<dyn NodeListener>>,
    state: Mutex<State>,
    /// Told when the last instance is gone.
    emptied: Notify,
}

#[derive(Default)]
struct State {
    instances: Instances,
    is_closing: bool,
}

impl Node {
    /// A node with these drivers, not connected yet.
    pub fn new(
        config: NodeConfig,
        drivers: Arc<[Arc<dyn Driver>]>,
        artifacts: ArtifactPath,
        logs: Arc<LogStore>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Node {
            me: Weak::clone(me),
            config,
            drivers,
            artifacts,
            logs,
            clock,
            metrics,
            listener: OnceLock::new(),
            state: Mutex::new(State::default()),
            emptied: Notify::new(),
        })
    }

    /// Says who is told about instances, once. The node does not keep the
    /// listener alive.
    ///
    /// # Panics
    /// When it is connected already.
    pub fn connect(&self, listener: &Arc<dyn NodeListener>) {
        let is_first = self.listener.set(Arc::downgrade(listener)).is_ok();
        assert!(is_first, "node {} is connected once", self.config.id);
    }

    /// Kinds of sandboxes it has.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.drivers.iter().map(|driver| driver.kind()).collect()
    }

    /// How many instances it has, in whichever phase.
    pub fn instances(&self) -> usize {
        self.state.lock().instances.len()
    }

    /// How many starts wait for their turn.
    pub fn waiting_starts(&self) -> usize {
        self.state.lock().instances.waiting()
    }

    /// Stops every instance, all at once, and waits until nothing of them is
    /// left: not much longer than `grace`. Refuses every further start.
    pub async fn shutdown(&self, grace: Duration) {
        let instances = {
            let mut state = self.state.lock();
            state.is_closing = true;
            state.instances.ids()
        };
        for instance in instances {
            self.stop(instance, grace);
        }
        loop {
            let emptied = self.emptied.notified();
            if self.instances() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Something happened to an instance.
    pub(crate) fn happened(&self, instance: InstanceId, event: Event, outcome: Outcome) {
        let effects = self.state.lock().instances.happened(instance, event, outcome);
        self.perform(effects);
    }

    fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell { start, fact, driver, was_ready } => {
                    self.count(&fact, driver, was_ready);
                    self.tell(&start, fact);
                }
                Effect::Begin { start, driver, stop } => {
                    // Told before the task exists that tells everything after it.
                    self.tell(&start, NodeFact::Starting);
                    let Some(node) = self.me.upgrade() else {
                        return;
                    };
                    let task = self.start_task(&start);
                    let driver = Arc::clone(&self.drivers[driver]);
                    gapless_rt::spawn(live::live(node, Begun { start, task, driver, stop }));
                }
            }
        }
    }

    fn tell(&self, start: &StartInstance, fact: NodeFact) {
        if let NodeFact::Gone(Some(failure)) = &fact
            && failure.kind != DRAINING
        {
            let logs = self.logs.sink(&start.revision.function, start.instance);
            logs.line(LogStream::Platform, failure.message.as_bytes());
        }
        let is_gone = matches!(fact, NodeFact::Gone(_));
        if let Some(listener) = self.listener.get().and_then(Weak::upgrade) {
            listener.fact(&self.config.id, &start.revision.name, start.instance, fact);
        }
        if is_gone && self.state.lock().is_closing {
            self.emptied.notify_waiters();
        }
    }

    fn count(&self, fact: &NodeFact, driver: usize, was_ready: bool) {
        let (metrics, kind) = (&self.metrics.node, self.drivers[driver].kind());
        match fact {
            NodeFact::Starting => {}
            NodeFact::Ready { report, .. } => {
                metrics.start_ended(kind, "ready");
                metrics.instances_changed(kind, 1);
                let StartReport { phases, .. } = &**report;
                for (phase, took) in StartPhase::ALL.iter().zip(phases) {
                    metrics.start_phase(kind, phase.as_str(), *took);
                }
            }
            NodeFact::Gone(_) if was_ready => metrics.instances_changed(kind, -1),
            NodeFact::Gone(Some(_)) => metrics.start_ended(kind, "failed"),
            NodeFact::Gone(None) => metrics.start_ended(kind, "dropped"),
        }
    }

    fn driver_for(&self, revision: &Revision) -> Result<usize, StartFailure> {
        let code = revision.spec.code();
        let found = self.drivers.iter().position(|driver| driver.runs(&code));
        found.ok_or_else(|| StartFailure {
            fault: Fault::Caller,
            kind: "NoDriver",
            message: format!(
                "node {} cannot run {}: it has sandboxes for {} only",
                self.config.id,
                revision.function,
                self.kinds().join(", ")
            ),
        })
    }

    fn prepare_task(&self, revision: &Arc<Revision>) -> PrepareTask {
        let digest = revision.spec.artifact.as_deref();
        let artifact = digest.and_then(|digest| (self.artifacts)(digest));
        PrepareTask { revision: Arc::clone(revision), artifact }
    }

    fn start_task(&self, start: &StartInstance) -> StartTask {
        StartTask {
            instance: start.instance,
            prepare: self.prepare_task(&start.revision),
            config: Arc::clone(&start.config),
            logs: self.logs.sink(&start.revision.function, start.instance),
        }
    }

    /// Asks for an instance; an `Err` is why it can never be.
    fn ask(&self, start: StartInstance) -> Result<Vec<Effect>, (StartInstance, StartFailure)> {
        let driver = match self.driver_for(&start.revision) {
            Ok(driver) => driver,
            Err(failure) => return Err((start, failure)),
        };
        let at_once = self.drivers[driver].starts_at_once(self.config.cores);
        let refused = |kind, message| StartFailure { fault: Fault::Platform, kind, message };
        let mut state = self.state.lock();
        if state.is_closing {
            return Err((start, refused(DRAINING, format!("node {} is ending", self.config.id))));
        }
        state.instances.ask(start, driver, at_once).map_err(|start| {
            let message = format!("{WAITING_MAX} starts wait on node {}", self.config.id);
            (start, refused("StartQueueFull", message))
        })
    }
}

impl NodeLink for Node {
    fn id(&self) -> &NodeId {
        &self.config.id
    }

    fn prepare(&self, revision: Arc<Revision>) -> BoxFuture<'static, Result<(), StartFailure>> {
        match self.driver_for(&revision) {
            Ok(driver) => self.drivers[driver].prepare(self.prepare_task(&revision)),
            Err(failure) => std::future::ready(Err(failure)).boxed(),
        }
    }

    fn start(&self, start: StartInstance) {
        match self.ask(start) {
            Ok(effects) => self.perform(effects),
            Err((start, failure)) => self.tell(&start, NodeFact::Gone(Some(Arc::new(failure)))),
        }
    }

    fn stop(&self, instance: InstanceId, grace: Duration) {
        self.happened(instance, Event::Stop, Outcome::Grace(grace));
    }

    fn forget(&self, revision: &RevisionName) {
        for driver in &*self.drivers {
            driver.forget(revision);
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.config.id, self.kinds().join(", "))
    }
}
