//! Watches: what exists if asked for, then every change, in order, without a gap.
//!
//! Of stored kinds the changes are the store's events. Where a kind also shows what is
//! observed (a function's instances), a change of that alone is told as a change of the
//! object with the version it has: it makes no version, and nothing is written for it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt as _;
use gapless_store::{Record, StoreError, StoreEvent, Watch as StoreWatch};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::form::{decode, present, set_version};
use crate::key::{ObjectKey, key_of, store_prefix};
use crate::list::{ListOptions, Selection};
use crate::live::{FeedEvent, LiveSource, Subscription};
use crate::refusal::{Outcome, Refusal, expired};
use crate::resource::{Resource, Source, View};
use crate::write::{Current, Objects};

/// From where a watch begins.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// After this version; `None` begins with what exists.
    pub after: Option<u64>,
    /// Whether the end of what exists is told by a bookmark.
    pub marks_initial_end: bool,
    /// Whether what is shown only to who asks for it is shown.
    pub is_revealed: bool,
}

/// What a watcher is told.
#[derive(Debug)]
pub enum Watched {
    /// `ADDED`, `MODIFIED` or `DELETED`, and the object.
    Event(&'static str, Value),
    /// Everything up to this version was told.
    Bookmark {
        /// The version.
        version: u64,
        /// Whether what existed at first was told up to here.
        is_initial_end: bool,
    },
    /// The watch cannot go on.
    Failed(Refusal),
}

/// A watch under way.
pub struct Watch {
    resource: Arc<dyn Resource>,
    selection: Selection,
    is_revealed: bool,
    pending: VecDeque<Watched>,
    changes: Changes,
    version: u64,
    has_failed: bool,
}

enum Changes {
    Stored {
        objects: Objects,
        stored: Arc<dyn Resource>,
        view: Option<Arc<dyn View>>,
        events: StoreWatch,
        touched: Option<broadcast::Receiver<ObjectKey>>,
    },
    Live {
        source: Arc<dyn LiveSource>,
        events: Subscription,
        /// Objects that were told, where the selection may change its mind.
        told: Option<HashSet<ObjectKey>>,
    },
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "watch of {} after {}", self.resource.descriptor().plural, self.version)
    }
}

impl Objects {
    /// Begins a watch. Takes as long as there are objects if it begins with them.
    ///
    /// # Errors
    /// `410` when changes after that version are no longer kept.
    pub fn watch(
        &self,
        resource: &Arc<dyn Resource>,
        selection: Selection,
        options: &WatchOptions,
    ) -> Outcome<Watch> {
        let mut pending = VecDeque::new();
        let version = match options.after {
            Some(version) => version,
            None => {
                let all = ListOptions { is_revealed: options.is_revealed, ..Default::default() };
                let listed = self.list(resource, &selection, &all)?;
                pending.extend(listed.items.into_iter().map(|item| Watched::Event("ADDED", item)));
                listed.version
            }
        };
        if options.marks_initial_end {
            pending.push_back(Watched::Bookmark { version, is_initial_end: true });
        }
        let changes = match resource.source() {
            Source::Live(source) => {
                let events = source.feed().subscribe(version).ok_or_else(|| {
                    expired(&format!("changes after version {version} are not kept"))
                })?;
                let told = (!selection.is_everything())
                    .then(|| pending.iter().filter_map(key_told).collect());
                Changes::Live { source, events, told }
            }
            source => {
                let view = match source {
                    Source::View(view) => Some(view),
                    _ => None,
                };
                let stored =
                    view.as_ref().map_or_else(|| Arc::clone(resource), |view| view.stored());
                let touched = stored.touched();
                let prefix = store_prefix(stored.descriptor(), selection.namespace.as_deref());
                let events = self.store.watch(&prefix, version)?;
                Changes::Stored { objects: self.clone(), stored, view, events, touched }
            }
        };
        let (resource, is_revealed) = (Arc::clone(resource), options.is_revealed);
        let has_failed = false;
        Ok(Watch { resource, selection, is_revealed, pending, changes, version, has_failed })
    }
}

fn key_told(watched: &Watched) -> Option<ObjectKey> {
    match watched {
        Watched::Event(_, object) => Some(crate::list::key_in(object)),
        _ => None,
    }
}

impl Watch {
    /// Everything up to this version was told.
    pub fn version(&self) -> u64 {
        match &self.changes {
            Changes::Live { events, .. } if self.pending.is_empty() => {
                events.told_up_to().max(self.version)
            }
            Changes::Stored { events, .. } if self.pending.is_empty() => {
                events.progress().max(self.version)
            }
            _ => self.version,
        }
    }

    /// The next thing to tell; `None` when the watch has ended. Nothing is lost if the
    /// future is dropped.
    pub async fn next(&mut self) -> Option<Watched> {
        loop {
            if let Some(watched) = self.pending.pop_front() {
                return Some(watched);
            }
            if self.has_failed {
                return None;
            }
            if let Err(refusal) = self.advance().await {
                self.has_failed = true;
                return Some(Watched::Failed(refusal));
            }
        }
    }

    async fn advance(&mut self) -> Outcome<()> {
        enum Step {
            Stored(Option<Result<StoreEvent, StoreError>>),
            Touched(Result<ObjectKey, RecvError>),
            Live(Option<FeedEvent>),
        }
        let step = match &mut self.changes {
            Changes::Live { events, .. } => Step::Live(events.next().await),
            Changes::Stored { events, touched: Some(touched), .. } => tokio::select! {
                biased;
                event = events.next() => Step::Stored(event),
                key = touched.recv() => Step::Touched(key),
            },
            Changes::Stored { events, .. } => Step::Stored(events.next().await),
        };
        match step {
            Step::Stored(Some(Ok(event))) => self.on_stored(event),
            Step::Stored(Some(Err(error))) => Err(error.into()),
            Step::Stored(None) => Err(expired("the store ended the watch")),
            Step::Touched(Ok(key)) => self.on_touched(&key),
            // What was missed is seen with the next change.
            Step::Touched(Err(RecvError::Lagged(_))) => Ok(()),
            Step::Touched(Err(RecvError::Closed)) => {
                if let Changes::Stored { touched, .. } = &mut self.changes {
                    *touched = None;
                }
                Ok(())
            }
            Step::Live(Some(event)) => {
                self.on_live(event);
                Ok(())
            }
            Step::Live(None) => Err(expired("too many changes were missed")),
        }
    }

    fn on_stored(&mut self, event: StoreEvent) -> Outcome<()> {
        let Changes::Stored { stored, view, .. } = &self.changes else { return Ok(()) };
        self.version = self.version.max(event.revision);
        if key_of(stored.descriptor(), &event.key).is_none() {
            return Ok(());
        }
        let seen = |record: &Record| -> Outcome<Option<Value>> {
            let object = decode(record)?;
            let shown = match view {
                Some(view) => view.shown(&object),
                None => Some(object),
            };
            Ok(shown.filter(|object| self.selection.is_meant(object)))
        };
        let after = event.record().as_ref().map(&seen).transpose()?.flatten();
        let was_meant = || match &event.previous {
            // Everything is meant: what it was need not be read.
            Some(_) if view.is_none() && self.selection.is_everything() => Ok(true),
            Some(old) => seen(old).map(|old| old.is_some()),
            None => Ok(false),
        };
        let (kind, mut object) = match after {
            Some(new) if was_meant()? => ("MODIFIED", new),
            Some(new) => ("ADDED", new),
            None => match event.previous.as_ref().map(&seen).transpose()?.flatten() {
                Some(old) => ("DELETED", old),
                None => return Ok(()),
            },
        };
        set_version(&mut object, event.revision);
        present(&*self.resource, &mut object, self.is_revealed);
        self.pending.push_back(Watched::Event(kind, object));
        Ok(())
    }

    fn on_touched(&mut self, key: &ObjectKey) -> Outcome<()> {
        let Changes::Stored { objects, stored, view, .. } = &self.changes else { return Ok(()) };
        if self.selection.namespace.as_ref().is_some_and(|wanted| *wanted != key.namespace) {
            return Ok(());
        }
        let Some(Current { object, record }) = objects.current(&**stored, key)? else {
            return Ok(());
        };
        // A newer one is told when its event comes, with what is observed then.
        if record.revision > self.version {
            return Ok(());
        }
        let shown = match view {
            Some(view) => view.shown(&object),
            None => Some(object),
        };
        if let Some(mut object) = shown.filter(|object| self.selection.is_meant(object)) {
            set_version(&mut object, record.revision);
            present(&*self.resource, &mut object, self.is_revealed);
            self.pending.push_back(Watched::Event("MODIFIED", object));
        }
        Ok(())
    }

    fn on_live(&mut self, event: FeedEvent) {
        let Changes::Live { source, told, .. } = &mut self.changes else { return };
        self.version = self.version.max(event.version);
        if self.selection.namespace.as_ref().is_some_and(|wanted| *wanted != event.key.namespace) {
            return;
        }
        let is_gone = event.gone.is_some();
        let object = event.gone.map(Arc::unwrap_or_clone).or_else(|| source.get(&event.key));
        // Gone already: that is the next event of it.
        let Some(mut object) = object else { return };
        let is_meant = self.selection.is_meant(&object);
        let was_told = match told {
            Some(told) if is_meant && !is_gone => !told.insert(event.key.clone()),
            Some(told) => told.remove(&event.key),
            None => !event.is_new,
        };
        let kind = match (is_gone || !is_meant, was_told) {
            (true, false) if told.is_some() && !(is_gone && is_meant) => return,
            (true, _) => "DELETED",
            (false, true) => "MODIFIED",
            (false, false) => "ADDED",
        };
        set_version(&mut object, event.version);
        present(&*self.resource, &mut object, self.is_revealed);
        self.pending.push_back(Watched::Event(kind, object));
    }
}
