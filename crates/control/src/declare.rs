//! Creating, replacing and deleting functions: durable before it is answered.
//!
//! These calls block while the disk works; the API makes them off its event loop.
//! Declarations of one function take turns (a lock per stripe of functions), those
//! of different functions share the store's group commit.

use std::hash::BuildHasher;
use std::sync::Arc;

use gapless_api::Status;
use gapless_store::{Expect, StoreError};
use gapless_types::{Code, FieldError, Function, FunctionKey, Metadata, Revision, RevisionName};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use crate::Control;
use crate::functions::{Declared, Readiness};
use crate::record::{Previous, Stored, store_key};
use crate::routes::{Step, route};

/// Functions that share a lock while they are declared.
const STRIPES: usize = 64;

/// Locks by function.
#[derive(Debug)]
pub(crate) struct Stripes([Mutex<()>; STRIPES], std::hash::RandomState);

impl Default for Stripes {
    fn default() -> Self {
        Stripes(std::array::from_fn(|_| Mutex::new(())), std::hash::RandomState::new())
    }
}

impl Stripes {
    pub(crate) fn lock(&self, key: &FunctionKey) -> MutexGuard<'_, ()> {
        self.0[(self.1.hash_one(key) % STRIPES as u64) as usize].lock()
    }
}

/// What a declaration may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: it creates.
    Create,
    /// Anything: it creates or replaces.
    Replace,
}

/// What became of a declaration.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) function: Function,
    pub(crate) is_created: bool,
}

impl Control {
    /// Declares a function that was checked.
    pub(crate) fn declare(&self, function: Function, mode: Mode) -> Result<Applied, Box<Status>> {
        let key = function.metadata.key().map_err(|error| {
            Status::invalid(
                &function.metadata.name,
                &[FieldError::new("metadata", error.to_string())],
            )
        })?;
        self.check_profile(&function)?;
        let applied = {
            let _turn = self.stripes.lock(&key);
            let current = self.functions().lock().get(&key).cloned();
            check_current(&function, current.as_ref(), mode)?;
            match current {
                Some(current) if is_same(&function, &current) => {
                    self.prepare_again(&key);
                    false
                }
                current => {
                    let digest = function.spec.artifact.clone();
                    self.reserve(&key, &function, current.as_ref())?;
                    let written = self.write(&key, function, current.as_ref());
                    let unused = match &written {
                        Ok(()) => None,
                        Err(_) => self.unreserve(&key, digest.as_deref(), current.as_ref()),
                    };
                    self.remove_unused(unused);
                    written?;
                    current.is_none()
                }
            }
        };
        self.attend_routes();
        self.watch_changed(&key);
        match self.function_object(&key) {
            Some(function) => Ok(Applied { function, is_created: applied }),
            None => Err(not_found(&key)),
        }
    }

    fn check_profile(&self, function: &Function) -> Result<(), Box<Status>> {
        let placement = function.spec.placement.as_ref();
        match placement.and_then(|placement| placement.profile.as_deref()) {
            Some(name) if !self.profiles().has(name) => {
                let message = format!(
                    "there is no placement profile {name:?}; `gapless get profiles` lists them"
                );
                let error = FieldError::new("spec.placement.profile", message);
                Err(Box::new(Status::invalid(&function.metadata.name, &[error])))
            }
            _ => Ok(()),
        }
    }

    /// Takes hold of what the declaration needs: its host, its artifact.
    fn reserve(
        &self,
        key: &FunctionKey,
        function: &Function,
        current: Option<&Declared>,
    ) -> Result<(), Box<Status>> {
        let spec = &function.spec;
        let digest = spec.artifact.as_deref();
        {
            let mut functions = self.functions().lock();
            if let Some(route) = &spec.access.route
                && let Err(owner) = functions.claim_host(&route.host, key)
            {
                let message = format!("{:?} is the host of function {owner} already", route.host);
                let error = FieldError::new("spec.access.route.host", message);
                let mut status = Status::invalid(key.name(), &[error]);
                (status.code, status.reason) = (409, "Conflict".to_owned());
                return Err(Box::new(status));
            }
            functions.hold_artifact(digest);
        }
        let problem = match digest {
            None if spec.code() == Code::Wasm => Some(
                "is missing: it is the digest of the uploaded component. `gapless deploy DIR` \
                 uploads and sets it"
                    .to_owned(),
            ),
            Some(digest) if !self.has_artifact(digest) => Some(format!(
                "{digest} is not here: upload it first, by PUT {}",
                gapless_api::artifact_path(digest)
            )),
            _ => None,
        };
        let Some(message) = problem else { return Ok(()) };
        self.unreserve(key, digest, current);
        let error = FieldError::new("spec.artifact", message);
        Err(Box::new(Status::invalid(key.name(), &[error])))
    }

    /// Lets go of it again. Returns an artifact that nothing uses any more.
    fn unreserve(
        &self,
        key: &FunctionKey,
        digest: Option<&str>,
        current: Option<&Declared>,
    ) -> Option<String> {
        let mut functions = self.functions().lock();
        functions.settle_hosts(key);
        let unused = functions.release_artifact(digest);
        // A file that no declaration has ever used stays for the next attempt.
        current.and(unused)
    }

    /// Stores the declaration and then puts it in place.
    fn write(
        &self,
        key: &FunctionKey,
        function: Function,
        current: Option<&Declared>,
    ) -> Result<(), Box<Status>> {
        let first_generation = self.functions().lock().first_generation(key);
        let Function { api_version, kind, metadata, spec, .. } = function;
        let is_new_revision = current.is_none_or(|current| current.latest.spec != spec);
        let metadata = assign(metadata, current, first_generation, is_new_revision);
        let failed = match current.map(|current| &current.readiness) {
            Some(Readiness::Failed(why)) if !is_new_revision => Some(why.to_string()),
            _ => None,
        };
        let previous = current.and_then(|current| {
            let is_former = |serving: &&Arc<Revision>| {
                is_new_revision || !Arc::ptr_eq(serving, &current.latest)
            };
            current.serving.as_ref().filter(is_former).and_then(|serving| previous_of(serving))
        });
        let object = Function { api_version, kind, metadata, spec, status: None };
        let stored = Stored { function: object, failed, previous };
        let expect = current.map_or(Expect::Absent, |current| Expect::At(current.store_revision));
        let written = self.store().put(&store_key(key), &stored.to_bytes(), expect);
        let store_revision = written.map_err(|error| not_stored(key, &error))?;
        self.install(key, stored.function, store_revision, current, is_new_revision);
        Ok(())
    }

    /// What was stored takes effect.
    fn install(
        &self,
        key: &FunctionKey,
        function: Function,
        store_revision: u64,
        current: Option<&Declared>,
        is_new_revision: bool,
    ) {
        let Function { metadata, spec, .. } = function;
        let mut unused = None;
        let mut to_prepare = None;
        {
            let mut functions = self.functions().lock();
            if let (Some(declared), false) = (functions.get_mut(key), is_new_revision) {
                (declared.metadata, declared.store_revision) = (metadata, store_revision);
                // Its artifact was held a second time.
                functions.release_artifact(spec.artifact.as_deref());
            } else {
                let name = RevisionName::new(key, metadata.generation);
                let latest = Arc::new(Revision { name, function: key.clone(), spec });
                let serving = functions.get(key).and_then(|declared| declared.serving.clone());
                let declared = Declared {
                    metadata,
                    store_revision,
                    latest: Arc::clone(&latest),
                    serving,
                    readiness: Readiness::Preparing,
                    since: Timestamp::now(),
                };
                let mut routes = self.routes().lock();
                if declared.serving.is_none() {
                    routes.push(Step::Set(route(&declared)));
                }
                let former = functions.insert(key.clone(), declared);
                // A revision that never served gives way at once.
                if let Some(former) = former.filter(|former| !former.is_runnable(&former.latest)) {
                    let digest = former.latest.spec.artifact.as_deref();
                    unused = functions.release_artifact(digest);
                    routes.push(Step::Close(former.latest));
                }
                to_prepare = Some(latest);
            }
            functions.settle_hosts(key);
            let count = i64::try_from(functions.len()).unwrap_or(i64::MAX);
            self.metrics().control.functions.set(count);
        }
        self.remove_unused(unused);
        if let Some(revision) = to_prepare {
            tracing::info!(revision = %revision.name, is_new = current.is_none(), "declared");
            self.prepare_in_background(revision);
        }
    }

    /// A refused revision that is declared again unchanged is tried again.
    fn prepare_again(&self, key: &FunctionKey) {
        let revision = {
            let mut functions = self.functions().lock();
            let Some(declared) = functions.get_mut(key) else { return };
            if !matches!(declared.readiness, Readiness::Failed(_)) {
                return;
            }
            declared.readiness = Readiness::Preparing;
            declared.since = Timestamp::now();
            if declared.serving.is_none() {
                self.routes().lock().push(Step::Set(route(declared)));
            }
            Arc::clone(&declared.latest)
        };
        self.prepare_in_background(revision);
    }

    /// Deletes a function and returns it as it was.
    pub(crate) fn delete(&self, key: &FunctionKey) -> Result<Function, Box<Status>> {
        let (last, unused) = {
            let _turn = self.stripes.lock(key);
            let last = self.function_object(key).ok_or_else(|| not_found(key))?;
            let deleted = self.store().delete(&store_key(key), Expect::Any);
            deleted.map_err(|error| not_stored(key, &error))?;
            let mut functions = self.functions().lock();
            let declared = functions.remove(key).ok_or_else(|| not_found(key))?;
            let mut routes = self.routes().lock();
            routes.push(Step::Remove(key.clone()));
            let mut unused = Vec::new();
            for revision in declared.revisions() {
                routes.push(Step::Close(Arc::clone(revision)));
                unused.push(functions.release_artifact(revision.spec.artifact.as_deref()));
            }
            let count = i64::try_from(functions.len()).unwrap_or(i64::MAX);
            self.metrics().control.functions.set(count);
            (last, unused)
        };
        self.attend_routes();
        self.watch_deleted(last.clone());
        for digest in unused {
            self.remove_unused(digest);
        }
        self.logs().forget(key);
        Ok(last)
    }
}

fn check_current(
    function: &Function,
    current: Option<&Declared>,
    mode: Mode,
) -> Result<(), Box<Status>> {
    let name = format!("{}/{}", function.metadata.namespace, function.metadata.name);
    if mode == Mode::Create && current.is_some() {
        let message = format!("function {name} exists already; PUT replaces it");
        return Err(Box::new(Status::failure(409, "AlreadyExists", message)));
    }
    let wanted = &function.metadata.resource_version;
    let found = current.map(|current| current.store_revision.to_string()).unwrap_or_default();
    if !wanted.is_empty() && *wanted != found {
        let message = match current {
            Some(_) => format!(
                "function {name} was changed: it has resourceVersion {found}, not {wanted}; read it \
                 again and apply the change to that, or leave metadata.resourceVersion out"
            ),
            None => format!(
                "function {name} does not exist, but metadata.resourceVersion says {wanted}; leave \
                 it out to create the function"
            ),
        };
        return Err(Box::new(Status::failure(409, "Conflict", message)));
    }
    Ok(())
}

fn is_same(function: &Function, current: &Declared) -> bool {
    let (new, old) = (&function.metadata, &current.metadata);
    function.spec == current.latest.spec
        && new.labels == old.labels
        && new.annotations == old.annotations
}

/// The metadata with what the platform sets.
fn assign(
    metadata: Metadata,
    current: Option<&Declared>,
    first_generation: u64,
    is_new_revision: bool,
) -> Metadata {
    let (uid, generation, creation_timestamp) = match current {
        Some(Declared { metadata: old, .. }) => {
            let generation = old.generation + u64::from(is_new_revision);
            (old.uid.clone(), generation, old.creation_timestamp.clone())
        }
        None => {
            let uid = uuid::Uuid::new_v4().to_string();
            (uid, first_generation, format!("{:.0}", Timestamp::now()))
        }
    };
    let resource_version = String::new();
    Metadata { uid, resource_version, generation, creation_timestamp, ..metadata }
}

/// A revision as it is kept for the case that its successor is refused.
fn previous_of(revision: &Revision) -> Option<Previous> {
    let (_, generation) = revision.name.short().rsplit_once('-')?;
    Some(Previous { generation: generation.parse().ok()?, spec: revision.spec.clone() })
}

/// `404` for a function.
pub(crate) fn not_found(key: &FunctionKey) -> Box<Status> {
    let mut status = Status::failure(404, "NotFound", format!("there is no function {key}"));
    status.details.name = key.name().to_owned();
    Box::new(status)
}

fn not_stored(key: &FunctionKey, error: &StoreError) -> Box<Status> {
    Box::new(match error {
        StoreError::Conflict { .. } => {
            let message = format!("function {key} was changed by somebody else; try again");
            Status::failure(409, "Conflict", message)
        }
        other => {
            tracing::error!(function = %key, error = %other, "a declaration was not stored");
            Status::failure(500, "InternalError", format!("nothing was changed: {other}"))
        }
    })
}
