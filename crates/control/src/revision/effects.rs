//! Carrying out effects, in order, with the lock released.

use std::sync::Arc;

use gapless_proto::{NodeFact, ResolvedConfig, StartInstance};
use gapless_scaling::Event;

use super::{Effect, RevisionState};
use crate::Control;
use crate::configs::Kept;

impl Control {
    /// Carries out effects until none is left, unless somebody else is at it.
    pub(super) fn attend(&self, state: &Arc<RevisionState>) {
        if std::mem::replace(&mut state.inner.lock().is_attended, true) {
            return;
        }
        loop {
            let effects = {
                let mut inner = state.inner.lock();
                if inner.outbox.is_empty() {
                    inner.is_attended = false;
                    return;
                }
                std::mem::take(&mut inner.outbox)
            };
            for effect in effects {
                self.perform(state, effect);
            }
        }
    }

    fn perform(&self, state: &Arc<RevisionState>, effect: Effect) {
        let revision = &state.revision;
        match effect {
            Effect::Tell(instance, fact) => {
                self.with_gateway(|gateway| gateway.instance(&revision.name, instance, fact));
            }
            Effect::Blocked(blocked) => {
                self.with_gateway(|gateway| gateway.starts_blocked(&revision.name, blocked));
            }
            Effect::Start(node, instance, asked_at) => match self.nodes().link(&node) {
                Some(link) => {
                    let (function, spec) = (&revision.function, &revision.spec);
                    match ResolvedConfig::resolve(function, spec, &Kept(self)) {
                        Ok(config) => {
                            let (revision, config) = (Arc::clone(revision), Arc::new(config));
                            link.start(StartInstance { instance, revision, asked_at, config });
                        }
                        Err(failure) => {
                            let gone = NodeFact::Gone(Some(Arc::new(failure)));
                            self.on_node_fact(state, instance, gone);
                        }
                    }
                }
                None => self.on_node_fact(state, instance, NodeFact::Gone(None)),
            },
            Effect::Stop(node, instance, grace) => match self.nodes().link(&node) {
                Some(link) => link.stop(instance, grace),
                None => self.on_node_fact(state, instance, NodeFact::Gone(None)),
            },
            Effect::RoomFreed => {
                for starved in self.nodes().take_starved() {
                    starved.inner.lock().is_starved = false;
                    self.on(&starved, Event::CapacityFreed);
                }
            }
            Effect::RoomWanted(instances) => {
                self.with_gateway(|gateway| gateway.reclaim(instances));
            }
            Effect::Closed => self.forget_revision(state),
            Effect::Changed => self.tell_touched(&revision.function),
            Effect::Health => {
                if let Some(trouble) = state.health().trouble {
                    let reason = trouble.reason();
                    self.happened(&revision.function, true, reason, trouble.message);
                }
                self.touch(&revision.function);
            }
        }
    }
}
