//! The course of a function: from what is declared to which revisions serve.
//!
//! ```text
//!  store event --> follow --> Rollout (pure) --actions--> route, prepare, probe, save
//!                                ^   what came of it              |
//!                                '--------------------------------'
//! ```
//!
//! What always holds: the rollout's state changes and its route is queued under the
//! functions' lock, so the gateway is told routes in the order of the changes; what
//! takes time is done after, and comes back as an event.

mod routing;
mod stored;

use std::collections::BTreeSet;
use std::sync::Arc;

use gapless_declared::{Followed, ObjectKey, store_prefix};
use gapless_rollout::{Action, Event};
use gapless_rt::Timer;
use gapless_store::Record;
use gapless_types::{FunctionKey, RevisionName, RevisionRef, Time};
use jiff::Timestamp;
use litemap::LiteMap;

use crate::Control;
use crate::functions::{Declared, Readiness};
use crate::kinds::{FUNCTIONS, REVISIONS};
use crate::routes::Step;
use crate::status::revision_name;

pub(crate) use stored::Stored;

/// Why a revision of a former run cannot serve.
pub(crate) const CODE_IS_LOST: &str = "its code is missing in the data folder: deploy it again";

impl Control {
    /// What the store says of functions takes effect.
    pub(crate) fn follow_functions(&self, followed: Followed) {
        let revision = match followed {
            Followed::All(records, revision) => {
                let keys: BTreeSet<FunctionKey> =
                    records.iter().filter_map(|record| self.follow_function(record)).collect();
                let gone: Vec<FunctionKey> = {
                    let functions = self.functions().lock();
                    let known = functions.iter().map(|(key, _)| key);
                    known.filter(|key| !keys.contains(key)).cloned().collect()
                };
                gone.iter().for_each(|key| self.function_gone(key));
                revision
            }
            Followed::Changed(event) => {
                match event.record() {
                    Some(record) => {
                        self.follow_function(&record);
                    }
                    None => {
                        if let Some(key) = function_key(&event.key) {
                            self.function_gone(&key);
                        }
                    }
                }
                event.revision
            }
        };
        self.attend_routes();
        self.functions_followed.set(revision);
    }

    /// A function is as this record says.
    fn follow_function(&self, record: &Record) -> Option<FunctionKey> {
        let key = function_key(&record.key)?;
        match Stored::read(record) {
            Ok(stored) => self.install(&key, stored, record.revision),
            Err(why) => tracing::error!(function = %key, why, "a stored function is not served"),
        }
        Some(key)
    }

    /// What is stored of a function takes effect.
    pub(crate) fn install(&self, key: &FunctionKey, stored: Stored, store_revision: u64) {
        let Stored { metadata, spec, status, course } = stored;
        let now = self.clock().now();
        let mut actions = Vec::new();
        {
            let functions = &mut *self.functions().lock();
            let latest = revision_name(key.namespace(), &status.latest_created_revision)
                .unwrap_or_else(|| RevisionName::new(key, 1));
            let spec = Arc::new(spec);
            match functions.get_mut(key) {
                Some(declared) => {
                    (declared.metadata, declared.store_revision) = (metadata, store_revision);
                    if declared.spec == spec && declared.latest == latest {
                        return;
                    }
                    (declared.spec, declared.latest) = (spec, latest);
                }
                None => {
                    let mut rollout = course.unwrap_or_default();
                    rollout.resume(now, &mut actions);
                    let (known, wake) = (LiteMap::with_capacity(1), None);
                    let since = Timestamp::now();
                    let declared = Declared {
                        metadata,
                        store_revision,
                        spec,
                        latest,
                        known,
                        rollout,
                        told: None,
                        since,
                        wake,
                    };
                    functions.insert(key.clone(), declared);
                }
            }
            let declared = functions.get_mut(key).expect("just put in place");
            let is_pinned = declared.spec.traffic.iter().all(|t| t.revision != RevisionRef::Latest);
            let event = Event::Declared {
                revision: declared.latest.clone(),
                policy: declared.spec.rollout.clone(),
                is_pinned,
            };
            declared.rollout.on_event(now, event, &mut actions);
            prepare_first(declared, &actions);
            self.route_function(functions, key);
            let count = i64::try_from(functions.len()).unwrap_or(i64::MAX);
            self.metrics().control.functions.set(count);
        }
        self.carry_out_course(key, actions);
        self.touch(key);
    }

    /// A function is no more.
    fn function_gone(&self, key: &FunctionKey) {
        {
            let functions = &mut *self.functions().lock();
            let Some(declared) = functions.remove(key) else { return };
            let mut routes = self.routes().lock();
            routes.push(Step::Remove(key.clone()));
            for (_, known) in declared.known {
                routes.push(Step::Close(known.revision));
            }
            let count = i64::try_from(functions.len()).unwrap_or(i64::MAX);
            self.metrics().control.functions.set(count);
        }
        self.attend_routes();
        self.logs().forget(key);
    }

    /// Something happened to a function's rollout.
    pub(crate) fn on_course(&self, key: &FunctionKey, event: Event) {
        let now = self.clock().now();
        let mut actions = Vec::new();
        {
            let functions = &mut *self.functions().lock();
            let Some(declared) = functions.get_mut(key) else { return };
            declared.rollout.on_event(now, event, &mut actions);
            if actions.iter().any(|action| matches!(action, Action::Route | Action::Save)) {
                declared.since = Timestamp::now();
                prepare_first(declared, &actions);
                self.route_function(functions, key);
            }
        }
        self.attend_routes();
        self.carry_out_course(key, actions);
        self.touch(key);
    }

    fn carry_out_course(&self, key: &FunctionKey, actions: Vec<Action>) {
        for action in actions {
            match action {
                // Queued already, when the state changed.
                Action::Route => {}
                Action::Save => self.reconcilers.status.mark(key),
                Action::Prepare { revision } => {
                    let known = {
                        let mut functions = self.functions().lock();
                        let declared = functions.get_mut(key);
                        declared.and_then(|declared| {
                            let known = declared.known.get_mut(&revision)?;
                            known.readiness = Readiness::Preparing;
                            Some(Arc::clone(&known.revision))
                        })
                    };
                    known.into_iter().for_each(|revision| self.prepare_in_background(revision));
                }
                Action::Probe { revision } => self.probe_in_background(key, revision),
                Action::Promoted { revision } => {
                    self.happened(key, false, "Promoted", format!("{} serves", revision.short()));
                }
                Action::RolledBack { revision, reason } => {
                    let message = format!("{} takes no requests: {reason}", revision.short());
                    self.happened(key, true, "RolledBack", message);
                }
                Action::Superseded { revision } => {
                    let message = format!("a newer revision replaces {}", revision.short());
                    self.happened(key, false, "Superseded", message);
                }
                Action::WakeAt(at) => self.wake_course(key, at),
            }
        }
    }

    /// A function was declared again as it is: a newest revision that failed is tried again.
    pub(crate) fn retry(&self, key: &FunctionKey) {
        let failed = {
            let functions = &mut *self.functions().lock();
            let Some(declared) = functions.get_mut(key) else { return };
            let is_rejected = declared.rollout.rejected().is_some();
            let known = declared.known.get_mut(&declared.latest);
            let failed = known
                .filter(|known| !is_rejected && matches!(known.readiness, Readiness::Failed(_)));
            let failed = failed.map(|known| {
                known.readiness = Readiness::Preparing;
                Arc::clone(&known.revision)
            });
            if failed.is_some() {
                self.route_function(functions, key);
            }
            failed
        };
        match failed {
            Some(revision) => self.prepare_in_background(revision),
            None => self.on_course(key, Event::Retry),
        }
        self.attend_routes();
    }

    fn wake_course(&self, key: &FunctionKey, at: Time) {
        let mut functions = self.functions().lock();
        let Some(declared) = functions.get_mut(key) else { return };
        if at == Time::NEVER {
            // Its rollout is over, as those of most functions are: its task ends.
            declared.wake = None;
            return;
        }
        let timer = declared.wake.get_or_insert_with(|| {
            let (control, key) = (self.weak(), key.clone());
            Timer::spawn(*self.clock(), move || {
                if let Some(control) = control.upgrade() {
                    control.course_woke(&key);
                }
            })
        });
        timer.set(at);
    }

    /// The time that a rollout asked for has come.
    fn course_woke(&self, key: &FunctionKey) {
        let watched = {
            let functions = self.functions().lock();
            let Some(declared) = functions.get(key) else { return };
            declared.rollout.watched().map(|(old, new)| (old.clone(), new.clone()))
        };
        let mut outcomes = None;
        if let Some((old, new)) = watched {
            self.with_gateway(|gateway| {
                outcomes = Some((gateway.outcomes(&old), gateway.outcomes(&new)));
            });
        }
        let event = match outcomes {
            Some((stable, candidate)) => {
                Event::Outcomes { stable: Box::new(stable), candidate: Box::new(candidate) }
            }
            None => Event::Wake,
        };
        self.on_course(key, event);
    }

    /// The number of the first revision of a function that is new under this name.
    pub(crate) fn first_revision(&self, key: &FunctionKey) -> u64 {
        self.functions().lock().first_revision(key)
    }

    /// Names of a function's stored revisions, oldest first.
    pub(crate) fn stored_revisions(&self, function: &ObjectKey) -> Vec<String> {
        let prefix =
            format!("{}{}-", store_prefix(&REVISIONS, Some(&function.namespace)), function.name);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let records = self.store().list_all(&prefix).unwrap_or_default();
        let own = records.iter().filter(|record| is_number(&record.key[prefix.len()..]));
        own.filter_map(|record| record.key.rsplit('/').next().map(str::to_owned)).collect()
    }

    /// Names of the revisions that a function routes to or may go back to.
    pub(crate) fn revisions_in_use(&self, key: &FunctionKey) -> BTreeSet<String> {
        let functions = self.functions().lock();
        let Some(declared) = functions.get(key) else { return BTreeSet::new() };
        let target = declared.rollout.rollback_target();
        declared.known.keys().chain(target).map(|name| name.short().to_owned()).collect()
    }
}

/// What is about to be prepared is told as that with the route.
fn prepare_first(declared: &mut Declared, actions: &[Action]) {
    for action in actions {
        if let Action::Prepare { revision } = action
            && let Some(known) = declared.known.get_mut(revision)
        {
            known.readiness = Readiness::Preparing;
        }
    }
}

/// The function that a store key names.
fn function_key(store_key: &str) -> Option<FunctionKey> {
    let rest = store_key.strip_prefix(&store_prefix(&FUNCTIONS, None))?;
    let (namespace, name) = rest.split_once('/')?;
    FunctionKey::new(namespace, name).ok()
}
