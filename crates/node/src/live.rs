//! The task of one instance: from the beginning of its start to its end.
//!
//! It is the only one that says Ready and Gone of a begun instance, so those
//! facts are in order without a lock around the telling.

use std::sync::Arc;
use std::time::Duration;

use gapless_proto::{StartFailure, StartInstance, StartPhase};
use gapless_sandbox::{Driver, Sandbox, StartTask, Started};
use gapless_types::{Fault, InstanceId, RevisionName};
use tokio::sync::oneshot;

use crate::instances::Outcome;
use crate::lifecycle::Event;
use crate::node::Node;

/// How much longer than its grace a stop may take before the sandbox is
/// dropped, which ends it by the driver's contract.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// What a start needs.
pub(crate) struct Begun {
    pub(crate) start: StartInstance,
    pub(crate) task: StartTask,
    pub(crate) driver: Arc<dyn Driver>,
    /// Told when to stop, with the grace.
    pub(crate) stop: oneshot::Receiver<Duration>,
}

/// Starts the instance, watches it, stops it when told to.
pub(crate) async fn live(node: Arc<Node>, begun: Begun) {
    let Begun { start, task, driver, mut stop } = begun;
    let mut watch = PanicWatch::new(&node, start.instance, &start.revision.name);
    let place = node.clock().now().since(start.asked_at);
    let started = tokio::select! {
        biased;
        _ = &mut stop => None,
        // Lazily: a start that was stopped before this task ran is not begun.
        started = async { driver.start(task).await } => Some(started),
    };
    match started {
        // The start's future is dropped, and with it all that it made.
        None => watch.end(Event::Ended, Outcome::Nothing),
        Some(Err(failure)) => watch.end(Event::StartFailed, Outcome::Failed(failure)),
        Some(Ok(Started { sandbox, report })) => {
            let report = report.with(StartPhase::Place, place);
            let endpoint = sandbox.endpoint();
            watch.tell(Event::Started, Outcome::Ready { endpoint, report: Arc::new(report) });
            serve(sandbox, stop, watch).await;
        }
    }
}

/// Waits for the end of a running instance, told or not.
async fn serve(
    sandbox: Box<dyn Sandbox>,
    stop: oneshot::Receiver<Duration>,
    mut watch: PanicWatch,
) {
    let ended = tokio::select! {
        biased;
        grace = stop => Ok(grace.unwrap_or_default()),
        failure = sandbox.died() => Err(failure),
    };
    match ended {
        Err(failure) => {
            drop(sandbox);
            watch.end(Event::Died, Outcome::Failed(failure));
        }
        Ok(grace) => {
            let stopped = tokio::time::timeout(grace + STOP_MARGIN, sandbox.stop(grace)).await;
            if stopped.is_err() {
                tracing::warn!(instance = %watch.instance, "had to be dropped: its stop hangs");
            }
            watch.end(Event::Ended, Outcome::Nothing);
        }
    }
}

/// Makes sure that a driver that panics is told as a failed instance instead of
/// as one that stays for ever.
struct PanicWatch {
    node: Arc<Node>,
    instance: InstanceId,
    revision: RevisionName,
    phase_event: Event,
    has_ended: bool,
}

impl PanicWatch {
    fn new(node: &Arc<Node>, instance: InstanceId, revision: &RevisionName) -> Self {
        PanicWatch {
            node: Arc::clone(node),
            instance,
            revision: revision.clone(),
            phase_event: Event::StartFailed,
            has_ended: false,
        }
    }

    fn tell(&mut self, event: Event, outcome: Outcome) {
        self.phase_event = Event::Died;
        self.node.happened(self.instance, event, outcome);
    }

    fn end(&mut self, event: Event, outcome: Outcome) {
        self.has_ended = true;
        self.node.happened(self.instance, event, outcome);
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if self.has_ended || !std::thread::panicking() {
            return;
        }
        let failure = StartFailure {
            fault: Fault::Platform,
            kind: "DriverPanicked",
            message: format!(
                "the sandbox of {} {} ended by a bug of gapless; see the platform's own log",
                self.revision, self.instance
            ),
        };
        self.node.happened(self.instance, self.phase_event, Outcome::Failed(failure));
    }
}
