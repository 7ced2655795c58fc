//! `Event`: what happened to an object, for people. In memory, and gone after an hour.

use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_declared::{Admission, Feed, Hold, LiveSource, ObjectKey, Outcome, Resource, Source};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{EVENT, OBSERVED_VERBS};
use gapless_types::FieldError;
use serde_json::Value;

use crate::events::EventLog;

/// The kind: only observed here.
static EVENTS: Descriptor = Descriptor { verbs: OBSERVED_VERBS, ..EVENT };

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Events(pub(super) Arc<EventLog>);

impl Resource for Events {
    fn descriptor(&self) -> &'static Descriptor {
        &EVENTS
    }

    fn source(&self) -> Source {
        Source::Live(Arc::clone(&self.0) as Arc<dyn LiveSource>)
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }
}

impl LiveSource for EventLog {
    fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.find(key)
    }

    fn list(&self, namespace: Option<&str>) -> Vec<Value> {
        self.all(namespace)
    }

    fn feed(&self) -> &Arc<Feed> {
        EventLog::feed(self)
    }

    fn write(&self, _: &ObjectKey, new: Value) -> BoxFuture<'_, Outcome<Value>> {
        // No verb of this kind leads here.
        Box::pin(std::future::ready(Ok(new)))
    }
}
