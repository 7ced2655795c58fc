//! What control says to the gateway.

use gapless_proto::{FunctionRoute, GatewayLink, InstanceFact, StartsBlocked};
use gapless_types::{FunctionKey, InstanceId, RevisionName};

use crate::gateway::Gateway;
use crate::routes::Entry;

impl GatewayLink for Gateway {
    fn set_route(&self, route: FunctionRoute) {
        if let Some((name, entry)) = self.routes().set(route) {
            self.close(&name, &entry);
        }
    }

    fn remove_route(&self, function: &FunctionKey) {
        if let Some((name, entry)) = self.routes().remove(function) {
            self.close(&name, &entry);
        }
    }

    fn instance(&self, revision: &RevisionName, instance: InstanceId, fact: InstanceFact) {
        let is_retiring = matches!(fact, InstanceFact::Retiring);
        let is_gone = matches!(fact, InstanceFact::Gone(_));
        match self.routes().revision(revision) {
            Some((of, entry)) => {
                if let Some(queue) = entry.existing() {
                    queue.instance(instance, fact);
                } else if is_retiring {
                    self.give_back(revision, instance);
                } else if !is_gone {
                    entry.queue(|| self.new_queue(of)).instance(instance, fact);
                }
                if is_gone || is_retiring {
                    self.forget_if_finished(revision, &entry);
                }
            }
            // Not ours any more: nothing of it is in use here.
            None if is_retiring => self.give_back(revision, instance),
            None => {}
        }
    }

    fn starts_blocked(&self, revision: &RevisionName, blocked: Option<StartsBlocked>) {
        if let Some((_, entry)) = self.routes().revision(revision)
            && let Some(queue) = entry.existing()
        {
            queue.starts_blocked(blocked);
        }
    }
}

impl Gateway {
    fn close(&self, name: &RevisionName, entry: &Entry) {
        if let Some(queue) = entry.existing() {
            queue.close();
        }
        self.forget_if_finished(name, entry);
    }

    fn forget_if_finished(&self, name: &RevisionName, entry: &Entry) {
        let is_current = self.routes().is_current(name);
        if !is_current && entry.existing().is_none_or(|queue| queue.is_finished()) {
            self.routes().forget(name);
        }
    }

    fn give_back(&self, revision: &RevisionName, instance: InstanceId) {
        if let Some(control) = self.control() {
            control.released(revision, instance);
        }
    }
}
