//! What a kind says of itself, and the kinds there are.
//!
//! A kind is asked before every write: it completes and checks the new object, and may
//! add writes to the same transaction (a function's revision, a claim of its host).
//! What *follows* from a write is not done here: it follows from the store's events.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use gapless_objects::Descriptor;
use gapless_store::{Record, StoreRevision, Write};
use gapless_types::FieldError;
use jiff::Timestamp;
use serde_json::Value;

use crate::key::ObjectKey;
use crate::live::LiveSource;
use crate::refusal::Outcome;

/// What happens to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It comes to be.
    Create,
    /// It changes.
    Update,
    /// Only its status changes, by the platform itself.
    Status,
}

/// A write about to happen.
#[derive(Debug)]
pub struct Admission<'a> {
    /// Which object.
    pub key: &'a ObjectKey,
    /// What happens.
    pub operation: Operation,
    /// As it is to be. The kind completes it.
    pub new: &'a mut Value,
    /// As it is.
    pub old: Option<&'a Value>,
    /// The record that `old` was read from.
    pub record: Option<&'a Record>,
    /// Further writes of the same transaction.
    pub writes: &'a mut Vec<Write>,
    /// Sentences for whoever asked.
    pub warnings: &'a mut Vec<String>,
    /// The time.
    pub now: Timestamp,
    /// Nothing will be written.
    pub is_dry_run: bool,
}

impl Admission<'_> {
    /// Whether this part of the object differs from what it was.
    pub fn is_changed(&self, part: &str) -> bool {
        self.old.is_none_or(|old| old.get(part) != self.new.get(part))
    }
}

/// What a kind holds until the write is decided either way.
pub type Hold = Option<Box<dyn Any + Send>>;

/// A kind.
pub trait Resource: Send + Sync {
    /// Names, columns, schema.
    fn descriptor(&self) -> &'static Descriptor;

    /// Where its objects are.
    fn source(&self) -> Source {
        Source::Stored
    }

    /// Completes and checks an object before it is written.
    ///
    /// # Errors
    /// What is wrong, by field, or another refusal.
    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>>;

    /// Asks whether an object may go, and what goes with it.
    ///
    /// # Errors
    /// Why it must stay.
    fn admit_removal(
        &self,
        key: &ObjectKey,
        object: &Value,
        writes: &mut Vec<Write>,
    ) -> Outcome<Hold> {
        let _ = (key, object, writes);
        Ok(None)
    }

    /// Parts of a stored object that are the platform's own: neither shown nor changed
    /// by whoever declares the rest. Views and [`crate::Objects::settle`] see them.
    fn hidden(&self) -> &'static [&'static str] {
        &[]
    }

    /// Adds what is observed, and takes out what is shown only to who asked for it.
    fn show(&self, object: &mut Value, is_revealed: bool) {
        let _ = (object, is_revealed);
    }

    /// Objects whose observed part changed, if it changes without a write.
    fn touched(&self) -> Option<tokio::sync::broadcast::Receiver<ObjectKey>> {
        None
    }

    /// An object was declared again as it is: what failed of it may be tried again.
    fn restated(&self, key: &ObjectKey) {
        let _ = key;
    }

    /// Resolves when the platform has acted on this revision of the store, or gave up
    /// waiting for that: a writer's next request then finds its write in effect.
    fn settled(&self, revision: StoreRevision) -> BoxFuture<'static, ()> {
        let _ = revision;
        Box::pin(std::future::ready(()))
    }
}

/// Where a kind's objects are.
#[derive(Clone)]
pub enum Source {
    /// In the store.
    Stored,
    /// In the store as objects of another kind, seen in another shape.
    View(Arc<dyn View>),
    /// In memory.
    Live(Arc<dyn LiveSource>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Stored => "stored",
            Source::View(_) => "view",
            Source::Live(_) => "live",
        })
    }
}

/// Another shape of a stored kind.
pub trait View: Send + Sync {
    /// The kind that is stored.
    fn stored(&self) -> Arc<dyn Resource>;
    /// What a stored object looks like in this shape; `None` if it does not have it.
    fn shown(&self, stored: &Value) -> Option<Value>;
    /// The object to store for one in this shape, given what is stored, and what whoever
    /// asked should know of it.
    ///
    /// # Errors
    /// The fields that cannot be expressed.
    fn store(
        &self,
        shown: &Value,
        stored: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Vec<FieldError>>;
}

/// Where namespaces are made: a namespace comes to be when something is first declared
/// in it.
pub trait Namespaces: Send + Sync {
    /// The write that makes a namespace, if it is not there yet.
    ///
    /// # Errors
    /// It is being deleted, or its name is none.
    fn enter(&self, namespace: &str, now: Timestamp) -> Outcome<Option<Write>>;
}

/// The kinds there are, by group, version and plural name.
#[derive(Clone, Default)]
pub struct Kinds {
    by_path: BTreeMap<Path, Arc<dyn Resource>>,
    /// Made when first needed: deriving one takes longer than a write.
    schemas: BTreeMap<Path, Arc<OnceLock<Arc<Value>>>>,
}

/// Group, version, plural.
type Path = (&'static str, &'static str, &'static str);

fn path(descriptor: &Descriptor) -> Path {
    (descriptor.group, descriptor.version, descriptor.plural)
}

impl Kinds {
    /// Adds a kind.
    pub fn add(&mut self, resource: Arc<dyn Resource>) {
        let path = path(resource.descriptor());
        self.by_path.insert(path, resource);
        self.schemas.insert(path, Arc::default());
    }

    /// The kind served at this path.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<dyn Resource>> {
        // There are a dozen.
        let mut all = self.by_path.iter();
        all.find(|(path, _)| **path == (group, version, plural)).map(|(_, resource)| resource)
    }

    /// The schema of a kind.
    pub fn schema(&self, descriptor: &Descriptor) -> Arc<Value> {
        let make = || Arc::new((descriptor.schema)());
        match self.schemas.get(&path(descriptor)) {
            Some(made) => Arc::clone(made.get_or_init(make)),
            None => make(),
        }
    }

    /// Every kind, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Resource>> {
        self.by_path.values()
    }
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_path.keys()).finish()
    }
}
