//! Which host and path is which function.
//!
//! Functions are found by `NAME.NAMESPACE`, the two labels before `localhost` or
//! the two segments behind `/fn` (there as `/fn/NAMESPACE/NAME`), so that one
//! lookup serves both; in front of the name there may be a tag (`TAG---NAME`). Lookups
//! allocate nothing, save for a tag, and take no lock; writers replace one entry.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use gapless_proto::{FunctionRoute, RouteReadiness, RouteTag, RouteTarget};
use gapless_types::{FunctionKey, Percent, Revision, RevisionName, TAG_SEPARATOR};
use papaya::HashMap;
use parking_lot::Mutex;

use crate::queue::Queue;
use crate::split::Split;

/// What the platform's own host names end in (RFC 6761, section 6.3).
const OWN_SUFFIX: &str = ".localhost";
/// What path routes begin with.
const PATH_PREFIX: &str = "/fn/";
/// Two DNS labels and a dot.
const KEY_LEN_MAX: usize = 127;

/// A function's route.
#[derive(Debug)]
pub(crate) struct Route {
    current: ArcSwap<Current>,
    /// Numbers the requests without a tag. It goes on over changes of the route, so that
    /// a route stated often gives nobody more than its share.
    requests: AtomicU64,
    is_removed: AtomicBool,
}

/// Where a route leads now.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) targets: Box<[Target]>,
    /// Over those that can run, or else those that are being prepared, or else those
    /// that cannot.
    split: Split,
    /// Each with its target.
    tags: Box<[(Arc<str>, usize)]>,
    /// Hosts of the function's own.
    hosts: Vec<Box<str>>,
}

/// A revision a route leads to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) revision: Arc<Revision>,
    pub(crate) readiness: RouteReadiness,
    pub(crate) entry: Arc<Entry>,
}

impl Current {
    fn new(targets: Vec<(RouteTarget, Arc<Entry>)>, tags: Vec<RouteTag>) -> Self {
        let is_weighted = |(target, _): &&(RouteTarget, _)| target.weight > Percent::ZERO;
        let weighted = || targets.iter().filter(is_weighted).map(|(target, _)| target);
        let best = weighted().map(|target| rank(&target.readiness)).min();
        let weight = |(target, _): &(RouteTarget, _)| match Some(rank(&target.readiness)) == best {
            true => target.weight,
            false => Percent::ZERO,
        };
        let split = Split::new(&targets.iter().map(weight).collect::<Vec<_>>());
        let mut hosts: Vec<_> = weighted().filter_map(|target| host_of(&target.revision)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let find = |RouteTag { tag, revision }| {
            let is_its = |(target, _): &(RouteTarget, _)| target.revision.name == revision;
            Some((tag, targets.iter().position(is_its)?))
        };
        let tags = tags.into_iter().filter_map(find).collect();
        let targets = targets.into_iter().map(|(target, entry)| {
            let RouteTarget { revision, readiness, .. } = target;
            Target { revision, readiness, entry }
        });
        Current { targets: targets.collect(), split, tags, hosts }
    }

    /// The target of a tag.
    fn tagged(&self, tag: &str) -> Option<usize> {
        self.tags.iter().find(|(name, _)| **name == *tag).map(|(_, target)| *target)
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|(tag, _)| &**tag)
    }

    fn has(&self, name: &RevisionName) -> bool {
        self.targets.iter().any(|target| target.revision.name == *name)
    }
}

/// Who is preferred: the less, the better.
fn rank(readiness: &RouteReadiness) -> u8 {
    match readiness {
        RouteReadiness::Ready => 0,
        RouteReadiness::Preparing => 1,
        RouteReadiness::Failed(_) => 2,
    }
}

/// A revision's queue, made when it is first needed: a function nobody calls
/// costs no more than its route.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    queue: OnceLock<Arc<Queue>>,
    is_closed: AtomicBool,
}

impl Entry {
    pub(crate) fn queue(&self, make: impl FnOnce() -> Arc<Queue>) -> &Arc<Queue> {
        if let Some(queue) = self.queue.get() {
            return queue;
        }
        let queue = self.queue.get_or_init(make);
        // Whoever closes looks for a queue after saying so, and we look here
        // after making one: one of us sees the other.
        if self.is_closed.load(Ordering::SeqCst) {
            queue.close();
        }
        queue
    }

    /// The revision takes nothing new.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        if let Some(queue) = self.queue.get() {
            queue.close();
        }
    }

    /// The revision takes new requests again.
    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
        if let Some(queue) = self.queue.get() {
            queue.open();
        }
    }

    /// It is about to be opened: it must not be forgotten.
    fn reserve(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }

    /// Whether it takes nothing new and nothing of it is left.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
            && self.queue.get().is_none_or(|queue| queue.is_finished())
    }

    pub(crate) fn existing(&self) -> Option<&Arc<Queue>> {
        self.queue.get()
    }
}

impl Route {
    /// Where a request goes: to its tag's revision, or by weight. `None` when it has a
    /// tag that leads nowhere, or when nothing has any weight.
    pub(crate) fn choose(&self, tag: Option<&str>) -> (Arc<Current>, Option<usize>) {
        let current = self.current.load_full();
        let target = match tag {
            Some(tag) => current.tagged(tag),
            None => current.split.target(|| self.requests.fetch_add(1, Ordering::Relaxed)),
        };
        (current, target)
    }

    /// Whether the function is no more.
    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::SeqCst)
    }
}

/// Where a request is to go.
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    /// The tag it named.
    pub(crate) tag: Option<Box<str>>,
    /// How much of the path named the function.
    pub(crate) prefix_len: usize,
}

/// A revision no longer named, and what it was routed to.
pub(crate) type Dropped = (RevisionName, Arc<Entry>);

/// The routing table.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: HashMap<Box<str>, Arc<Route>>,
    by_host: HashMap<Box<str>, Arc<Route>>,
    /// Revisions that are routed to and those that still finish something.
    revisions: HashMap<RevisionName, (Arc<Revision>, Arc<Entry>)>,
    /// Held while `revisions` changes, so that none is forgotten while it is taken up
    /// again. Never while a link is called, nor by a request.
    changing: Mutex<()>,
}

impl Routes {
    /// The function a request is for, by host first, then by path.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Found> {
        let host = without_port(host);
        if let Some(own) = strip_suffix_ignore_case(host, OWN_SUFFIX)
            && let Some((route, tag)) = with_lower_case(own, |key| self.named(key)).flatten()
        {
            return Some(Found { route, tag, prefix_len: 0 });
        }
        if !self.by_host.is_empty()
            && let Some(route) = with_lower_case(host, |key| get(&self.by_host, key)).flatten()
        {
            return Some(Found { route, tag: None, prefix_len: 0 });
        }
        self.find_by_path(path)
    }

    fn find_by_path(&self, path: &str) -> Option<Found> {
        let rest = path.strip_prefix(PATH_PREFIX)?;
        let (namespace, rest) = rest.split_once('/')?;
        let name = rest.split('/').next().unwrap_or_default();
        let mut buffer = [0u8; KEY_LEN_MAX];
        let key = joined(&mut buffer, name, namespace)?;
        let (route, tag) = self.named(key)?;
        let prefix_len = PATH_PREFIX.len() + namespace.len() + 1 + name.len();
        Some(Found { route, tag, prefix_len })
    }

    /// The function called `NAME.NAMESPACE`, or `TAG---NAME.NAMESPACE`. No function's
    /// name contains what stands behind a tag.
    fn named(&self, key: &str) -> Option<(Arc<Route>, Option<Box<str>>)> {
        if let Some(route) = get(&self.by_name, key) {
            return Some((route, None));
        }
        let (label, _) = key.split_once('.')?;
        let at = label.rfind(TAG_SEPARATOR)?;
        let route = get(&self.by_name, &key[at + TAG_SEPARATOR.len()..])?;
        Some((route, Some(key[..at].into())))
    }

    /// A revision is to be routed to: it takes requests, again if it did before. It does
    /// so before a route leads to it, so that nobody is refused in between.
    fn take_up(&self, revision: &Arc<Revision>) -> Arc<Entry> {
        let entry = {
            let _changing = self.changing.lock();
            let revisions = self.revisions.pin();
            let entry = match revisions.get(&revision.name) {
                Some((_, entry)) => entry.clone(),
                None => Arc::new(Entry::default()),
            };
            entry.reserve();
            revisions.insert(revision.name.clone(), (revision.clone(), entry.clone()));
            entry
        };
        entry.open();
        entry
    }

    /// States a function's route. Returns the revisions it no longer names.
    pub(crate) fn set(&self, stated: FunctionRoute) -> Vec<Dropped> {
        let FunctionRoute { function, targets, tags } = stated;
        let take_up = |target: RouteTarget| {
            let entry = self.take_up(&target.revision);
            (target, entry)
        };
        let current = Arc::new(Current::new(targets.into_iter().map(take_up).collect(), tags));
        let table_key = table_key(&function);
        let Some(route) = get(&self.by_name, &table_key) else {
            let route = Arc::new(Route {
                current: ArcSwap::new(current.clone()),
                requests: AtomicU64::new(0),
                is_removed: AtomicBool::new(false),
            });
            for host in &current.hosts {
                self.by_host.pin().insert(host.clone(), route.clone());
            }
            self.by_name.pin().insert(table_key.into(), route);
            return Vec::new();
        };
        let replaced = route.current.swap(current.clone());
        for host in replaced.hosts.iter().filter(|host| !current.hosts.contains(host)) {
            self.give_up_host(host, &route);
        }
        for host in current.hosts.iter().filter(|host| !replaced.hosts.contains(host)) {
            self.by_host.pin().insert(host.clone(), route.clone());
        }
        dropped(&replaced, |name| !current.has(name))
    }

    /// The function is no more. Returns the revisions it was routed to.
    pub(crate) fn remove(&self, function: &FunctionKey) -> Vec<Dropped> {
        let table_key = table_key(function);
        let Some(route) = get(&self.by_name, &table_key) else { return Vec::new() };
        route.is_removed.store(true, Ordering::SeqCst);
        self.by_name.pin().remove(table_key.as_str());
        let current = route.current.load_full();
        for host in &current.hosts {
            self.give_up_host(host, &route);
        }
        dropped(&current, |_| true)
    }

    /// Takes a host from `route`, unless another function has claimed it since.
    fn give_up_host(&self, host: &str, route: &Arc<Route>) {
        let is_its_own = |owner: &Arc<Route>| Arc::ptr_eq(owner, route);
        let _ = self.by_host.pin().remove_if(host, |_, owner| is_its_own(owner));
    }

    /// A revision that is current or still finishes something.
    pub(crate) fn revision(&self, name: &RevisionName) -> Option<(Arc<Revision>, Arc<Entry>)> {
        self.revisions.pin().get(name).cloned()
    }

    /// Every queue there is, of revisions that are current or still finish something.
    pub(crate) fn queues(&self) -> Vec<Arc<Queue>> {
        let revisions = self.revisions.pin();
        revisions.values().filter_map(|(_, entry)| entry.existing().cloned()).collect()
    }

    /// Whether a route leads to a revision.
    fn is_routed(&self, name: &RevisionName) -> bool {
        let Some((revision, _)) = self.revision(name) else {
            return false;
        };
        get(&self.by_name, &table_key(&revision.function))
            .is_some_and(|route| route.current.load().has(name))
    }

    /// Forgets a revision that no route leads to and of which nothing is left.
    pub(crate) fn forget_if_finished(&self, name: &RevisionName) {
        let _changing = self.changing.lock();
        let is_finished = self.revision(name).is_some_and(|(_, entry)| entry.is_finished());
        if is_finished && !self.is_routed(name) {
            self.revisions.pin().remove(name);
        }
    }
}

/// The targets of a route that `is_dropped` picks.
fn dropped(route: &Current, is_dropped: impl Fn(&RevisionName) -> bool) -> Vec<Dropped> {
    let targets = route.targets.iter().filter(|target| is_dropped(&target.revision.name));
    targets.map(|target| (target.revision.name.clone(), target.entry.clone())).collect()
}

fn get(map: &HashMap<Box<str>, Arc<Route>>, key: &str) -> Option<Arc<Route>> {
    map.pin().get(key).cloned()
}

fn table_key(function: &FunctionKey) -> String {
    format!("{}.{}", function.name(), function.namespace())
}

fn host_of(revision: &Revision) -> Option<Box<str>> {
    let route = revision.spec.access.route.as_ref()?;
    Some(route.host.to_ascii_lowercase().into())
}

/// A host without its port. An IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn strip_suffix_ignore_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = text.split_at_checked(at)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

/// Calls `then` with `text` in lower case, without allocating. `None` when it
/// is longer than any name can be.
fn with_lower_case<T>(text: &str, then: impl FnOnce(&str) -> T) -> Option<T> {
    // A DNS name has at most 253 characters (RFC 1035, section 2.3.4).
    let mut buffer = [0u8; 253];
    let lower = buffer.get_mut(..text.len())?;
    lower.copy_from_slice(text.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok().map(then)
}

fn joined<'a>(buffer: &'a mut [u8; KEY_LEN_MAX], name: &str, namespace: &str) -> Option<&'a str> {
    let len = name.len() + 1 + namespace.len();
    let key = buffer.get_mut(..len)?;
    key[..name.len()].copy_from_slice(name.as_bytes());
    key[name.len()] = b'.';
    key[name.len() + 1..].copy_from_slice(namespace.as_bytes());
    std::str::from_utf8(key).ok()
}

#[cfg(test)]
mod tests;
