//! The one path of every change: read, change, admit, compare and swap.
//!
//! A change is made of what is there, checked by its kind, and written only if that
//! is still there; if it is not, all is done again with what is there now, unless the
//! writer named the version it means.

use std::sync::Arc;

use gapless_objects::managed::Writer;
use gapless_store::{Expect, Record, Store, StoreError, StoreRevision, Write};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::change::{Change, Proposal, WriteOptions, count_generation, propose, track};
use crate::form::{decode, encode, is_same, present, set_version, take_hidden};
use crate::key::{ObjectKey, store_key};
use crate::refusal::{Outcome, conflict, invalid};
use crate::resource::{Admission, Hold, Kinds, Namespaces, Operation, Resource, Source};

/// How often a change is made again because somebody else was faster.
const ATTEMPTS_MAX: usize = 64;

/// The declared objects.
#[derive(Clone)]
pub struct Objects {
    pub(crate) store: Arc<dyn Store>,
    kinds: Arc<Kinds>,
    namespaces: Arc<dyn Namespaces>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "objects in {:?}: {:?}", self.store, self.kinds)
    }
}

/// What became of a change.
#[derive(Debug)]
pub struct Written {
    /// The object as it is now, as shown.
    pub object: Value,
    /// Whether it came to be.
    pub is_created: bool,
    /// Sentences for whoever asked.
    pub warnings: Vec<String>,
}

/// An object in the form it is worked with, and the record it was read from.
pub(crate) struct Current {
    pub(crate) object: Value,
    pub(crate) record: Record,
}

impl Objects {
    /// Objects of these kinds in this store.
    pub fn new(store: Arc<dyn Store>, kinds: Kinds, namespaces: Arc<dyn Namespaces>) -> Self {
        Objects { store, kinds: Arc::new(kinds), namespaces }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The kinds.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Changes an object.
    ///
    /// # Errors
    /// Why it was not changed.
    pub async fn change(
        &self,
        resource: &Arc<dyn Resource>,
        key: &ObjectKey,
        change: &Change,
        options: &WriteOptions,
        now: Timestamp,
    ) -> Outcome<Written> {
        match resource.source() {
            Source::Live(source) => {
                let old = source.get(key);
                let call = Call { resource, key, change, options, now };
                let (mut proposal, schema) = self.propose(&call, old.as_ref())?;
                admit(
                    &call,
                    &**resource,
                    &mut proposal,
                    old.as_ref(),
                    None,
                    &schema,
                    &mut Vec::new(),
                )?;
                let object = match options.is_dry_run {
                    true => proposal.new,
                    false => source.write(key, proposal.new).await?,
                };
                Ok(Written { object, is_created: false, warnings: proposal.warnings })
            }
            Source::Stored | Source::View(_) => {
                self.change_stored(&Call { resource, key, change, options, now }).await
            }
        }
    }

    async fn change_stored(&self, call: &Call<'_>) -> Outcome<Written> {
        let Call { resource, key, options, .. } = *call;
        for _ in 0..ATTEMPTS_MAX {
            let attempt = self.attempt(call)?;
            let Attempt { stored, writes, hold, written, is_same } = attempt;
            if is_same && !options.is_dry_run {
                stored.restated(key);
            }
            if is_same || options.is_dry_run {
                return Ok(written);
            }
            let committed = self.store.commit(writes).await;
            match committed {
                Ok(revision) => {
                    stored.settled(revision).await;
                    drop(hold);
                    let object = self.shown_now(resource, key, written.object, revision, options);
                    return Ok(Written { object, ..written });
                }
                // A writer that named a version is refused by the next attempt.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let why = "others change it all the time; please try again later";
        Err(conflict(resource.descriptor(), &key.name, why))
    }

    fn propose(&self, call: &Call<'_>, old: Option<&Value>) -> Outcome<(Proposal, Arc<Value>)> {
        let Call { resource, key, change, options, now } = *call;
        let schema = self.kinds.schema(resource.descriptor());
        let proposal = propose(resource.descriptor(), &schema, key, change, options, old, now)?;
        Ok((proposal, schema))
    }

    /// One attempt: what would be written, and what it would look like.
    fn attempt(&self, call: &Call<'_>) -> Outcome<Attempt> {
        let Call { resource, key, options, now, .. } = *call;
        let descriptor = resource.descriptor();
        let view = match resource.source() {
            Source::View(view) => Some(view),
            _ => None,
        };
        let stored = view.as_ref().map_or_else(|| Arc::clone(resource), |view| view.stored());
        let mut current = self.current(&*stored, key)?;
        // A view is made of all of it; otherwise the platform's own parts are as they were.
        let whole = view.as_ref().and(current.as_ref()).map(|current| current.object.clone());
        let shown = view.as_ref().zip(whole.as_ref()).and_then(|(view, whole)| view.shown(whole));
        let hidden_before = match &mut current {
            Some(current) => take_hidden(&*stored, &mut current.object),
            None => Map::new(),
        };
        let old = current.as_ref().map(|current| &current.object);
        let seen = if view.is_some() { shown.as_ref() } else { old };
        if view.is_some() && old.is_some() && seen.is_none() {
            let why = format!(
                "a {} of this name exists, declared in another shape",
                stored.descriptor().kind
            );
            return Err(conflict(descriptor, &key.name, &why));
        }
        let (mut proposal, schema) = self.propose(call, seen)?;
        let mut hidden = hidden_before;
        if let Some(view) = &view {
            let new = view
                .store(&proposal.new, whole.as_ref(), &mut proposal.warnings)
                .map_err(|errors| invalid(descriptor, &key.name, &errors))?;
            proposal.new = new;
            hidden.extend(take_hidden(&*stored, &mut proposal.new));
        }
        let mut writes = Vec::new();
        if current.is_none() && stored.descriptor().is_namespaced {
            writes.extend(self.namespaces.enter(&key.namespace, now)?);
        }
        let record = current.as_ref().map(|current| &current.record);
        let hold = admit(call, &*stored, &mut proposal, old, record, &schema, &mut writes)
            .map_err(|refusal| refusal.about(descriptor, &key.name))?;
        let Proposal { mut new, warnings, .. } = proposal;
        let is_as_old = view.is_none() && old.is_some_and(|old| is_same(old, &new));
        if let Some(fields) = new.as_object_mut() {
            fields.extend(hidden);
        }
        let is_same = is_as_old || whole.as_ref().is_some_and(|whole| is_same(whole, &new));
        let expect = record.map_or(Expect::Absent, |record| Expect::At(record.revision));
        let is_done = is_finished(&new);
        writes.insert(0, write_of(&*stored, key, &mut new, expect, is_done));
        let mut object = match &view {
            Some(view) => view.shown(&new).unwrap_or(Value::Null),
            None => new,
        };
        if is_same || options.is_dry_run {
            if let Some(record) = record {
                set_version(&mut object, record.revision);
            }
            present(&**resource, &mut object, options.is_revealed);
        }
        let written = Written { object, is_created: record.is_none(), warnings };
        Ok(Attempt { stored, writes, hold, written, is_same })
    }

    fn shown_now(
        &self,
        resource: &Arc<dyn Resource>,
        key: &ObjectKey,
        written: Value,
        revision: StoreRevision,
        options: &WriteOptions,
    ) -> Value {
        // What acted on the write may have written the status already.
        let stored = match resource.source() {
            Source::View(view) => store_key(view.stored().descriptor(), key),
            _ => store_key(resource.descriptor(), key),
        };
        let newest = self.store.get(&stored).ok().flatten();
        let is_newest = newest.is_none_or(|newest| newest.revision == revision);
        let read = if is_newest { None } else { self.read(resource, key).ok().flatten() };
        let mut object = read.unwrap_or_else(|| {
            let mut object = written;
            set_version(&mut object, revision);
            object
        });
        present(&**resource, &mut object, options.is_revealed);
        object
    }

    /// An object as shown.
    ///
    /// # Errors
    /// `404`, or the store's.
    pub fn get(
        &self,
        resource: &Arc<dyn Resource>,
        key: &ObjectKey,
        is_revealed: bool,
    ) -> Outcome<Value> {
        let object = self.read(resource, key)?;
        let mut object =
            object.ok_or_else(|| crate::refusal::not_found(resource.descriptor(), &key.name))?;
        present(&**resource, &mut object, is_revealed);
        Ok(object)
    }

    /// An object in the form it is worked with.
    ///
    /// # Errors
    /// The store's, or what is stored cannot be opened.
    pub fn read(&self, resource: &Arc<dyn Resource>, key: &ObjectKey) -> Outcome<Option<Value>> {
        match resource.source() {
            Source::Live(source) => Ok(source.get(key)),
            Source::Stored => Ok(self.current(&**resource, key)?.map(|current| current.object)),
            Source::View(view) => {
                let current = self.current(&*view.stored(), key)?;
                Ok(current.and_then(|current| view.shown(&current.object)))
            }
        }
    }

    pub(crate) fn current(
        &self,
        resource: &dyn Resource,
        key: &ObjectKey,
    ) -> Outcome<Option<Current>> {
        let record = self.store.get(&store_key(resource.descriptor(), key))?;
        record
            .map(|record| {
                let object = decode(&record)?;
                Ok(Current { object, record })
            })
            .transpose()
    }

    /// Has the platform itself change an object, in the form it is worked with, until
    /// it is as `make` makes it, which says whether that is a change. Its kind is not asked.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle(
        &self,
        resource: &Arc<dyn Resource>,
        key: &ObjectKey,
        make: impl Fn(&mut Value) -> bool,
    ) -> Outcome<Option<StoreRevision>> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(Current { mut object, record }) = self.current(&**resource, key)? else {
                return Ok(None);
            };
            if !make(&mut object) {
                return Ok(None);
            }
            let expect = Expect::At(record.revision);
            let is_done = is_finished(&object);
            let write = write_of(&**resource, key, &mut object, expect, is_done);
            match self.store.commit(vec![write]).await {
                Ok(revision) => return Ok(Some(revision)),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

struct Attempt {
    stored: Arc<dyn Resource>,
    writes: Vec<Write>,
    hold: Hold,
    written: Written,
    is_same: bool,
}

/// One request.
#[derive(Clone, Copy)]
struct Call<'a> {
    resource: &'a Arc<dyn Resource>,
    key: &'a ObjectKey,
    change: &'a Change,
    options: &'a WriteOptions,
    now: Timestamp,
}

/// Has the kind that is stored complete and check what is proposed, and records whose
/// the changed fields are.
fn admit(
    call: &Call<'_>,
    stored: &dyn Resource,
    proposal: &mut Proposal,
    old: Option<&Value>,
    record: Option<&Record>,
    schema: &Value,
    writes: &mut Vec<Write>,
) -> Outcome<Hold> {
    let Call { key, options, now, .. } = *call;
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let mut admission = Admission {
        key,
        operation,
        new: &mut proposal.new,
        old,
        record,
        writes,
        warnings: &mut proposal.warnings,
        now,
        is_dry_run: options.is_dry_run,
    };
    let descriptor = stored.descriptor();
    let admitted = stored.admit(&mut admission)?;
    let hold = admitted.map_err(|errors| invalid(descriptor, &key.name, &errors))?;
    count_generation(&mut proposal.new, old);
    if proposal.is_tracked {
        let api_version = descriptor.api_version();
        let by = Writer {
            manager: &options.manager,
            api_version: &api_version,
            subresource: options.subresource,
        };
        track(schema, old, &mut proposal.new, by, now)?;
    }
    Ok(hold)
}

/// Whether it is being deleted, and nothing holds it any more.
fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let is_held = metadata["finalizers"].as_array().is_some_and(|all| !all.is_empty());
    metadata["deletionTimestamp"].is_string() && !is_held
}

fn write_of(
    resource: &dyn Resource,
    key: &ObjectKey,
    object: &mut Value,
    expect: Expect,
    is_removal: bool,
) -> Write {
    let store_key = store_key(resource.descriptor(), key);
    match is_removal {
        true => Write::delete(store_key, expect),
        false => Write::put(store_key, encode(object), expect),
    }
}
