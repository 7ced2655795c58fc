//! The kinds that the API serves, one file each, and what is asked of them before a
//! write. A new kind is a file here and a line in [`all`].

mod configmaps;
mod events;
mod functions;
mod instances;
mod namespaces;
mod nodes;
mod profiles;
mod revisions;
mod secrets;
mod services;

use std::sync::{Arc, Weak};

use gapless_api::Status;
use gapless_declared::{Feed, Kinds, Namespaces, Outcome, Resource};
use jiff::Timestamp;
use serde_json::Value;

use crate::Control;
use crate::events::EventLog;

pub(crate) use functions::{FUNCTIONS, shared_template};
pub(crate) use namespaces::{CONTENTS, DEFAULT as DEFAULT_NAMESPACE, new as new_namespace};
pub(crate) use profiles::PROFILES;
pub(crate) use revisions::REVISIONS;

/// Every kind.
pub(crate) fn all(control: &Weak<Control>, feeds: &Feeds) -> Kinds {
    let mut kinds = Kinds::default();
    let of = || Owner(Weak::clone(control));
    let functions: Arc<dyn Resource> = Arc::new(functions::Functions(of()));
    kinds.add(Arc::clone(&functions));
    kinds.add(Arc::new(revisions::Revisions(of())));
    kinds.add(Arc::new(instances::Instances(of(), Arc::clone(&feeds.instances))));
    kinds.add(Arc::new(nodes::Nodes(of(), Arc::clone(&feeds.nodes))));
    kinds.add(Arc::new(profiles::Profiles(of())));
    kinds.add(Arc::new(namespaces::Namespaces(of())));
    kinds.add(Arc::new(secrets::Secrets(of())));
    kinds.add(Arc::new(configmaps::ConfigMaps));
    kinds.add(services::services(functions));
    kinds.add(Arc::new(events::Events(Arc::clone(&feeds.events))));
    kinds
}

/// Where namespaces are made.
pub(crate) fn namespaces(control: &Weak<Control>) -> Arc<dyn Namespaces> {
    Arc::new(namespaces::Namespaces(Owner(Weak::clone(control))))
}

/// Where changes of the kinds that are in memory are told.
#[derive(Clone, Debug)]
pub(crate) struct Feeds {
    pub(crate) instances: Arc<Feed>,
    pub(crate) nodes: Arc<Feed>,
    pub(crate) events: Arc<EventLog>,
}

impl Feeds {
    pub(crate) fn new(now: Timestamp) -> Self {
        let feed = || Arc::new(Feed::new(now));
        Feeds { instances: feed(), nodes: feed(), events: EventLog::new(now) }
    }
}

/// The control that a kind belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Owner(Weak<Control>);

impl Owner {
    /// It, unless the platform ends.
    pub(crate) fn get(&self) -> Option<Arc<Control>> {
        self.0.upgrade()
    }

    /// It, or a refusal because the platform ends.
    pub(crate) fn require(&self) -> Outcome<Arc<Control>> {
        self.get().ok_or_else(|| {
            Status::failure(503, "ServiceUnavailable", "the platform is ending").into()
        })
    }
}

/// The text at a path of fields; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
