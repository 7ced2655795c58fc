//! A function's route: which revisions it leads to, and what is known of each. Queued
//! under the functions' lock, and told when it is released.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use gapless_declared::{ObjectKey, store_key};
use gapless_proto::{FunctionRoute, RouteReadiness, RouteTag, RouteTarget};
use gapless_rollout::{Assignment, assign};
use gapless_scaling::Config;
use gapless_types::{FunctionKey, FunctionSpec, Percent, Revision, RevisionName};

use super::CODE_IS_LOST;
use super::stored::StoredRevision;
use crate::Control;
use crate::functions::{Declared, Functions, Known, Readiness};
use crate::kinds::{REVISIONS, shared_template};
use crate::routes::Step;

impl Control {
    /// Queues the function's route as it is now: makes known what it leads to, and lets go
    /// of what it no longer does. The functions are locked.
    pub(crate) fn route_function(&self, functions: &mut Functions, key: &FunctionKey) {
        let Some(declared) = functions.get_mut(key) else { return };
        let assignment = assign(key, &declared.spec.traffic, &declared.rollout);
        let mut wanted: BTreeSet<RevisionName> =
            assignment.targets.iter().map(|target| target.revision.clone()).collect();
        wanted.extend(declared.rollout.stable().cloned());
        wanted.insert(declared.latest.clone());
        for name in &wanted {
            self.make_known(declared, key, name);
        }
        let mut routes = self.routes().lock();
        let told = digest(declared, &assignment);
        if declared.told != Some(told) {
            routes.push(Step::Set(route(key, declared, &assignment)));
            declared.told = Some(told);
        }
        self.queue_minimums(declared, &assignment, &mut routes);
        let gone: Vec<RevisionName> =
            declared.known.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        for name in gone {
            if let Some(known) = declared.known.remove(&name) {
                routes.push(Step::Close(known.revision));
            }
        }
    }

    /// A revision that a route leads to is known from now on. One of a former run is taken
    /// to be runnable: its first start prepares it, and says so if it cannot.
    fn make_known(&self, declared: &mut Declared, key: &FunctionKey, name: &RevisionName) {
        if declared.known.contains_key(name) {
            return;
        }
        let spec = match *name == declared.latest {
            true => Some(shared_template(&declared.spec)),
            false => self.stored_revision(key, name).map(Arc::new),
        };
        let Some(spec) = spec else {
            tracing::error!(revision = %name, "a revision that is routed to is not stored");
            return;
        };
        let is_candidate = declared.rollout.candidate() == Some(name);
        let readiness = match self.has_restored() || is_candidate {
            true => Readiness::Preparing,
            false if self.is_code_lost(&spec) => Readiness::Failed(CODE_IS_LOST.into()),
            false => match declared.rollout.rejected() {
                Some((rejected, why)) if rejected == name => Readiness::Failed(why.into()),
                _ => Readiness::Ready,
            },
        };
        let revision = Arc::new(Revision { name: name.clone(), function: key.clone(), spec });
        if readiness == Readiness::Preparing && !is_candidate {
            self.prepare_in_background(Arc::clone(&revision));
        }
        declared.known.insert(name.clone(), Known { revision, readiness });
    }

    /// Whether the code that was uploaded is no longer there.
    pub(crate) fn is_code_lost(&self, spec: &FunctionSpec) -> bool {
        spec.artifact.as_ref().is_some_and(|digest| !self.artifacts().contains(digest))
    }

    fn stored_revision(&self, key: &FunctionKey, name: &RevisionName) -> Option<FunctionSpec> {
        let object = ObjectKey::new(key.namespace(), name.short());
        let record = self.store().get(&store_key(&REVISIONS, &object)).ok()??;
        let read: Result<StoredRevision, _> = serde_json::from_slice(&record.value);
        read.map(|stored| stored.spec)
            .inspect_err(|why| tracing::error!(revision = %name, %why, "cannot be read"))
            .ok()
    }

    /// Revisions with a share have the function's minimum; the others have none. Nothing is
    /// started before the nodes are there.
    fn queue_minimums(
        &self,
        declared: &Declared,
        assignment: &Assignment,
        routes: &mut crate::routes::Routes,
    ) {
        if !self.has_begun() {
            return;
        }
        let scale = &declared.spec.scale;
        for target in &assignment.targets {
            let Some(known) = declared.known.get(&target.revision) else { continue };
            let min = if target.weight > Percent::ZERO { scale.min } else { 0 };
            let is_runnable = known.readiness == Readiness::Ready;
            if self.revision(&target.revision).is_some() || (min > 0 && is_runnable) {
                let state = self.make_revision(&known.revision);
                routes.push(Step::Configure(Arc::clone(&state), Config { min, max: scale.max }));
                if is_runnable {
                    routes.push(Step::Runnable(state));
                }
            }
        }
    }
}

/// A digest of a route: of its targets with share and readiness, and its tags. Of the 64
/// bits of SipHash, as whole routes would be kept for every function.
fn digest(declared: &Declared, assignment: &Assignment) -> u64 {
    let mut hasher = DefaultHasher::new();
    for target in &assignment.targets {
        if let Some(known) = declared.known.get(&target.revision) {
            (&target.revision, target.weight, &known.readiness).hash(&mut hasher);
        }
    }
    assignment.tags.hash(&mut hasher);
    hasher.finish()
}

/// The route of a function.
fn route(key: &FunctionKey, declared: &Declared, assignment: &Assignment) -> FunctionRoute {
    let target = |target: &gapless_rollout::Assigned| {
        let known = declared.known.get(&target.revision)?;
        let readiness = match &known.readiness {
            Readiness::Preparing => RouteReadiness::Preparing,
            Readiness::Ready => RouteReadiness::Ready,
            Readiness::Failed(why) => RouteReadiness::Failed(Arc::clone(why)),
        };
        let revision = Arc::clone(&known.revision);
        Some(RouteTarget { revision, weight: target.weight, readiness })
    };
    let tag = |(tag, revision): &(String, RevisionName)| RouteTag {
        tag: tag.as_str().into(),
        revision: revision.clone(),
    };
    FunctionRoute {
        function: key.clone(),
        targets: assignment.targets.iter().filter_map(target).collect(),
        tags: assignment.tags.iter().map(tag).collect(),
    }
}
