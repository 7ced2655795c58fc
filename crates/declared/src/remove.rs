//! Deletion: preconditions, finalizers, collections.

use std::sync::Arc;

use gapless_objects::meta::metadata_mut;
use gapless_store::{Expect, StoreError, Write};
use jiff::Timestamp;
use serde_json::Value;

use crate::form::{encode, present, set_version};
use crate::key::{ObjectKey, store_key};
use crate::list::{ListOptions, Selection, key_in};
use crate::refusal::{Outcome, conflict, not_allowed, not_found};
use crate::resource::{Resource, Source};
use crate::write::{Current, Objects};

/// How often a removal is tried again because somebody changed the object.
const ATTEMPTS_MAX: usize = 64;

/// Under which conditions.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only as this version left it.
    pub version: Option<String>,
    /// Nothing is written.
    pub is_dry_run: bool,
}

/// What became of it.
#[derive(Debug)]
pub struct Deleted {
    /// The object as it was last, or as it is while its finalizers hold it.
    pub object: Value,
    /// Whether it is gone. If not, something has to be done first, and it will go.
    pub is_gone: bool,
}

impl Objects {
    /// Deletes an object.
    ///
    /// # Errors
    /// `404`, `409` when a precondition does not hold, or why it must stay.
    pub async fn delete(
        &self,
        resource: &Arc<dyn Resource>,
        key: &ObjectKey,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Outcome<Deleted> {
        let descriptor = resource.descriptor();
        let view = match resource.source() {
            Source::Live(_) => return Err(not_allowed(descriptor, "delete")),
            Source::View(view) => Some(view),
            Source::Stored => None,
        };
        let stored = view.as_ref().map_or_else(|| Arc::clone(resource), |view| view.stored());
        for _ in 0..ATTEMPTS_MAX {
            let current = self.current(&*stored, key)?;
            let Current { object, record } =
                current.ok_or_else(|| not_found(descriptor, &key.name))?;
            let shown = match &view {
                Some(view) => {
                    view.shown(&object).ok_or_else(|| not_found(descriptor, &key.name))?
                }
                None => object.clone(),
            };
            check(resource, key, &object, options)?;
            let expect = Expect::At(record.revision);
            let mut writes = Vec::new();
            let hold = stored.admit_removal(key, &object, &mut writes)?;
            let is_held =
                object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
            let mut left = shown;
            let store_key = store_key(stored.descriptor(), key);
            if is_held {
                if object["metadata"]["deletionTimestamp"].is_string() {
                    set_version(&mut left, record.revision);
                    present(&**resource, &mut left, false);
                    return Ok(Deleted { object: left, is_gone: false });
                }
                let mut marked = object;
                mark(&mut marked, now);
                mark(&mut left, now);
                writes = vec![Write::put(store_key, encode(&mut marked), expect)];
            } else {
                writes.insert(0, Write::delete(store_key, expect));
            }
            if options.is_dry_run {
                return Ok(Deleted { object: left, is_gone: !is_held });
            }
            match self.store.commit(writes).await {
                Ok(revision) => {
                    stored.settled(revision).await;
                    drop(hold);
                    set_version(&mut left, revision);
                    present(&**resource, &mut left, false);
                    return Ok(Deleted { object: left, is_gone: !is_held });
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict(
            descriptor,
            &key.name,
            "others change it all the time; please try again later",
        ))
    }

    /// Deletes every object of a selection, one after the other. Returns how many.
    ///
    /// # Errors
    /// The first that must stay; those before it are gone.
    pub async fn delete_collection(
        &self,
        resource: &Arc<dyn Resource>,
        selection: &Selection,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Outcome<Vec<Value>> {
        let listed = self.list(resource, selection, &ListOptions::default())?;
        let mut deleted = Vec::new();
        for item in listed.items {
            match self.delete(resource, &key_in(&item), options, now).await {
                Ok(gone) => deleted.push(gone.object),
                // Somebody else was faster: it is what was asked for.
                Err(refusal) if refusal.status().code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(deleted)
    }
}

fn check(
    resource: &Arc<dyn Resource>,
    key: &ObjectKey,
    object: &Value,
    options: &DeleteOptions,
) -> Outcome<()> {
    for (field, wanted) in [("uid", &options.uid), ("resourceVersion", &options.version)] {
        let found = object["metadata"][field].as_str().unwrap_or_default();
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!(
                "the precondition metadata.{field} = {wanted:?} does not hold: it is {found:?}"
            );
            return Err(conflict(resource.descriptor(), &key.name, &why));
        }
    }
    Ok(())
}

fn mark(object: &mut Value, now: Timestamp) {
    let metadata = metadata_mut(object);
    metadata.insert("deletionTimestamp".to_owned(), format!("{now:.0}").into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
}
