//! Which host and path is which function.
//!
//! Functions are found by `NAME.NAMESPACE`, the two labels before `localhost` or
//! the two segments behind `/fn` (there as `/fn/NAMESPACE/NAME`), so that one
//! lookup serves both. Lookups allocate nothing and take no lock; writers replace
//! one entry.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use gapless_proto::{FunctionRoute, RouteReadiness};
use gapless_types::{FunctionKey, Revision, RevisionName};
use papaya::HashMap;

use crate::queue::Queue;

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
}

/// Where a route leads now.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) revision: Arc<Revision>,
    pub(crate) readiness: RouteReadiness,
    pub(crate) entry: Arc<Entry>,
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

    pub(crate) fn existing(&self) -> Option<&Arc<Queue>> {
        self.queue.get()
    }
}

impl Route {
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }
}

/// Where a request is to go.
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    /// How much of the path named the function.
    pub(crate) prefix_len: usize,
}

/// The routing table.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: HashMap<Box<str>, Arc<Route>>,
    by_host: HashMap<Box<str>, Arc<Route>>,
    /// Current revisions and those that still finish something.
    revisions: HashMap<RevisionName, (Arc<Revision>, Arc<Entry>)>,
}

impl Routes {
    /// The function a request is for, by host first, then by path.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Found> {
        let host = without_port(host);
        if let Some(own) = strip_suffix_ignore_case(host, OWN_SUFFIX) {
            let route = with_lower_case(own, |key| get(&self.by_name, key));
            if let Some(route) = route.flatten() {
                return Some(Found { route, prefix_len: 0 });
            }
        }
        if !self.by_host.is_empty()
            && let Some(route) = with_lower_case(host, |key| get(&self.by_host, key)).flatten()
        {
            return Some(Found { route, prefix_len: 0 });
        }
        self.find_by_path(path)
    }

    fn find_by_path(&self, path: &str) -> Option<Found> {
        let rest = path.strip_prefix(PATH_PREFIX)?;
        let (namespace, rest) = rest.split_once('/')?;
        let name = rest.split('/').next().unwrap_or_default();
        let mut buffer = [0u8; KEY_LEN_MAX];
        let key = joined(&mut buffer, name, namespace)?;
        let route = get(&self.by_name, key)?;
        let prefix_len = PATH_PREFIX.len() + namespace.len() + 1 + name.len();
        Some(Found { route, prefix_len })
    }

    /// States a function's route. Returns the entry of the revision it replaced.
    pub(crate) fn set(&self, stated: FunctionRoute) -> Option<(RevisionName, Arc<Entry>)> {
        let FunctionRoute { revision, readiness } = stated;
        let name = revision.name.clone();
        let table_key = table_key(&revision.function);
        let former = get(&self.by_name, &table_key);
        let entry = match self.revisions.pin().get(&name) {
            Some((_, entry)) => entry.clone(),
            None => Arc::new(Entry::default()),
        };
        self.revisions.pin().insert(name.clone(), (revision.clone(), entry.clone()));
        let current = Arc::new(Current { revision, readiness, entry });
        let Some(route) = former else {
            let host = host_of(&current.revision);
            let route = Arc::new(Route { current: ArcSwap::new(current) });
            if let Some(host) = host {
                self.by_host.pin().insert(host, route.clone());
            }
            self.by_name.pin().insert(table_key.into(), route);
            return None;
        };
        let host = host_of(&current.revision);
        let replaced = route.current.swap(current);
        let former_host = host_of(&replaced.revision);
        if former_host != host {
            if let Some(former_host) = former_host {
                self.give_up_host(&former_host, &route);
            }
            if let Some(host) = host {
                self.by_host.pin().insert(host, route.clone());
            }
        }
        let former_name = replaced.revision.name.clone();
        (former_name != name).then(|| (former_name, replaced.entry.clone()))
    }

    /// The function is no more. Returns its revision's entry.
    pub(crate) fn remove(&self, function: &FunctionKey) -> Option<(RevisionName, Arc<Entry>)> {
        let table_key = table_key(function);
        let route = get(&self.by_name, &table_key)?;
        self.by_name.pin().remove(table_key.as_str());
        let current = route.current();
        if let Some(host) = host_of(&current.revision) {
            self.give_up_host(&host, &route);
        }
        Some((current.revision.name.clone(), current.entry.clone()))
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

    /// Whether a revision takes its function's new requests.
    pub(crate) fn is_current(&self, name: &RevisionName) -> bool {
        let Some((revision, _)) = self.revision(name) else {
            return false;
        };
        get(&self.by_name, &table_key(&revision.function))
            .is_some_and(|route| route.current().revision.name == *name)
    }

    /// Forgets a revision that is finished.
    pub(crate) fn forget(&self, name: &RevisionName) {
        self.revisions.pin().remove(name);
    }
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
mod tests {
    use super::*;
    use gapless_types::{FunctionSpec, Route as OwnRoute};

    fn route(namespace: &str, name: &str, generation: u64, host: Option<&str>) -> FunctionRoute {
        let function = FunctionKey::new(namespace, name).unwrap();
        let mut spec = FunctionSpec::with_defaults();
        spec.access.route = host.map(|host| OwnRoute { host: host.into(), path: "/".into() });
        let revision = Revision { name: RevisionName::new(&function, generation), function, spec };
        FunctionRoute { revision: Arc::new(revision), readiness: RouteReadiness::Ready }
    }

    fn found(routes: &Routes, host: &str, path: &str) -> Option<(String, usize)> {
        let found = routes.find(host, path)?;
        Some((found.route.current().revision.function.to_string(), found.prefix_len))
    }

    #[test]
    fn functions_answer_to_host_path_and_their_own_host() {
        let routes = Routes::default();
        routes.set(route("default", "hello", 1, None));
        routes.set(route("shop", "cart", 1, Some("Cart.Example.com")));
        let hello = Some(("default/hello".to_owned(), 0));
        assert_eq!(found(&routes, "hello.default.localhost:8080", "/"), hello);
        assert_eq!(found(&routes, "HELLO.Default.LOCALHOST", "/x"), hello);
        let by_path = Some(("default/hello".to_owned(), 17));
        assert_eq!(found(&routes, "127.0.0.1:8080", "/fn/default/hello"), by_path);
        assert_eq!(found(&routes, "127.0.0.1:8080", "/fn/default/hello/a/b"), by_path);
        assert_eq!(found(&routes, "[::1]:8080", "/fn/default/hello/"), by_path);
        let cart = Some(("shop/cart".to_owned(), 0));
        assert_eq!(found(&routes, "cart.example.com:80", "/"), cart);
    }

    #[test]
    fn nothing_else_answers() {
        let routes = Routes::default();
        routes.set(route("default", "hello", 1, None));
        for (host, path) in [
            ("other.default.localhost", "/"),
            ("hello.localhost", "/"),
            ("localhost", "/"),
            ("example.com", "/"),
            ("localhost", "/fn/default"),
            ("localhost", "/fn/default/helloo"),
            ("localhost", "/fn//hello"),
            ("", "/"),
        ] {
            assert_eq!(found(&routes, host, path), None, "{host} {path}");
        }
        let long = "x".repeat(4000);
        assert_eq!(found(&routes, &long, &format!("/fn/{long}/{long}")), None);
    }

    #[test]
    fn another_revision_replaces_the_former_and_moves_the_host() {
        let routes = Routes::default();
        assert!(routes.set(route("default", "a", 1, Some("one.example"))).is_none());
        assert!(routes.set(route("default", "a", 1, Some("one.example"))).is_none(), "again");
        let (former, _) = routes.set(route("default", "a", 2, Some("two.example"))).unwrap();
        assert_eq!(former.short(), "a-00001");
        assert_eq!(found(&routes, "one.example", "/"), None);
        assert!(found(&routes, "two.example", "/").is_some());
        let key = FunctionKey::new("default", "a").unwrap();
        assert_eq!(routes.remove(&key).unwrap().0.short(), "a-00002");
        assert_eq!(found(&routes, "two.example", "/"), None);
        assert!(routes.remove(&key).is_none());
    }
}
