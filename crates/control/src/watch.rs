//! Watches of functions: each change, as it happens, to whoever watches.
//!
//! A change carries the whole function, so a change seen twice or a few left out
//! in between are harmless. A watcher that reads too slowly is cut, and begins
//! anew with what exists.

use std::sync::Arc;

use gapless_types::{Function, FunctionKey};
use tokio::sync::broadcast;

use crate::Control;

/// Changes a watcher may be behind.
const BEHIND_MAX: usize = 1_024;

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) is_deleted: bool,
    pub(crate) function: Function,
}

/// Tells changes to watchers.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: broadcast::Sender<Arc<Change>>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Watch { changes: broadcast::channel(BEHIND_MAX).0 }
    }

    /// Every change from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }
}

impl Control {
    /// A function or its status changed. Costs nothing when nobody watches.
    pub(crate) fn watch_changed(&self, key: &FunctionKey) {
        if self.watch.changes.receiver_count() == 0 {
            return;
        }
        if let Some(function) = self.function_object(key) {
            // Nobody left to tell is no error.
            let _ = self.watch.changes.send(Arc::new(Change { is_deleted: false, function }));
        }
    }

    pub(crate) fn watch_deleted(&self, function: Function) {
        let _ = self.watch.changes.send(Arc::new(Change { is_deleted: true, function }));
    }
}
