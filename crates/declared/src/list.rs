//! Lists: in order of their keys, selected, in pages, all of one list as they were at
//! one revision of the store.

use std::sync::Arc;

use gapless_objects::meta;
use gapless_objects::selector::{FieldSelector, LabelSelector};
use gapless_store::{Range, StoreRevision};
use serde_json::Value;

use crate::form::{decode, present, set_version};
use crate::key::{ObjectKey, key_of, store_key, store_prefix};
use crate::refusal::{Outcome, bad_request};
use crate::resource::{Resource, Source, View};
use crate::token;
use crate::write::Objects;

/// Records that are read at a time.
const CHUNK: usize = 500;

/// Which objects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this namespace, or of all.
    pub namespace: Option<String>,
    /// With these labels.
    pub labels: LabelSelector,
    /// With these fields.
    pub fields: FieldSelector,
}

impl Selection {
    /// Whether an object is meant. Its kind and namespace are checked elsewhere.
    pub fn is_meant(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    /// Whether every object is meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The one name that is meant, if the fields say so.
    fn name(&self) -> Option<&str> {
        self.fields.exactly("metadata.name")
    }
}

/// How much of a list, and as of when.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Objects at the most; `None` gives all.
    pub limit: Option<usize>,
    /// Where the former page ended.
    pub continued: Option<String>,
    /// As of this revision exactly.
    pub at: Option<StoreRevision>,
    /// Whether what is shown only to who asks for it is shown.
    pub is_revealed: bool,
}

/// A list, or a page of one.
#[derive(Debug)]
pub struct Listed {
    /// The objects.
    pub items: Vec<Value>,
    /// The version the list shows. A watch goes on from it.
    pub version: u64,
    /// Where the next page begins, if there is one.
    pub continued: Option<String>,
}

impl Objects {
    /// Lists objects. Takes as long as there are many: call it off the event loop.
    ///
    /// # Errors
    /// `410` when the revision is no longer kept, `400` for a token that is not ours.
    pub fn list(
        &self,
        resource: &Arc<dyn Resource>,
        selection: &Selection,
        options: &ListOptions,
    ) -> Outcome<Listed> {
        match resource.source() {
            Source::Live(source) => {
                let version = source.feed().listed();
                let all = source.list(selection.namespace.as_deref());
                live_page(resource, all, version, selection, options)
            }
            Source::Stored => self.stored_page(resource, None, selection, options),
            Source::View(view) => self.stored_page(resource, Some(&*view), selection, options),
        }
    }

    fn stored_page(
        &self,
        resource: &Arc<dyn Resource>,
        view: Option<&dyn View>,
        selection: &Selection,
        options: &ListOptions,
    ) -> Outcome<Listed> {
        let stored = view.map_or_else(|| Arc::clone(resource), View::stored);
        let descriptor = stored.descriptor();
        let (mut at, mut after) = (options.at, None);
        if let Some(continued) = &options.continued {
            let (revision, key) = token::read(continued)?;
            (at, after) = (Some(revision), Some(store_key(descriptor, &key)));
        }
        let prefix = match (selection.name(), &selection.namespace) {
            // One name in one namespace is one key, and what it is a prefix of.
            (Some(name), Some(namespace)) if descriptor.is_namespaced => {
                store_key(descriptor, &ObjectKey::new(namespace.as_str(), name))
            }
            (_, namespace) => store_prefix(descriptor, namespace.as_deref()),
        };
        let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut last = None;
        loop {
            let range = Range { prefix: &prefix, after: after.as_deref(), limit: Some(CHUNK), at };
            let page = self.store.list(range)?;
            at = Some(page.revision);
            for record in &page.records {
                if items.len() >= limit {
                    let continued = last.map(|key| token::write(page.revision, &key));
                    return Ok(Listed { items, version: page.revision, continued });
                }
                let Some(key) = key_of(descriptor, &record.key) else { continue };
                let object = decode(record)?;
                let shown = match view {
                    Some(view) => view.shown(&object),
                    None => Some(object),
                };
                let Some(mut object) = shown else { continue };
                if selection.is_meant(&object) {
                    set_version(&mut object, record.revision);
                    present(&**resource, &mut object, options.is_revealed);
                    items.push(object);
                    last = Some(key);
                }
            }
            match page.records.last() {
                Some(record) if page.more => after = Some(record.key.to_string()),
                _ => return Ok(Listed { items, version: page.revision, continued: None }),
            }
        }
    }
}

fn live_page(
    resource: &Arc<dyn Resource>,
    all: Vec<Value>,
    version: u64,
    selection: &Selection,
    options: &ListOptions,
) -> Outcome<Listed> {
    let after = match &options.continued {
        Some(continued) => Some(token::read(continued)?.1),
        None => None,
    };
    if options.at.is_some() {
        return Err(bad_request(
            "resourceVersionMatch=Exact is not possible here: these objects are in memory only, \
             as they are now",
        ));
    }
    let meant = all.into_iter().filter(|object| {
        after.as_ref().is_none_or(|after| key_in(object) > *after) && selection.is_meant(object)
    });
    let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut items: Vec<Value> = meant.take(limit.saturating_add(1)).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    for object in &mut items {
        if meta::resource_version(object).is_empty() {
            set_version(object, version);
        }
        present(&**resource, object, options.is_revealed);
    }
    let last = items.last().filter(|_| has_more).map(key_in);
    Ok(Listed { items, version, continued: last.map(|key| token::write(version, &key)) })
}

/// The key that an object's metadata says.
pub(crate) fn key_in(object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    ObjectKey::new(text("namespace"), text("name"))
}
