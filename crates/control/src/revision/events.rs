//! From events to effects: what happens to a revision goes to its fleet, and what
//! the fleet wants is turned into effects. Nothing is carried out here.

use std::sync::Arc;
use std::time::Duration;

use gapless_declared::ObjectKey;
use gapless_placement::Unplaced;
use gapless_proto::{InstanceFact, Lease, NodeFact, StartFailure, StartsBlocked};
use gapless_rt::Timer;
use gapless_scaling::{Action, Block, Event};
use gapless_types::{Fault, InstanceId, NodeId, Reason, Resources, Time};
use jiff::Timestamp;

use super::{CLOSE_WITHIN, Effect, Held, Inner, Phase, RevisionState, STOP_GRACE};
use crate::Control;
use crate::balance::End;
use crate::status::{instance_name, instance_value};

/// Idle instances that are asked to go at a time, for want of room.
const RECLAIMED_MAX: u32 = 16;

impl Control {
    /// Something happened to a revision.
    pub(crate) fn on(&self, state: &Arc<RevisionState>, event: Event) {
        self.apply(state, &mut state.inner.lock(), event);
        self.attend(state);
    }

    /// A node says something of an instance.
    pub(crate) fn on_node_fact(
        &self,
        state: &Arc<RevisionState>,
        instance: InstanceId,
        fact: NodeFact,
    ) {
        {
            let inner = &mut *state.inner.lock();
            let Some(held) = inner.instances.get_mut(&instance) else { return };
            match fact {
                NodeFact::Starting if held.phase == Phase::Starting => {
                    self.apply(state, inner, Event::Starting { instance });
                }
                NodeFact::Ready { endpoint, report } if held.phase == Phase::Starting => {
                    held.phase = Phase::Ready;
                    self.nodes().confirm(instance, report.total(), self.clock().now());
                    held.endpoint = Some(endpoint.clone());
                    held.report = Some(Arc::clone(&report));
                    let slots = state.revision.spec.concurrency;
                    let lease = Lease { slots, endpoint, start: report };
                    inner.outbox.push(Effect::Tell(instance, InstanceFact::Ready(lease)));
                    self.tell_instance(state, instance, false);
                    self.apply(state, inner, Event::Ready { instance });
                }
                // It was told to end in the meantime, or said it before.
                NodeFact::Starting | NodeFact::Ready { .. } => {}
                NodeFact::Gone(failure) => self.gone(state, inner, instance, failure),
            }
        }
        self.attend(state);
    }

    fn gone(
        &self,
        state: &Arc<RevisionState>,
        inner: &mut Inner,
        instance: InstanceId,
        failure: Option<Arc<StartFailure>>,
    ) {
        let Some(held) = inner.instances.remove(&instance) else { return };
        self.tell_instance_gone(state, instance, &held);
        let is_nodes_fault = |failure: &Arc<StartFailure>| failure.fault == Fault::Platform;
        let is_lost = held.phase != Phase::Ending && failure.as_ref().is_some_and(is_nodes_fault);
        let end = match held.phase {
            _ if is_lost => End::Lost,
            Phase::Starting => End::Dropped,
            _ => End::Done,
        };
        self.nodes().release(instance, end, self.clock().now());
        if held.phase == Phase::Starting && failure.as_ref().is_some_and(is_nodes_fault) {
            self.nodes().note_failure(&held.node);
        }
        let mut failed = false;
        if held.phase != Phase::Ending {
            failed = failure.is_some();
            inner.last_failure = failure.clone().or(inner.last_failure.take());
            inner.outbox.push(Effect::Tell(instance, InstanceFact::Gone(failure)));
        }
        inner.outbox.push(Effect::RoomFreed);
        // The fleet may have closed while its node still ended what it had forgotten.
        let was_closed = inner.is_closed;
        self.apply(state, inner, Event::Gone { instance, failed });
        if was_closed && inner.instances.is_empty() {
            inner.outbox.push(Effect::Closed);
        }
    }

    /// The gateway says that an instance is broken. It is ended, and counts as failed.
    pub(crate) fn on_broken(&self, state: &Arc<RevisionState>, instance: InstanceId, why: &str) {
        {
            let inner = &mut *state.inner.lock();
            let Some(held) = inner.instances.get_mut(&instance) else { return };
            if !matches!(held.phase, Phase::Ready | Phase::Retiring) {
                return;
            }
            held.phase = Phase::Ending;
            let node = held.node.clone();
            let failure = Arc::new(StartFailure {
                fault: Fault::Function,
                kind: "Broken",
                message: why.to_owned(),
            });
            inner.last_failure = Some(Arc::clone(&failure));
            inner.outbox.push(Effect::Tell(instance, InstanceFact::Gone(Some(failure))));
            inner.outbox.push(Effect::Stop(node, instance, Duration::ZERO));
            self.tell_instance(state, instance, false);
            self.apply(state, inner, Event::Gone { instance, failed: true });
        }
        self.attend(state);
    }

    /// The revision is replaced or deleted.
    pub(crate) fn close(&self, state: &Arc<RevisionState>) {
        self.on(state, Event::Close);
        if state.inner.lock().instances.is_empty() {
            return;
        }
        let (control, state) = (self.weak(), Arc::downgrade(state));
        let (clock, shutdown) = (*self.clock(), self.shutdown().clone());
        let mut at = clock.now();
        at += CLOSE_WITHIN;
        gapless_rt::spawn(async move {
            tokio::select! {
                () = clock.sleep_until(at) => {}
                () = shutdown.begun() => return,
            }
            if let (Some(control), Some(state)) = (control.upgrade(), state.upgrade()) {
                control.release_all(&state);
            }
        });
    }

    /// Takes back what the gateway has not given back.
    fn release_all(&self, state: &Arc<RevisionState>) {
        let left: Vec<InstanceId> = state.inner.lock().instances.keys().copied().collect();
        for instance in left {
            self.on(state, Event::Released { instance });
        }
    }

    /// Hands an event to the fleet and turns its actions into effects.
    fn apply(&self, state: &Arc<RevisionState>, inner: &mut Inner, event: Event) {
        let now = self.clock().now();
        let mut ids = || self.next_instance();
        let mut actions = Vec::new();
        let before = ailment(inner);
        inner.fleet.on_event(now, event, &mut ids, &mut actions);
        let starts = starts_of(&actions);
        let mut placed = self.place(state, &starts, now).into_iter();
        let mut unplaced = 0;
        let mut index = 0;
        // A start without room adds actions, and blocks further starts: so this ends.
        while index < actions.len() {
            let action = actions[index].clone();
            index += 1;
            if let Action::Start { instance } = action {
                match placed.next() {
                    Some(Ok(node)) if unplaced == 0 => {
                        self.started(state, inner, instance, node, now);
                    }
                    outcome => {
                        unplaced += 1;
                        self.no_room(state, inner, instance, outcome);
                        let event = Event::NoCapacity { instance };
                        inner.fleet.on_event(now, event, &mut ids, &mut actions);
                    }
                }
                continue;
            }
            self.carry_out(state, inner, action);
        }
        if unplaced > 0 {
            inner.outbox.push(Effect::RoomWanted(unplaced.min(RECLAIMED_MAX)));
        }
        if !actions.is_empty() || !inner.outbox.is_empty() {
            inner.outbox.push(Effect::Changed);
        }
        if before != ailment(inner) {
            inner.outbox.push(Effect::Health);
        }
    }

    /// Finds nodes for starts, all at once.
    fn place(
        &self,
        state: &RevisionState,
        starts: &[InstanceId],
        now: Time,
    ) -> Vec<Result<NodeId, Arc<Unplaced>>> {
        if starts.is_empty() {
            return Vec::new();
        }
        self.nodes().place(state.shape, starts, now)
    }

    fn started(
        &self,
        state: &RevisionState,
        inner: &mut Inner,
        instance: InstanceId,
        node: NodeId,
        now: Time,
    ) {
        self.metrics().control.placed("placed");
        let (made, phase) = (Timestamp::now(), Phase::Starting);
        let held = Held { node: node.clone(), phase, made, endpoint: None, report: None };
        inner.instances.insert(instance, held);
        self.tell_instance(state, instance, true);
        inner.outbox.push(Effect::Tell(instance, InstanceFact::Starting));
        inner.outbox.push(Effect::Start(node, instance, now));
    }

    fn no_room(
        &self,
        state: &Arc<RevisionState>,
        inner: &mut Inner,
        instance: InstanceId,
        outcome: Option<Result<NodeId, Arc<Unplaced>>>,
    ) {
        self.metrics().control.placed("no-capacity");
        match outcome {
            Some(Err(why)) => inner.shortage = Some(why),
            // Found room after another of its batch had not: given back.
            Some(Ok(_)) => self.nodes().release(instance, End::Dropped, self.clock().now()),
            None => {}
        }
        if !std::mem::replace(&mut inner.is_starved, true) {
            self.nodes().starve(Arc::clone(state));
        }
    }

    fn carry_out(&self, state: &Arc<RevisionState>, inner: &mut Inner, action: Action) {
        match action {
            Action::Start { .. } => unreachable!("starts are placed"),
            Action::CancelStart { instance } => {
                end(inner, instance, Duration::ZERO);
                self.tell_instance(state, instance, false);
            }
            Action::Stop { instance } => {
                end(inner, instance, STOP_GRACE);
                self.tell_instance(state, instance, false);
            }
            Action::Retire { instance } => {
                if let Some(held) = inner.instances.get_mut(&instance) {
                    held.phase = Phase::Retiring;
                    self.tell_instance(state, instance, false);
                    inner.outbox.push(Effect::Tell(instance, InstanceFact::Retiring));
                }
            }
            Action::Blocked(block) => {
                let is_first = |block: &Block| block.is_capacity && block.failures == 1;
                let is_told = !block.as_ref().is_some_and(is_first);
                let blocked = block.map(|block| explain(state, inner, block));
                inner.blocked = blocked.as_ref().map(|blocked| Arc::clone(&blocked.message));
                // Idle instances make room first; who waits is told if that did not help.
                if is_told {
                    inner.outbox.push(Effect::Blocked(blocked));
                }
            }
            Action::WakeAt(Time::NEVER) => inner.timer = None,
            Action::WakeAt(at) => {
                let timer = inner.timer.get_or_insert_with(|| self.timer(state));
                timer.set(at);
            }
            Action::Closed => {
                inner.is_closed = true;
                if inner.instances.is_empty() {
                    inner.outbox.push(Effect::Closed);
                }
            }
        }
    }

    /// Tells who watches that an instance changed. Costs nothing while nobody does.
    fn tell_instance(&self, state: &RevisionState, instance: InstanceId, is_new: bool) {
        let key =
            || ObjectKey::new(state.revision.function.namespace(), instance_name(state, instance));
        self.kind_feeds().instances.tell(is_new, || (key(), None));
    }

    fn tell_instance_gone(&self, state: &RevisionState, instance: InstanceId, held: &Held) {
        self.kind_feeds().instances.tell(false, || {
            let key =
                ObjectKey::new(state.revision.function.namespace(), instance_name(state, instance));
            (key, Some(instance_value(state, &held.view(instance))))
        });
    }

    fn timer(&self, state: &Arc<RevisionState>) -> Timer {
        let (control, state) = (self.weak(), Arc::downgrade(state));
        Timer::spawn(*self.clock(), move || {
            if let (Some(control), Some(state)) = (control.upgrade(), state.upgrade()) {
                control.on(&state, Event::Wake);
            }
        })
    }
}

/// What is wrong with a fleet, as far as people are told.
fn ailment(inner: &Inner) -> (bool, bool) {
    let is_failing = inner.fleet.failures() > 0 && inner.fleet.ready() == 0;
    (is_failing, inner.blocked.is_some())
}

/// The instances that are to be started.
fn starts_of(actions: &[Action]) -> Vec<InstanceId> {
    let start = |action: &Action| match action {
        Action::Start { instance } => Some(*instance),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

/// Ends an instance that neither fleet nor gateway counts any more.
fn end(inner: &mut Inner, instance: InstanceId, grace: Duration) {
    if let Some(held) = inner.instances.get_mut(&instance)
        && held.phase != Phase::Ending
    {
        held.phase = Phase::Ending;
        let node = held.node.clone();
        inner.outbox.push(Effect::Tell(instance, InstanceFact::Gone(None)));
        inner.outbox.push(Effect::Stop(node, instance, grace));
    }
}

/// A block in words.
fn explain(state: &RevisionState, inner: &Inner, block: Block) -> StartsBlocked {
    let function = &state.revision.function;
    if block.is_capacity {
        let Resources { cpu, memory } = state.revision.spec.resources;
        let shortage = inner.shortage.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "no node has room for another instance of {function}, which needs {cpu} cpu and \
             {memory} of memory ({shortage})"
        );
        let reason = Reason::NoCapacity;
        return StartsBlocked { until: block.until, reason, message: message.into() };
    }
    let why = match &inner.last_failure {
        Some(failure) => failure.message.as_str(),
        None => "its instances fail",
    };
    let message = format!(
        "{why} (failed {} times in a row; the next start is tried {} ms later)",
        block.failures,
        block.backoff.as_millis()
    );
    StartsBlocked { until: block.until, reason: Reason::StartFailed, message: message.into() }
}
