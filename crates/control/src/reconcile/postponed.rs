//! What is looked at a little later, as it is likely to be over by then.

use std::collections::{HashSet, VecDeque};

use gapless_types::{FunctionKey, Time};

/// Functions that wait, each once, roughly in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Postponed {
    in_order: VecDeque<(Time, FunctionKey)>,
    waiting: HashSet<FunctionKey>,
}

impl Postponed {
    /// It waits until then, or as long as it does already.
    pub(super) fn put(&mut self, key: FunctionKey, until: Time) {
        if self.waiting.insert(key.clone()) {
            self.in_order.push_back((until, key));
        }
    }

    /// It was looked at.
    pub(super) fn forget(&mut self, key: &FunctionKey) {
        self.waiting.remove(key);
    }

    /// When the next one is due.
    pub(super) fn next(&mut self) -> Option<Time> {
        while let Some((due, key)) = self.in_order.front() {
            if self.waiting.contains(key) {
                return Some(*due);
            }
            self.in_order.pop_front();
        }
        None
    }

    /// Those that are due, all of them at the end.
    pub(super) fn take(&mut self, now: Time) -> Vec<FunctionKey> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            due.extend(self.in_order.pop_front().map(|(_, key)| key));
        }
        due.iter().for_each(|key| self.forget(key));
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_waits_once_and_not_after_it_was_looked_at() {
        let key = |name| FunctionKey::new("default", name).unwrap();
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let mut postponed = Postponed::default();
        postponed.put(key("a"), at(100));
        postponed.put(key("b"), at(110));
        postponed.put(key("a"), at(120));
        postponed.put(key("c"), at(130));
        assert!(postponed.take(at(99)).is_empty());
        postponed.forget(&key("b"));
        assert_eq!(postponed.take(at(110)), [key("a")]);
        assert_eq!(postponed.next(), Some(at(130)));
        postponed.put(key("b"), at(200));
        assert_eq!(postponed.take(Time::NEVER), [key("c"), key("b")]);
        assert_eq!(postponed.next(), None);
    }
}
