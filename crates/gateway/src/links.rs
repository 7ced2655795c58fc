//! What control says to the gateway.

use gapless_proto::{FunctionRoute, GatewayLink, InstanceFact, RouteReadiness, StartsBlocked};
use gapless_types::{FunctionKey, InstanceId, RevisionName};

use crate::gateway::Gateway;
use crate::routes::Entry;

impl GatewayLink for Gateway {
    fn set_route(&self, route: FunctionRoute) {
        let routes = &self.shared().routes;
        let name = route.revision.name.clone();
        let failure = match &route.readiness {
            RouteReadiness::Failed(why) => Some(why.clone()),
            RouteReadiness::Ready | RouteReadiness::Preparing => None,
        };
        // A rollback finds the queue that was closed. It opens before the route
        // leads to it, so that nobody is refused in between.
        if let Some((_, entry)) = routes.revision(&name) {
            entry.open();
            if let Some(queue) = entry.existing() {
                queue.refused(failure.as_ref());
            }
        }
        if let Some((former, entry)) = routes.set(route) {
            self.close(&former, &entry);
        }
    }

    fn remove_route(&self, function: &FunctionKey) {
        if let Some((name, entry)) = self.shared().routes.remove(function) {
            self.close(&name, &entry);
        }
    }

    fn instance(&self, revision: &RevisionName, instance: InstanceId, fact: InstanceFact) {
        let is_end = matches!(fact, InstanceFact::Retiring | InstanceFact::Gone(_));
        let Some((of, entry)) = self.shared().routes.revision(revision) else {
            // Not ours any more: nothing of it is in use here.
            return self.give_back_unknown(revision, instance, &fact);
        };
        match entry.existing() {
            Some(queue) => queue.instance(instance, fact),
            None if is_end => self.give_back_unknown(revision, instance, &fact),
            None => entry.queue(|| self.new_queue(of)).instance(instance, fact),
        }
        if is_end {
            self.shared().forget_if_finished(revision);
        }
    }

    fn starts_blocked(&self, revision: &RevisionName, blocked: Option<StartsBlocked>) {
        let Some((of, entry)) = self.shared().routes.revision(revision) else {
            return;
        };
        match entry.existing() {
            Some(queue) => queue.starts_blocked(blocked),
            None if blocked.is_some() => {
                entry.queue(|| self.new_queue(of)).starts_blocked(blocked);
            }
            None => {}
        }
    }

    fn reclaim(&self, instances: u32) {
        let queues = self.shared().routes.queues();
        let mut idle: Vec<_> =
            queues.iter().filter_map(|queue| Some((queue.idle_until()?, queue))).collect();
        for _ in 0..instances {
            let first = idle.iter().enumerate().min_by_key(|(_, (until, _))| *until);
            let Some((index, (_, queue))) = first else { return };
            queue.reclaim();
            match queue.idle_until() {
                Some(until) => idle[index].0 = until,
                None => drop(idle.swap_remove(index)),
            }
        }
    }
}

impl Gateway {
    fn close(&self, name: &RevisionName, entry: &Entry) {
        entry.close();
        self.shared().forget_if_finished(name);
    }

    /// Answers for an instance this gateway uses nothing of.
    fn give_back_unknown(
        &self,
        revision: &RevisionName,
        instance: InstanceId,
        fact: &InstanceFact,
    ) {
        let is_leased = matches!(fact, InstanceFact::Ready(_) | InstanceFact::Retiring);
        if is_leased && let Some(control) = self.shared().control.get() {
            control.released(revision, instance);
        }
    }
}
