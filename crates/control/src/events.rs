//! What happened, for people: Kubernetes-style events, in memory.
//!
//! The same thing happening to the same object again is one event with a higher count.
//! The oldest go when there are too many, and after an hour (as in Kubernetes).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use gapless_declared::{Feed, ObjectKey};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Events at the most.
const EVENTS_MAX: usize = 10_000;
/// How long one is kept after it last happened.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// To which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Involved {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) involved: Involved,
    /// Whether somebody should look.
    pub(crate) is_warning: bool,
    /// One word for machines, such as `RevisionReady`.
    pub(crate) reason: &'static str,
    /// A sentence for people.
    pub(crate) message: String,
}

/// The events.
#[derive(Debug)]
pub(crate) struct EventLog {
    feed: Arc<Feed>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: BTreeMap<ObjectKey, Event>,
    /// Which event counts the same thing again.
    by_what: HashMap<(Involved, &'static str, String), ObjectKey>,
    /// Keys in the order in which they were made.
    order: VecDeque<ObjectKey>,
    made: u64,
}

#[derive(Clone, Debug)]
struct Event {
    happened: Happened,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    uid: String,
}

impl EventLog {
    /// Nothing has happened yet.
    pub(crate) fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(EventLog { feed: Arc::new(Feed::new(now)), kept: Mutex::default() })
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Something happened.
    pub(crate) fn record(&self, happened: Happened, now: Timestamp) {
        let involved = happened.involved.clone();
        let what = (involved.clone(), happened.reason, happened.message.clone());
        let (key, is_new, gone) = {
            let mut kept = self.kept.lock();
            let gone = kept.expire(now);
            let known = kept.by_what.get(&what).cloned();
            match known.and_then(|key| kept.by_key.get_mut(&key).map(|event| (key, event))) {
                Some((key, event)) => {
                    (event.last, event.count) = (now, event.count + 1);
                    (key, false, gone)
                }
                None => {
                    kept.made += 1;
                    let stamp = now.as_microsecond();
                    let name = format!("{}.{stamp:x}{:04x}", involved.name, kept.made & 0xffff);
                    let key = ObjectKey::new(namespace_of(&involved), name);
                    let uid = uuid::Uuid::new_v4().to_string();
                    let event = Event { happened, first: now, last: now, count: 1, uid };
                    kept.by_key.insert(key.clone(), event);
                    kept.by_what.insert(what, key.clone());
                    kept.order.push_back(key.clone());
                    (key, true, gone)
                }
            }
        };
        for (key, event) in gone {
            self.feed.tell(false, || (key.clone(), Some(object(&key, &event))));
        }
        self.feed.tell(is_new, || (key, None));
    }

    /// One event.
    pub(crate) fn find(&self, key: &ObjectKey) -> Option<Value> {
        self.kept.lock().by_key.get(key).map(|event| object(key, event))
    }

    /// The events of a namespace or all, in order of their keys.
    pub(crate) fn all(&self, namespace: Option<&str>) -> Vec<Value> {
        let kept = self.kept.lock();
        let meant = kept
            .by_key
            .iter()
            .filter(|(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted));
        meant.map(|(key, event)| object(key, event)).collect()
    }
}

impl Kept {
    /// Takes out what is too old or too much.
    fn expire(&mut self, now: Timestamp) -> Vec<(ObjectKey, Event)> {
        let mut gone = Vec::new();
        while let Some(key) = self.order.front() {
            let is_over = self.order.len() >= EVENTS_MAX;
            let is_old =
                self.by_key.get(key).is_none_or(|event| now.duration_since(event.last) > KEPT_FOR);
            if !is_over && !is_old {
                break;
            }
            let Some(key) = self.order.pop_front() else { break };
            let Some(event) = self.by_key.remove(&key) else { continue };
            let happened = &event.happened;
            let what = (happened.involved.clone(), happened.reason, happened.message.clone());
            self.by_what.remove(&what);
            gone.push((key, event));
        }
        gone
    }
}

/// Where the event of an object is: beside it, or in `default` if it is in no namespace.
fn namespace_of(involved: &Involved) -> String {
    match involved.namespace.as_str() {
        "" => "default".to_owned(),
        namespace => namespace.to_owned(),
    }
}

fn object(key: &ObjectKey, event: &Event) -> Value {
    let Event { happened, first, last, count, uid } = event;
    let Involved { api_version, kind, namespace, name, uid: of } = &happened.involved;
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": key.name, "namespace": key.namespace, "uid": uid,
            "creationTimestamp": format!("{first:.0}"),
        },
        "involvedObject": {
            "apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name,
            "uid": of,
        },
        "type": if happened.is_warning { "Warning" } else { "Normal" },
        "reason": happened.reason,
        "message": happened.message,
        "source": { "component": "gapless" },
        "reportingComponent": "gapless",
        "reportingInstance": "",
        "firstTimestamp": format!("{first:.0}"),
        "lastTimestamp": format!("{last:.0}"),
        "count": count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(name: &str, message: &str) -> Happened {
        let involved = Involved {
            api_version: "gapless.dev/v1",
            kind: "Function",
            namespace: "a".to_owned(),
            name: name.to_owned(),
            uid: "u".to_owned(),
        };
        Happened { involved, is_warning: false, reason: "Tested", message: message.to_owned() }
    }

    #[test]
    fn the_same_again_is_counted_and_what_is_old_goes() {
        let begun: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let log = EventLog::new(begun);
        log.record(happened("f", "one"), begun);
        log.record(happened("f", "one"), begun + SignedDuration::from_mins(30));
        log.record(happened("g", "two"), begun + SignedDuration::from_mins(31));
        let all = log.all(Some("a"));
        assert_eq!(all.len(), 2);
        assert_eq!((&all[0]["count"], &all[0]["message"]), (&json!(2), &json!("one")));
        assert!(log.all(Some("b")).is_empty());
        log.record(happened("h", "three"), begun + SignedDuration::from_mins(92));
        let names: Vec<Value> =
            log.all(None).iter().map(|event| event["involvedObject"]["name"].clone()).collect();
        assert_eq!(names, ["h"]);
    }

    #[test]
    fn there_are_never_too_many() {
        let begun: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let log = EventLog::new(begun);
        for n in 0..EVENTS_MAX + 10 {
            log.record(happened("f", &n.to_string()), begun);
        }
        let shown = log.all(None).len();
        assert!(shown <= EVENTS_MAX);
        assert_eq!(log.kept.lock().by_what.len(), shown);
    }
}
