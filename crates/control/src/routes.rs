//! What the gateway is told of functions, in the order in which functions change.
//!
//! Steps are queued while the functions' lock is held, so their order is that of
//! the changes, and carried out after it is released, by one thread at a time. A
//! step that must not overtake the gateway's knowledge of a revision (its first
//! instances) is queued behind the route.

use std::collections::VecDeque;
use std::sync::Arc;

use gapless_proto::FunctionRoute;
use gapless_scaling::{Config, Event};
use gapless_types::{FunctionKey, Revision};

use crate::Control;
use crate::revision::RevisionState;

/// One step.
pub(crate) enum Step {
    /// States a route.
    Set(FunctionRoute),
    /// The function is no more.
    Remove(FunctionKey),
    /// The revision has so many instances at least and at the most.
    Configure(Arc<RevisionState>, Config),
    /// The revision may have instances.
    Runnable(Arc<RevisionState>),
    /// The revision takes nothing new.
    Close(Arc<Revision>),
}

/// Steps not carried out yet.
#[derive(Default)]
pub(crate) struct Routes {
    steps: VecDeque<Step>,
    is_attended: bool,
}

impl Routes {
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push_back(step);
    }
}

impl Control {
    /// Carries out what is queued, unless somebody else is at it.
    pub(crate) fn attend_routes(&self) {
        if std::mem::replace(&mut self.routes().lock().is_attended, true) {
            return;
        }
        loop {
            let steps = {
                let mut routes = self.routes().lock();
                if routes.steps.is_empty() {
                    routes.is_attended = false;
                    return;
                }
                std::mem::take(&mut routes.steps)
            };
            for step in steps {
                self.take_step(step);
            }
        }
    }

    fn take_step(&self, step: Step) {
        match step {
            Step::Set(route) => self.with_gateway(|gateway| gateway.set_route(route)),
            Step::Remove(key) => self.with_gateway(|gateway| gateway.remove_route(&key)),
            Step::Configure(state, config) => self.on(&state, Event::Configure { config }),
            Step::Runnable(state) => self.on(&state, Event::Runnable),
            Step::Close(revision) => match self.revision(&revision.name) {
                Some(state) => self.close(&state),
                None => self.forget_on_nodes(&revision.name),
            },
        }
    }
}
