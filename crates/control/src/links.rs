//! What gateway and nodes say to control.

use gapless_proto::{ControlLink, Demand, NodeFact, NodeListener, Served};
use gapless_scaling::Event;
use gapless_types::{InstanceId, NodeId, RevisionName};

use crate::Control;

impl ControlLink for Control {
    fn demand(&self, revision: &RevisionName, demand: Demand) {
        self.metrics().control.demands.inc();
        let Demand { seq, instances } = demand;
        // Demand for what is not declared is old: the gateway is told, or was.
        if let Some(state) = self.revision_on_demand(revision) {
            self.on(&state, Event::Demand { seq, instances });
        }
    }

    fn idle(&self, revision: &RevisionName, instance: InstanceId) {
        if let Some(state) = self.revision(revision) {
            self.on(&state, Event::Idle { instance });
        }
    }

    fn released(&self, revision: &RevisionName, instance: InstanceId) {
        if let Some(state) = self.revision(revision) {
            self.on(&state, Event::Released { instance });
        }
    }

    fn served(&self, _revision: &RevisionName, instance: InstanceId, served: Served) {
        self.nodes().balance().served(instance, served);
    }

    fn broken(&self, revision: &RevisionName, instance: InstanceId, why: &str) {
        if let Some(state) = self.revision(revision) {
            self.on_broken(&state, instance, why);
        }
    }
}

impl NodeListener for Control {
    fn fact(&self, _node: &NodeId, revision: &RevisionName, instance: InstanceId, fact: NodeFact) {
        if let Some(state) = self.revision(revision) {
            self.on_node_fact(&state, instance, fact);
        }
    }
}
