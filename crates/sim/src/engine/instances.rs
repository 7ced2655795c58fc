//! What nodes do with instances: start, serve, stop, fail.

use gapless_dispatch::Event as Demand;
use gapless_scaling::Event as Fact;
use gapless_types::{InstanceId, RequestId, Time};

use super::steps::Step;
use super::{NODE_AWAY, Simulation};
use crate::agenda::Event;

/// An instance on a modelled node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance {
    function: u32,
    node: u32,
    phase: Phase,
    /// When its start was asked for.
    asked: Time,
    /// When it became ready.
    ready: Time,
    pub(super) memory: u64,
    /// Since when its memory is counted as what it is now.
    pub(super) since: Time,
    /// Requests it serves.
    pub(super) busy: u32,
    has_served: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The order is on its way.
    Ordered,
    /// It waits for its turn.
    Queued,
    Starting,
    Ready,
    Stopping,
}

impl Simulation {
    /// A start was placed: the order goes to its node.
    pub(super) fn order(&mut self, function: u32, instance: InstanceId, node: u32) {
        let now = self.now;
        let state = Instance {
            function,
            node,
            phase: Phase::Ordered,
            asked: now,
            ready: now,
            memory: self.functions[function as usize].memory,
            since: now,
            busy: 0,
            has_served: false,
        };
        self.instances.insert(instance, state);
        self.recorder.starts += u64::from(now >= self.recorder.warm_up);
        self.steps.push_back(Step::Dispatch(function, Demand::InstanceStarting { instance }));
        let control = self.draw(self.config.start.control_ms);
        self.agenda.add(now + control, Event::Ordered { instance });
    }

    pub(super) fn ordered(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get_mut(&instance) else { return };
        if state.phase != Phase::Ordered {
            return;
        }
        let node = state.node;
        state.phase = Phase::Queued;
        if !self.nodes[node as usize].is_up {
            self.lose(instance);
        } else if self.nodes[node as usize].asks_turn(instance) {
            self.begin(instance);
        }
    }

    /// The node begins to make an instance.
    fn begin(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get_mut(&instance) else { return };
        state.phase = Phase::Starting;
        let (function, node) = (state.function, state.node);
        let (was_here, gone) = self.nodes[node as usize].uses_image(function);
        if let Some(gone) = gone {
            self.places.set_image(node, gone, false);
        }
        if !was_here {
            self.places.set_image(node, function, true);
        }
        let start = &self.config.start;
        let work = self.draw(if was_here { start.again_ms } else { start.first_ms });
        self.nodes[node as usize].starting.add(self.now, instance.0, work);
        self.foresee_start(node);
        self.steps.push_back(Step::Fleet(function, Fact::Starting { instance }));
    }

    pub(super) fn start_ends(&mut self, node: u32, version: u32) {
        if self.nodes[node as usize].starting.version() != version {
            return;
        }
        while let Some(instance) = self.nodes[node as usize].starting.pop_ended(self.now) {
            let instance = InstanceId(instance);
            if self.happens(self.config.start_failures) {
                self.recorder.starts_failed += u64::from(self.now >= self.recorder.warm_up);
                self.lose(instance);
            } else {
                self.ready(instance);
            }
        }
        self.give_turns(node);
        self.foresee_start(node);
    }

    fn ready(&mut self, instance: InstanceId) {
        let (now, slots) = (self.now, self.config.concurrency);
        let Some(state) = self.instances.get_mut(&instance) else { return };
        (state.phase, state.ready) = (Phase::Ready, now);
        let (function, start) = (state.function, now - state.asked);
        self.places.confirm(instance);
        let event = Demand::InstanceReady { instance, slots, start };
        self.steps.push_back(Step::Dispatch(function, event));
        self.steps.push_back(Step::Fleet(function, Fact::Ready { instance }));
    }

    /// A turn was freed on a node.
    fn give_turns(&mut self, node: u32) {
        while let Some(next) = self.nodes[node as usize].next_turn() {
            self.begin(next);
        }
    }

    fn foresee_start(&mut self, node: u32) {
        let starting = &self.nodes[node as usize].starting;
        if let Some(at) = starting.next_end() {
            let version = starting.version();
            self.agenda.add(at.max(self.now), Event::StartEnds { node, version });
        }
    }

    /// A request is sent to an instance.
    pub(super) fn send(&mut self, request: u64, instance: InstanceId) {
        let now = self.now;
        let waiting = self.requests.get_mut(&request).expect("it was admitted");
        let Some(state) = self.instances.get_mut(&instance) else {
            // Its node failed and the core has yet to hear of it.
            let lost = *waiting;
            self.requests.remove(&request);
            self.recorder.lost(lost.arrived);
            let event = Demand::Cancel { request: RequestId(request) };
            self.steps.push_back(Step::Dispatch(lost.function, event));
            return;
        };
        (waiting.instance, waiting.sent) = (Some(instance), now);
        waiting.is_cold = !state.has_served && state.ready > waiting.arrived;
        state.has_served = true;
        if state.busy == 0 {
            self.recorder.held(state.memory, state.since, now, false);
            state.since = now;
        }
        state.busy += 1;
        let (node, service) = (state.node, waiting.service);
        self.nodes[node as usize].serving.add(now, request, service);
        self.foresee_service(node);
    }

    pub(super) fn service_ends(&mut self, node: u32, version: u32) {
        if self.nodes[node as usize].serving.version() != version {
            return;
        }
        while let Some(request) = self.nodes[node as usize].serving.pop_ended(self.now) {
            self.answered(request);
        }
        self.foresee_service(node);
    }

    fn foresee_service(&mut self, node: u32) {
        let serving = &self.nodes[node as usize].serving;
        if let Some(at) = serving.next_end() {
            let version = serving.version();
            self.agenda.add(at.max(self.now), Event::ServiceEnds { node, version });
        }
    }

    fn answered(&mut self, request: u64) {
        let now = self.now;
        let Some(done) = self.requests.remove(&request) else { return };
        self.recorder.served(done.arrived, done.sent, now, done.service, done.is_cold);
        if let Some(state) = done.instance.and_then(|id| self.instances.get_mut(&id)) {
            state.busy -= 1;
            if state.busy == 0 {
                self.recorder.held(state.memory, state.since, now, true);
                state.since = now;
            }
        }
        let event = Demand::Finish { request: RequestId(request) };
        self.steps.push_back(Step::Dispatch(done.function, event));
    }

    /// A start that is no longer wanted is dropped.
    pub(super) fn cancel_start(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get(&instance).copied() else { return };
        let node = &mut self.nodes[state.node as usize];
        match state.phase {
            Phase::Queued => drop(node.leaves_queue(instance)),
            Phase::Starting => node.starting.remove(self.now, instance.0),
            Phase::Ordered | Phase::Ready | Phase::Stopping => {}
        }
        self.recorder.starts_dropped += u64::from(self.now >= self.recorder.warm_up);
        // What was never begun was no start.
        if matches!(state.phase, Phase::Ordered | Phase::Queued)
            && state.asked >= self.recorder.warm_up
        {
            self.recorder.starts -= 1;
        }
        self.forget(instance);
        let event = Demand::InstanceGone { instance };
        self.steps.push_back(Step::Dispatch(state.function, event));
        if state.phase == Phase::Starting {
            self.give_turns(state.node);
            self.foresee_start(state.node);
        }
    }

    /// An instance that nobody uses is stopped.
    pub(super) fn stop(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get_mut(&instance) else { return };
        state.phase = Phase::Stopping;
        let function = state.function;
        self.steps.push_back(Step::Dispatch(function, Demand::InstanceGone { instance }));
        self.agenda.add(self.now + self.config.stop, Event::Stopped { instance });
    }

    pub(super) fn stopped(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get(&instance) else { return };
        let function = state.function;
        self.forget(instance);
        let event = Fact::Gone { instance, failed: false };
        self.steps.push_back(Step::Fleet(function, event));
    }

    /// An instance is lost, with what it serves.
    fn lose(&mut self, instance: InstanceId) {
        let Some(state) = self.instances.get(&instance).copied() else { return };
        self.forget(instance);
        let gone = Demand::InstanceGone { instance };
        self.steps.push_back(Step::Dispatch(state.function, gone));
        let failed = state.phase != Phase::Stopping;
        self.steps.push_back(Step::Fleet(state.function, Fact::Gone { instance, failed }));
    }

    fn forget(&mut self, instance: InstanceId) {
        if let Some(state) = self.instances.remove(&instance) {
            self.recorder.held(state.memory, state.since, self.now, state.busy > 0);
            self.places.release(instance);
            self.room_freed();
        }
    }

    pub(super) fn node_fails(&mut self, node: u32) {
        let mut requests = self.nodes[node as usize].serving.clear();
        self.nodes[node as usize].fails();
        self.places.set_healthy(node, false);
        requests.sort_unstable();
        for request in requests {
            if let Some(lost) = self.requests.remove(&request) {
                self.recorder.lost(lost.arrived);
                let event = Demand::Cancel { request: RequestId(request) };
                self.steps.push_back(Step::Dispatch(lost.function, event));
            }
        }
        let on_it = self.instances.iter().filter(|(_, state)| state.node == node);
        let mut lost: Vec<InstanceId> = on_it.map(|(id, _)| *id).collect();
        lost.sort_unstable();
        lost.into_iter().for_each(|instance| self.lose(instance));
        self.agenda.add(self.now + NODE_AWAY, Event::NodeReturns { node });
    }

    pub(super) fn node_returns(&mut self, node: u32) {
        self.nodes[node as usize].is_up = true;
        self.places.set_healthy(node, true);
        self.room_freed();
        self.foresee_failure(node);
    }
}
