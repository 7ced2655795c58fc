//! What was declared in former runs, and following what is declared from then on.
//!
//! Everything is read before the gateway serves; then each kind that something follows
//! from is followed by a task of its own, from the revision it was read at.

use std::collections::HashSet;
use std::sync::Arc;

use gapless_declared::{Followed, ObjectKey, follow, store_key, store_prefix};
use gapless_objects::Descriptor;
use gapless_objects::kinds::NAMESPACE;
use gapless_store::{Expect, Record, Store, StoreError, StoreRevision, Write};
use gapless_types::{API_VERSION, FunctionKey};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Control;
use crate::course::Stored;
use crate::kinds::{DEFAULT_NAMESPACE, FUNCTIONS, PROFILES, REVISIONS, new_namespace};
use crate::profiles;

/// Fewer stored functions than this are not worth a thread.
const RECORDS_PER_THREAD: usize = 500;

/// Makes what is always there: the namespace and the profile of those who name none.
pub(crate) fn make_first_objects(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let profile = json!({
        "apiVersion": API_VERSION,
        "kind": "PlacementProfile",
        "metadata": {
            "name": profiles::DEFAULT,
            "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": format!("{now:.0}"),
            "generation": 1,
        },
        "spec": gapless_placement::ProfileSpec::default(),
    });
    let first = [
        (&NAMESPACE, DEFAULT_NAMESPACE, new_namespace(DEFAULT_NAMESPACE, now)),
        (&PROFILES, profiles::DEFAULT, profile),
    ];
    let mut writes = Vec::new();
    for (kind, name, object) in first {
        let key = store_key(kind, &ObjectKey::new("", name));
        if store.get(&key)?.is_none() {
            let value = serde_json::to_vec(&object).unwrap_or_default();
            writes.push(Write::put(key, value, Expect::Absent));
        }
    }
    match writes.is_empty() {
        true => Ok(()),
        false => store.commit_blocking(writes).map(|_| ()),
    }
}

impl Control {
    /// Reads everything. Returns the revision it was read at.
    pub(crate) fn restore(&self) -> Result<StoreRevision, StoreError> {
        let store = self.store();
        let revision = store.revision();
        self.follow_profiles(Followed::All(store.list_all(&prefix(&PROFILES))?, revision));
        self.restore_nodes()?;
        self.follow_revisions(Followed::All(store.list_all(&prefix(&REVISIONS))?, revision));
        let functions = store.list_all(&prefix(&FUNCTIONS))?;
        for (key, read, revision) in read_all(&functions) {
            match read {
                Ok(stored) => self.install(&key, stored, revision),
                Err(why) => {
                    tracing::error!(function = %key, why, "a stored function is not served")
                }
            }
        }
        self.functions_followed.set(revision);
        self.retain_artifacts();
        Ok(revision)
    }

    fn retain_artifacts(&self) {
        let used: HashSet<String> = self.functions().lock().artifacts().cloned().collect();
        match self.artifacts().retain(&used) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed artifacts that nothing uses"),
            Err(error) => tracing::warn!(%error, "cannot remove artifacts that nothing uses"),
        }
    }

    /// Follows what is declared from `after` on.
    pub(crate) fn begin_following(self: &Arc<Self>, after: StoreRevision) {
        self.begin_following_one(&FUNCTIONS, after, Control::follow_functions);
        self.begin_following_one(&PROFILES, after, Control::follow_profiles);
        self.begin_following_one(&REVISIONS, after, Control::follow_revisions);
        self.begin_following_one(&NAMESPACE, after, Control::follow_namespaces);
    }

    fn begin_following_one(
        self: &Arc<Self>,
        kind: &Descriptor,
        after: StoreRevision,
        act: fn(&Control, Followed),
    ) {
        let (control, prefix) = (self.weak(), prefix(kind));
        let (store, shutdown) = (Arc::clone(self.store()), self.shutdown().clone());
        gapless_rt::spawn(async move {
            let act = move |followed| {
                if let Some(control) = control.upgrade() {
                    act(&control, followed);
                }
            };
            tokio::select! {
                result = follow(store, prefix.clone(), Some(after), act) => {
                    if let Err(error) = result {
                        tracing::error!(%error, prefix, "what is declared is no longer followed");
                    }
                }
                () = shutdown.begun() => {}
            }
        });
    }

    /// Stored revisions hold their artifacts.
    fn follow_revisions(&self, followed: Followed) {
        match followed {
            Followed::All(records, _) => {
                let mut functions = self.functions().lock();
                records
                    .iter()
                    .for_each(|r| functions.hold_artifact(artifact_of(&r.value).as_deref()));
            }
            Followed::Changed(event) => {
                let new = event.value.as_ref().and_then(|value| artifact_of(value));
                let old = event.previous.as_ref().and_then(|old| artifact_of(&old.value));
                let unused = {
                    let mut functions = self.functions().lock();
                    functions.hold_artifact(new.as_deref());
                    functions.release_artifact(old.as_deref())
                };
                if unused.is_some()
                    && let Some(control) = self.weak().upgrade()
                {
                    gapless_rt::spawn_blocking(move || control.remove_unused(unused));
                }
            }
        }
    }

    fn follow_namespaces(&self, followed: Followed) {
        let Followed::Changed(event) = followed else { return };
        let Some(record) = event.record() else { return };
        let object: Value = serde_json::from_slice(&record.value).unwrap_or_default();
        if object["metadata"]["deletionTimestamp"].is_string()
            && let Some((_, name)) = record.key.split_once('/')
        {
            self.reconcilers.namespaces.mark(&name.to_owned());
        }
    }
}

fn prefix(kind: &Descriptor) -> String {
    store_prefix(kind, None)
}

/// The artifact that a stored revision uses.
fn artifact_of(revision: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Revision {
        spec: Spec,
    }
    #[derive(serde::Deserialize)]
    struct Spec {
        artifact: Option<String>,
    }
    serde_json::from_slice::<Revision>(revision).ok()?.spec.artifact
}

/// Reads records on every core: it is what `up` waits for when thousands of functions
/// are declared.
fn read_all(records: &[Record]) -> Vec<(FunctionKey, Result<Stored, String>, StoreRevision)> {
    let read = |record: &Record| {
        let (_, rest) = record.key.split_once('/')?;
        let (namespace, name) = rest.split_once('/')?;
        let key = FunctionKey::new(namespace, name).ok()?;
        Some((key, Stored::read(record), record.revision))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = records.len().div_ceil(cores).max(RECORDS_PER_THREAD);
    std::thread::scope(|scope| {
        let mut shares = records.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(|| share.iter().filter_map(read).collect::<Vec<_>>()))
            .collect();
        let mut all: Vec<_> = own.iter().filter_map(read).collect();
        for other in others {
            // A thread that panicked has said why; going on would lose functions.
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}
