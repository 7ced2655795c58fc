//! What control says to the gateway.

use std::future::ready;
use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_proto::{
    FunctionRoute, GatewayLink, InstanceFact, ProbeFailure, RouteReadiness, RouteTarget,
    StartsBlocked,
};
use gapless_types::{FunctionKey, InstanceId, Outcomes, RevisionName};

use crate::gateway::Gateway;
use crate::probe;
use crate::routes::Dropped;

impl GatewayLink for Gateway {
    fn set_route(&self, route: FunctionRoute) {
        let routes = &self.shared().routes;
        let failures: Vec<_> = route.targets.iter().map(failure).collect();
        let dropped = routes.set(route);
        for (name, why) in failures {
            if let Some((_, entry)) = routes.revision(&name)
                && let Some(queue) = entry.existing()
            {
                queue.refused(why.as_ref());
            }
        }
        self.close(&dropped);
    }

    fn remove_route(&self, function: &FunctionKey) {
        self.close(&self.shared().routes.remove(function));
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
            self.shared().routes.forget_if_finished(revision);
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

    fn outcomes(&self, revision: &RevisionName) -> Outcomes {
        let found = self.shared().routes.revision(revision);
        let queue = found.as_ref().and_then(|(_, entry)| entry.existing());
        queue.map(|queue| queue.tally.outcomes(queue.waiting())).unwrap_or_default()
    }

    fn probe(&self, revision: &RevisionName) -> BoxFuture<'static, Result<(), ProbeFailure>> {
        match self.shared().routes.revision(revision) {
            Some((of, entry)) => {
                let queue = entry.queue(|| self.new_queue(of)).clone();
                Box::pin(async move { probe::probe(&queue).await })
            }
            None => Box::pin(ready(Err(probe::not_routed(revision)))),
        }
    }
}

/// Why a target cannot run, if it cannot.
fn failure(target: &RouteTarget) -> (RevisionName, Option<Arc<str>>) {
    let why = match &target.readiness {
        RouteReadiness::Failed(why) => Some(why.clone()),
        RouteReadiness::Ready | RouteReadiness::Preparing => None,
    };
    (target.revision.name.clone(), why)
}

impl Gateway {
    /// These take nothing new; what waits for them is moved, or refused if the function
    /// is no more.
    fn close(&self, dropped: &[Dropped]) {
        for (name, entry) in dropped {
            entry.close();
            self.shared().routes.forget_if_finished(name);
        }
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
