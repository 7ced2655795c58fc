//! Every instance of a node with its lifecycle, and the turns they share.
//!
//! The shell holds this behind one lock, and carries out the [`Effect`]s after
//! it is released.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gapless_proto::{Endpoint, NodeFact, StartFailure, StartInstance, StartReport};
use gapless_types::InstanceId;
use tokio::sync::oneshot;

use crate::lifecycle::{Action, Event, Phase};
use crate::turns::{Asked, Place, Turns};

/// What came with an event.
#[derive(Debug)]
pub(crate) enum Outcome {
    Nothing,
    Ready {
        endpoint: Endpoint,
        report: Arc<StartReport>,
    },
    Failed(StartFailure),
    /// How long a stop may take.
    Grace(Duration),
}

/// What is carried out after the lock is released, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Tell the listener. `was_ready` says whether ready was told before.
    Tell { start: StartInstance, fact: NodeFact, driver: usize, was_ready: bool },
    /// Run the instance's task, which is told by `stop` when to end.
    Begin { start: StartInstance, driver: usize, stop: oneshot::Receiver<Duration> },
}

/// The instances of one node.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    entries: HashMap<InstanceId, Entry>,
    /// By driver, as far as it was used.
    turns: Vec<Option<Turns>>,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    driver: usize,
    start: StartInstance,
    /// Its place in the queue, while it waits.
    place: Option<Place>,
    /// Tells its task to stop, once.
    stop: Option<oneshot::Sender<Duration>>,
    was_ready: bool,
}

impl Instances {
    /// A new instance for `driver`, which starts `at_once` at a time. Asking
    /// twice is asking once. `Err` when too many wait.
    pub(crate) fn ask(
        &mut self,
        start: StartInstance,
        driver: usize,
        at_once: usize,
    ) -> Result<Vec<Effect>, StartInstance> {
        let instance = start.instance;
        if self.entries.contains_key(&instance) {
            return Ok(Vec::new());
        }
        if self.turns.len() <= driver {
            self.turns.resize_with(driver + 1, || None);
        }
        let turns = self.turns[driver].get_or_insert_with(|| Turns::new(at_once));
        let (place, is_turn) = match turns.ask(instance) {
            Asked::Now => (None, true),
            Asked::Queued(place) => (Some(place), false),
            Asked::Full => return Err(start),
        };
        let entry =
            Entry { phase: Phase::Waiting, driver, start, place, stop: None, was_ready: false };
        self.entries.insert(instance, entry);
        if is_turn {
            return Ok(self.happened(instance, Event::Turn, Outcome::Nothing));
        }
        Ok(Vec::new())
    }

    /// Something happened to an instance. One that is gone is not moved by it.
    pub(crate) fn happened(
        &mut self,
        instance: InstanceId,
        event: Event,
        mut outcome: Outcome,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut next = Some((instance, event));
        // Two rounds at most: an instance whose turn has come frees none.
        while let Some((instance, event)) = next.take() {
            let Some(entry) = self.entries.get_mut(&instance) else {
                break;
            };
            let (phase, actions) = entry.phase.step(event);
            entry.phase = phase;
            for action in actions {
                let turn = self.carry_out(instance, *action, &mut outcome, &mut effects);
                next = turn.map(|instance| (instance, Event::Turn)).or(next);
            }
        }
        effects
    }

    /// Carries out one action. Returns the instance whose turn it is now.
    fn carry_out(
        &mut self,
        instance: InstanceId,
        action: Action,
        outcome: &mut Outcome,
        effects: &mut Vec<Effect>,
    ) -> Option<InstanceId> {
        let entry = self.entries.get_mut(&instance)?;
        let start = entry.start.clone();
        let (driver, was_ready) = (entry.driver, entry.was_ready);
        match action {
            Action::LeaveQueue => {
                if let (Some(place), Some(turns)) =
                    (entry.place.take(), &mut self.turns[entry.driver])
                {
                    turns.leave(place);
                }
            }
            Action::Begin => {
                let (tell, stop) = oneshot::channel();
                entry.place = None;
                entry.stop = Some(tell);
                effects.push(Effect::Begin { start, driver: entry.driver, stop });
            }
            Action::SignalStop => {
                let grace = match outcome {
                    Outcome::Grace(grace) => *grace,
                    _ => Duration::ZERO,
                };
                if let Some(stop) = entry.stop.take() {
                    // A task that no longer listens has an end of its own to tell.
                    let _ = stop.send(grace);
                }
            }
            Action::FreeTurn => return self.turns[entry.driver].as_mut().and_then(Turns::free),
            Action::TellReady => {
                if let Outcome::Ready { endpoint, report } =
                    std::mem::replace(outcome, Outcome::Nothing)
                {
                    entry.was_ready = true;
                    let fact = NodeFact::Ready { endpoint, report };
                    effects.push(Effect::Tell { start, fact, driver, was_ready });
                }
            }
            Action::TellStopped => {
                self.entries.remove(&instance);
                let fact = NodeFact::Gone(None);
                effects.push(Effect::Tell { start, fact, driver, was_ready });
            }
            Action::TellFailed => {
                self.entries.remove(&instance);
                let failure = match std::mem::replace(outcome, Outcome::Nothing) {
                    Outcome::Failed(failure) => Some(Arc::new(failure)),
                    _ => None,
                };
                let fact = NodeFact::Gone(failure);
                effects.push(Effect::Tell { start, fact, driver, was_ready });
            }
        }
        None
    }

    pub(crate) fn ids(&self) -> Vec<InstanceId> {
        self.entries.keys().copied().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many starts wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.turns.iter().flatten().map(Turns::waiting).sum()
    }
}
