//! Stores a function's status: its conditions, its traffic, the course of its rollout.
//! Not its counts of instances: nothing is stored when one starts. And not at once that
//! a revision is being tried, which mostly takes milliseconds: what is shown is what is
//! observed, whatever is stored.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use gapless_declared::ObjectKey;
use gapless_types::{FunctionKey, Time};
use serde_json::Value;

use super::postponed::Postponed;
use super::{AGAIN_AFTER, EVERY};
use crate::Control;
use crate::functions::Functions;
use crate::kinds::FUNCTIONS;

/// Functions that are looked at in one go.
const BATCH_MAX: usize = 64;
/// Functions that are looked at without a mark, each time: all of them in so many turns
/// as there are thousands, for some milliseconds a minute.
const PASS_MAX: usize = 1_000;
/// How long a revision may be tried before that is stored.
const TRIED_FOR: Duration = Duration::from_millis(100);
/// Counts, which are shown and not stored.
const COUNTS: &[&str] = &["readyInstances", "startingInstances", "coldShare", "queued"];

/// Stores what is marked until the platform ends, and then what is left.
pub(crate) async fn settle_statuses(control: &Arc<Control>) {
    let (marks, clock) = (&control.reconcilers.status, *control.clock());
    let shutdown = control.shutdown();
    let mut pass = Pass::begin(clock.now());
    let mut postponed = Postponed::default();
    loop {
        let is_ending = shutdown.has_begun();
        let until = if is_ending { Time::NEVER } else { clock.now() };
        postponed.take(until).iter().for_each(|key| marks.mark(key));
        if marks.is_empty() && is_ending {
            return;
        }
        if marks.is_empty() {
            let due = postponed.next().map_or(pass.due, |due| due.min(pass.due));
            let left = due.since(clock.now());
            tokio::select! {
                _ = clock.timeout(left, marks.rung()) => {}
                () = shutdown.begun() => continue,
            }
        }
        let due = pass.take(clock.now(), &control.functions().lock());
        due.iter().for_each(|key| marks.mark(key));
        let mut keys = marks.take(BATCH_MAX);
        if !is_ending {
            keys.retain(|key| !postpone(control, key, &mut postponed));
        }
        let failed = settle_all(control, keys).await;
        if failed.is_empty() {
            continue;
        }
        if is_ending {
            return;
        }
        failed.iter().for_each(|key| marks.mark(key));
        let mut at = clock.now();
        at += AGAIN_AFTER;
        tokio::select! {
            () = clock.sleep_until(at) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// Whether a function's status is stored a little later, since a revision of it has just
/// begun to be tried.
fn postpone(control: &Control, key: &FunctionKey, postponed: &mut Postponed) -> bool {
    let tried_since = {
        let functions = control.functions().lock();
        functions.get(key).and_then(|declared| declared.rollout.tried_since())
    };
    match tried_since.map(|since| since + TRIED_FOR).filter(|until| *until > control.clock().now())
    {
        Some(until) => postponed.put(key.clone(), until),
        None => {
            postponed.forget(key);
            return false;
        }
    }
    true
}

/// Stores statuses; they share fsyncs. Those for which that failed.
async fn settle_all(control: &Arc<Control>, keys: Vec<FunctionKey>) -> Vec<FunctionKey> {
    let settled = stream::iter(keys).map(|key| settle(control, key));
    settled.buffer_unordered(BATCH_MAX).filter_map(std::future::ready).collect().await
}

/// Looking at every function now and then, some at a time, so that a lost mark is no loss.
#[derive(Debug)]
struct Pass {
    due: Time,
    /// The last one that was looked at; the first is next without one.
    last: Option<FunctionKey>,
}

impl Pass {
    fn begin(now: Time) -> Self {
        Pass { due: now + EVERY, last: None }
    }

    /// Those whose turn it is.
    fn take(&mut self, now: Time, functions: &Functions) -> Vec<FunctionKey> {
        if now < self.due {
            return Vec::new();
        }
        self.due = now + EVERY;
        let keys = functions.keys_after(self.last.as_ref(), PASS_MAX);
        // Less than asked for: the next turn begins again.
        self.last = keys.last().filter(|_| keys.len() == PASS_MAX).cloned();
        keys
    }
}

/// Stores one function's status. Returns its key if that failed.
async fn settle(control: &Arc<Control>, key: FunctionKey) -> Option<FunctionKey> {
    let functions = control.resource(&FUNCTIONS)?;
    let object = ObjectKey::new(key.namespace(), key.name());
    let settled = control.objects().settle(&functions, &object, |object| {
        let Some((status, course)) = control.to_store(&key, &object["status"]) else {
            return false;
        };
        // What was declared meanwhile is settled when it has taken effect.
        let newer = object.pointer("/status/latestCreatedRevision");
        if newer.is_some_and(|newer| *newer != status["latestCreatedRevision"]) {
            return false;
        }
        if object["status"] == status && object["course"] == course {
            return false;
        }
        (object["status"], object["course"]) = (status, course);
        true
    });
    match settled.await {
        Ok(_) => None,
        Err(refusal) => {
            let why = &refusal.status().message;
            tracing::warn!(function = %key, why, "cannot store a status");
            Some(key)
        }
    }
}

impl Control {
    /// A function's status and the course of its rollout, as they are stored.
    fn to_store(&self, key: &FunctionKey, stored: &Value) -> Option<(Value, Value)> {
        let course = {
            let functions = self.functions().lock();
            serde_json::to_value(&functions.get(key)?.rollout).ok()?
        };
        let mut status = serde_json::to_value(self.status_of(key, stored)?).ok()?;
        if let Some(fields) = status.as_object_mut() {
            COUNTS.iter().for_each(|count| {
                fields.remove(*count);
            });
        }
        Some((status, course))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Declared;

    #[test]
    fn every_function_has_its_turn() {
        let mut functions = Functions::default();
        let count = PASS_MAX + 10;
        for n in 0..count {
            let key = FunctionKey::new("default", &format!("f{n:05}")).unwrap();
            functions.insert(key.clone(), Declared::fake(&key, 1));
        }
        let mut now = Time::ZERO;
        let mut pass = Pass::begin(now);
        assert!(pass.take(now, &functions).is_empty(), "it is not due");
        let mut sizes = Vec::new();
        for _ in 0..3 {
            now += EVERY;
            sizes.push(pass.take(now, &functions).len());
            assert!(pass.take(now, &functions).is_empty());
        }
        assert_eq!(sizes, [PASS_MAX, 10, PASS_MAX]);
    }
}
