//! `Instance`: one live environment of one revision. In memory: nothing is written
//! when one starts or ends, and telling costs nothing while nobody watches.

use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_declared::{Admission, Feed, Hold, LiveSource, ObjectKey, Outcome, Resource, Source};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{AGE, OBSERVED_VERBS, found, text};
use gapless_types::FieldError;
use serde_json::{Value, json};

use super::Owner;

/// The kind.
pub(crate) static INSTANCES: Descriptor = Descriptor {
    group: "gapless.dev",
    version: "v1",
    kind: "Instance",
    list_kind: "InstanceList",
    plural: "instances",
    singular: "instance",
    short_names: &["inst"],
    categories: &["gapless"],
    is_namespaced: true,
    verbs: OBSERVED_VERBS,
    has_status: false,
    has_scale: false,
    columns: &[
        text("Function", "The function it serves.", |o| found(o, "status.function")),
        text("Node", "The node it is on.", |o| found(o, "status.node")),
        text("Phase", "Starting, Ready or Retiring.", |o| found(o, "status.phase")),
        text("Start", "How it was started.", |o| found(o, "status.startKind")),
        text("Took", "How long its start took.", |o| match o["status"]["startMs"].as_f64() {
            Some(ms) if ms > 0.0 => json!(format!("{ms:.0}ms")),
            _ => Value::Null,
        }),
        AGE,
        text("Revision", "The revision it runs.", |o| found(o, "status.revision")).wide(),
        text("Endpoint", "Where it takes requests.", |o| found(o, "status.endpoint")).wide(),
    ],
    selectable: &["status.function", "status.revision", "status.node", "status.phase"],
    schema: gapless_objects::schema::of::<gapless_api::Instance>,
};

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Instances(pub(super) Owner, pub(super) Arc<Feed>);

impl Resource for Instances {
    fn descriptor(&self) -> &'static Descriptor {
        &INSTANCES
    }

    fn source(&self) -> Source {
        Source::Live(Arc::new(Live(self.0.clone(), Arc::clone(&self.1))))
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }
}

struct Live(Owner, Arc<Feed>);

impl LiveSource for Live {
    fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.0.get()?.instance_value(key)
    }

    fn list(&self, namespace: Option<&str>) -> Vec<Value> {
        self.0.get().map(|control| control.instance_values(namespace)).unwrap_or_default()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.1
    }

    fn write(&self, _: &ObjectKey, new: Value) -> BoxFuture<'_, Outcome<Value>> {
        // No verb of this kind leads here.
        Box::pin(std::future::ready(Ok(new)))
    }
}
