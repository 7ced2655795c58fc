//! What is declared, in memory: functions, the hosts they claim and the
//! artifacts they use.
//!
//! A function has a *latest* revision, the one declared last, and a *serving*
//! one, the last that could be prepared. They differ while the latest is being
//! prepared, and for good if it cannot be.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use gapless_types::{FunctionKey, Metadata, Revision, RevisionName};
use jiff::Timestamp;

/// Deleted functions whose last generation is remembered, so that a new function
/// of the same name makes revisions of new names while the old ones still end.
const DELETED_REMEMBERED_MAX: usize = 10_000;

/// How far the latest revision is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is being made runnable.
    Preparing,
    /// It can run.
    Ready,
    /// It cannot, and why.
    Failed(Arc<str>),
}

/// A declared function.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// As stored; the resource version is in `store_revision`.
    pub(crate) metadata: Metadata,
    pub(crate) store_revision: u64,
    pub(crate) latest: Arc<Revision>,
    pub(crate) serving: Option<Arc<Revision>>,
    pub(crate) readiness: Readiness,
    /// When the readiness last changed.
    pub(crate) since: Timestamp,
}

impl Declared {
    /// The revisions it has, latest first.
    pub(crate) fn revisions(&self) -> impl Iterator<Item = &Arc<Revision>> {
        let serving = self.serving.iter().filter(|serving| !Arc::ptr_eq(serving, &self.latest));
        std::iter::once(&self.latest).chain(serving)
    }

    /// The revision that takes new requests.
    pub(crate) fn routed(&self) -> &Arc<Revision> {
        self.serving.as_ref().unwrap_or(&self.latest)
    }

    /// Whether this revision may run.
    pub(crate) fn is_runnable(&self, revision: &Arc<Revision>) -> bool {
        self.serving.as_ref().is_some_and(|serving| Arc::ptr_eq(serving, revision))
    }
}

/// Every declared function.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    by_key: BTreeMap<FunctionKey, Declared>,
    hosts: HashMap<String, FunctionKey>,
    /// Hosts of declarations that are being written.
    pending_hosts: HashMap<FunctionKey, String>,
    /// How many revisions use an artifact.
    artifacts: HashMap<String, u32>,
    last_generations: HashMap<FunctionKey, u64>,
    deleted: VecDeque<FunctionKey>,
}

impl Functions {
    pub(crate) fn get(&self, key: &FunctionKey) -> Option<&Declared> {
        self.by_key.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &FunctionKey) -> Option<&mut Declared> {
        self.by_key.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FunctionKey, &Declared)> {
        self.by_key.iter()
    }

    /// Puts a function in place and returns the former one.
    pub(crate) fn insert(&mut self, key: FunctionKey, declared: Declared) -> Option<Declared> {
        self.by_key.insert(key, declared)
    }

    /// Takes a function out, and remembers its generation.
    pub(crate) fn remove(&mut self, key: &FunctionKey) -> Option<Declared> {
        let declared = self.by_key.remove(key)?;
        self.settle_hosts(key);
        if self.last_generations.insert(key.clone(), declared.metadata.generation).is_none() {
            self.deleted.push_back(key.clone());
        }
        if self.deleted.len() > DELETED_REMEMBERED_MAX
            && let Some(oldest) = self.deleted.pop_front()
        {
            self.last_generations.remove(&oldest);
        }
        Some(declared)
    }

    /// The generation of a function that is new under this name.
    pub(crate) fn first_generation(&self, key: &FunctionKey) -> u64 {
        self.last_generations.get(key).map_or(1, |last| last + 1)
    }

    /// The revision called so, if it is one of a declared function's.
    pub(crate) fn revision(&self, name: &RevisionName) -> Option<(&Declared, &Arc<Revision>)> {
        let declared = self.get(&function_of(name)?)?;
        let revision = declared.revisions().find(|revision| revision.name == *name)?;
        Some((declared, revision))
    }

    /// Claims a host for a declaration that is being written; [`Functions::settle_hosts`]
    /// ends that. `Err` names the function that has it.
    pub(crate) fn claim_host(&mut self, host: &str, key: &FunctionKey) -> Result<(), FunctionKey> {
        match self.hosts.get(host) {
            Some(owner) if owner != key => return Err(owner.clone()),
            Some(_) => {}
            None => {
                self.hosts.insert(host.to_owned(), key.clone());
            }
        }
        self.pending_hosts.insert(key.clone(), host.to_owned());
        Ok(())
    }

    /// The declaration is in place, or was given up.
    pub(crate) fn settle_hosts(&mut self, key: &FunctionKey) {
        self.pending_hosts.remove(key);
        self.free_hosts(key);
    }

    /// Gives up hosts that none of the function's revisions claims any more.
    pub(crate) fn free_hosts(&mut self, key: &FunctionKey) {
        if self.hosts.is_empty() {
            return;
        }
        let mut claimed: Vec<&str> = Vec::new();
        if let Some(declared) = self.by_key.get(key) {
            claimed.extend(declared.revisions().filter_map(|revision| host(revision)));
        }
        claimed.extend(self.pending_hosts.get(key).map(String::as_str));
        self.hosts.retain(|host, owner| owner != key || claimed.contains(&host.as_str()));
    }

    /// An artifact is used once more.
    pub(crate) fn hold_artifact(&mut self, digest: Option<&str>) {
        if let Some(digest) = digest {
            *self.artifacts.entry(digest.to_owned()).or_default() += 1;
        }
    }

    /// An artifact is used once less. Returns it when nobody uses it any more.
    pub(crate) fn release_artifact(&mut self, digest: Option<&str>) -> Option<String> {
        let digest = digest?;
        let uses = self.artifacts.get_mut(digest)?;
        *uses -= 1;
        if *uses > 0 {
            return None;
        }
        self.artifacts.remove(digest);
        Some(digest.to_owned())
    }

    pub(crate) fn is_artifact_used(&self, digest: &str) -> bool {
        self.artifacts.contains_key(digest)
    }

    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &String> {
        self.artifacts.keys()
    }
}

/// The host of its own that a revision claims.
pub(crate) fn host(revision: &Revision) -> Option<&str> {
    revision.spec.access.route.as_ref().map(|route| route.host.as_str())
}

/// The function a revision belongs to, by its name `NAMESPACE/NAME-NNNNN`.
fn function_of(name: &RevisionName) -> Option<FunctionKey> {
    let (namespace, short) = name.as_str().split_once('/')?;
    let (name, _) = short.rsplit_once('-')?;
    FunctionKey::new(namespace, name).ok()
}

#[cfg(test)]
mod tests {
    use gapless_types::FunctionSpec;
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> FunctionKey {
        FunctionKey::new("default", name).unwrap()
    }

    fn declared(name: &str, generation: u64, host: &str) -> Declared {
        let function = key(name);
        let spec = json!({"wasm": "a.wasm", "access": {"route": {"host": host}}});
        let spec: FunctionSpec = serde_json::from_value(spec).unwrap();
        let name = RevisionName::new(&function, generation);
        Declared {
            metadata: Metadata { generation, ..Metadata::default() },
            store_revision: 1,
            latest: Arc::new(Revision { name, function, spec }),
            serving: None,
            readiness: Readiness::Preparing,
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_revision_is_found_by_its_name() {
        let mut functions = Functions::default();
        functions.insert(key("a-b"), declared("a-b", 7, "a.example"));
        let name = RevisionName::new(&key("a-b"), 7);
        assert_eq!(functions.revision(&name).unwrap().1.name, name);
        assert!(functions.revision(&RevisionName::new(&key("a-b"), 6)).is_none());
        assert!(functions.revision(&RevisionName::new(&key("a"), 7)).is_none());
    }

    #[test]
    fn hosts_belong_to_one_function_until_it_gives_them_up() {
        let mut functions = Functions::default();
        functions.claim_host("x.example", &key("a")).unwrap();
        functions.claim_host("x.example", &key("a")).unwrap();
        assert_eq!(functions.claim_host("x.example", &key("b")), Err(key("a")));
        functions.insert(key("a"), declared("a", 2, "y.example"));
        functions.claim_host("y.example", &key("a")).unwrap();
        functions.settle_hosts(&key("a"));
        functions.claim_host("x.example", &key("b")).unwrap();
        assert_eq!(functions.claim_host("y.example", &key("b")), Err(key("a")));
        functions.remove(&key("a"));
        functions.claim_host("y.example", &key("b")).unwrap();
    }

    #[test]
    fn artifacts_are_counted_and_generations_go_on() {
        let mut functions = Functions::default();
        for _ in 0..2 {
            functions.hold_artifact(Some("sha256:a"));
        }
        assert_eq!(functions.release_artifact(Some("sha256:a")), None);
        assert!(functions.is_artifact_used("sha256:a"));
        assert_eq!(functions.release_artifact(Some("sha256:a")).as_deref(), Some("sha256:a"));
        assert_eq!(functions.release_artifact(None), None);
        functions.insert(key("a"), declared("a", 3, "a.example"));
        functions.remove(&key("a"));
        assert_eq!(functions.first_generation(&key("a")), 4);
        assert_eq!(functions.first_generation(&key("b")), 1);
    }
}
