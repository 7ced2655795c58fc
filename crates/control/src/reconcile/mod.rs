//! Reconcilers: each makes what is stored agree with what is observed or declared, one
//! file each. They are idempotent and take no input: a mark says where to look, not what
//! to do; and now and then everything is looked at, so that a lost mark is no loss.

mod namespaces;
mod postponed;
mod status;
mod touched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Control;

pub(crate) use namespaces::reap_namespaces;
pub(crate) use status::settle_statuses;
pub(crate) use touched::tell_touched;

/// How often everything is looked at.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The reconcilers' marks.
#[derive(Debug, Default)]
pub(crate) struct Reconcilers {
    pub(crate) status: Marks<gapless_types::FunctionKey>,
    pub(crate) namespaces: Marks<String>,
    /// Functions whose instances changed, while somebody watches.
    pub(crate) touched: Marks<gapless_types::FunctionKey>,
}

/// What is to be looked at. Marking twice is marking once.
#[derive(Debug)]
pub(crate) struct Marks<T> {
    marked: Mutex<BTreeSet<T>>,
    bell: Notify,
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Marks { marked: Mutex::default(), bell: Notify::new() }
    }
}

impl<T: Ord + Clone> Marks<T> {
    /// This is to be looked at.
    pub(crate) fn mark(&self, what: &T) {
        let is_new = {
            let mut marked = self.marked.lock();
            !marked.contains(what) && marked.insert(what.clone())
        };
        if is_new {
            self.bell.notify_one();
        }
    }

    /// At most `most` of what is marked; the rest stays marked.
    fn take(&self, most: usize) -> Vec<T> {
        let mut marked = self.marked.lock();
        let taken: Vec<T> = marked.iter().take(most).cloned().collect();
        for one in &taken {
            marked.remove(one);
        }
        taken
    }

    /// Waits until something is marked.
    async fn rung(&self) {
        self.bell.notified().await;
    }

    fn is_empty(&self) -> bool {
        self.marked.lock().is_empty()
    }
}

impl Control {
    /// Begins the reconcilers. They end with the platform.
    pub(crate) fn begin_reconcilers(self: &Arc<Self>) {
        let (statuses, others) = (Arc::clone(self), Arc::clone(self));
        // Waited for at the end: how far a rollout has come is stored before that.
        self.shutdown().spawn(async move { settle_statuses(&statuses).await });
        let shutdown = self.shutdown().clone();
        gapless_rt::spawn(async move {
            tokio::select! {
                () = reap_namespaces(&others) => {}
                () = tell_touched(&others) => {}
                () = shutdown.begun() => {}
            }
        });
    }
}
