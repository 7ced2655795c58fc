//! What is declared, in memory: functions, their revisions that are routed to, and how
//! many hold each artifact.
//!
//! A cache of the store: it follows the store's events (`course.rs`), so what is here is
//! what was written, by whomever. Only the course of a rollout is decided here; it is
//! stored with its function so that it goes on after a restart.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use gapless_rollout::Rollout;
use gapless_rt::Timer;
use gapless_types::{FunctionKey, FunctionSpec, Revision, RevisionName};
use jiff::Timestamp;
use litemap::LiteMap;
use serde::Deserialize;
use uuid::Uuid;

/// Deleted functions whose last revision's number is remembered, so that a new function
/// of the same name makes revisions of new names while the old ones still end.
const DELETED_REMEMBERED_MAX: usize = 10_000;

/// How far a revision is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Readiness {
    /// It is being made runnable.
    Preparing,
    /// It can run.
    Ready,
    /// It cannot, and why.
    Failed(Arc<str>),
}

/// A revision that is routed to, or is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) revision: Arc<Revision>,
    pub(crate) readiness: Readiness,
}

/// What of a function's metadata is kept: the rest is read from the store when it is
/// shown. Who owns which field alone would take more memory than all else.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Identity {
    #[serde(default)]
    pub(crate) uid: Uuid,
    #[serde(default)]
    pub(crate) generation: u64,
}

/// A declared function.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) metadata: Identity,
    /// The transaction that wrote it.
    pub(crate) store_revision: u64,
    pub(crate) spec: Arc<FunctionSpec>,
    /// The newest revision's name.
    pub(crate) latest: RevisionName,
    /// Revisions that are routed to or on their way, oldest first.
    pub(crate) known: LiteMap<RevisionName, Known>,
    pub(crate) rollout: Rollout,
    /// A digest of the route that the gateway was told: the same is not told twice.
    pub(crate) told: Option<u64>,
    /// When its rollout's phase last changed.
    pub(crate) since: Timestamp,
    /// Wakes the rollout; made when it first wants to be woken.
    pub(crate) wake: Option<Timer>,
}

/// Every declared function.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// Boxed: a tree's nodes are half empty when keys come in order.
    by_key: BTreeMap<FunctionKey, Box<Declared>>,
    /// How many hold an artifact: stored revisions, and declarations being written.
    artifacts: HashMap<String, u32>,
    last_numbers: HashMap<FunctionKey, u64>,
    deleted: VecDeque<FunctionKey>,
}

impl Functions {
    pub(crate) fn get(&self, key: &FunctionKey) -> Option<&Declared> {
        self.by_key.get(key).map(|declared| &**declared)
    }

    pub(crate) fn get_mut(&mut self, key: &FunctionKey) -> Option<&mut Declared> {
        self.by_key.get_mut(key).map(|declared| &mut **declared)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FunctionKey, &Declared)> {
        self.by_key.iter().map(|(key, declared)| (key, &**declared))
    }

    /// At most `most` keys after one, or from the first on.
    pub(crate) fn keys_after(&self, after: Option<&FunctionKey>, most: usize) -> Vec<FunctionKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.by_key.range((from, Bound::Unbounded)).map(|(key, _)| key);
        keys.take(most).cloned().collect()
    }

    /// Puts a function in place.
    pub(crate) fn insert(&mut self, key: FunctionKey, declared: Declared) {
        self.by_key.insert(key, Box::new(declared));
    }

    /// Takes a function out, and remembers its last revision's number.
    pub(crate) fn remove(&mut self, key: &FunctionKey) -> Option<Declared> {
        let declared = self.by_key.remove(key)?;
        let last = number_of(&declared.latest).unwrap_or(0);
        if self.last_numbers.insert(key.clone(), last).is_none() {
            self.deleted.push_back(key.clone());
        }
        if self.deleted.len() > DELETED_REMEMBERED_MAX
            && let Some(oldest) = self.deleted.pop_front()
        {
            self.last_numbers.remove(&oldest);
        }
        Some(*declared)
    }

    /// The number of the first revision of a function that is new under this name.
    pub(crate) fn first_revision(&self, key: &FunctionKey) -> u64 {
        self.last_numbers.get(key).map_or(1, |last| last + 1)
    }

    /// The revision called so, if its function routes to it.
    pub(crate) fn revision(&self, name: &RevisionName) -> Option<(&Declared, &Known)> {
        let declared = self.get(&function_of(name)?)?;
        Some((declared, declared.known.get(name)?))
    }

    pub(crate) fn hold_artifact(&mut self, digest: Option<&str>) {
        if let Some(digest) = digest {
            *self.artifacts.entry(digest.to_owned()).or_default() += 1;
        }
    }

    /// Returns the artifact if nobody holds it any more.
    pub(crate) fn release_artifact(&mut self, digest: Option<&str>) -> Option<String> {
        let digest = digest?;
        let held = self.artifacts.get_mut(digest)?;
        *held -= 1;
        (*held == 0).then(|| self.artifacts.remove_entry(digest).map(|(digest, _)| digest))?
    }

    pub(crate) fn is_artifact_used(&self, digest: &str) -> bool {
        self.artifacts.contains_key(digest)
    }

    /// Every artifact that somebody holds.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &String> {
        self.artifacts.keys()
    }
}

/// The number in a revision's name.
pub(crate) fn number_of(name: &RevisionName) -> Option<u64> {
    name.short().rsplit_once('-')?.1.parse().ok()
}

/// The function a revision belongs to, by its name.
fn function_of(name: &RevisionName) -> Option<FunctionKey> {
    let (function, _) = name.as_str().rsplit_once('-')?;
    let (namespace, name) = function.split_once('/')?;
    FunctionKey::new(namespace, name).ok()
}

#[cfg(test)]
impl Declared {
    /// One that nothing was done with.
    pub(crate) fn fake(key: &FunctionKey, latest: u64) -> Self {
        Declared {
            metadata: Identity::default(),
            store_revision: 1,
            spec: Arc::new(FunctionSpec::with_defaults()),
            latest: RevisionName::new(key, latest),
            known: LiteMap::new(),
            rollout: Rollout::new(),
            told: None,
            since: Timestamp::UNIX_EPOCH,
            wake: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_counted() {
        let mut functions = Functions::default();
        for _ in 0..2 {
            functions.hold_artifact(Some("sha256:a"));
        }
        assert_eq!(functions.release_artifact(Some("sha256:a")), None);
        assert!(functions.is_artifact_used("sha256:a"));
        assert_eq!(functions.release_artifact(Some("sha256:a")).as_deref(), Some("sha256:a"));
        assert_eq!(functions.release_artifact(None), None);
    }

    #[test]
    fn revisions_of_a_function_made_again_have_new_names() {
        let mut functions = Functions::default();
        let key = FunctionKey::new("default", "a").unwrap();
        assert_eq!(functions.first_revision(&key), 1);
        functions.insert(key.clone(), Declared::fake(&key, 3));
        functions.remove(&key);
        assert_eq!(functions.first_revision(&key), 4);
    }
}
