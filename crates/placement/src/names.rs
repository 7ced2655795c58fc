//! [`Names`]: text interned as small numbers, counted, so that a name nobody uses
//! any more gives its number back. A day of deploys must not leave a day of names.

use std::sync::Arc;

use foldhash::fast::FixedState;

type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// Interned names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    ids: Map<Arc<str>, u32>,
    held: Vec<(Arc<str>, u32)>,
    free: Vec<u32>,
}

impl Names {
    /// The number of a name, held once more.
    pub(crate) fn hold(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            self.held[id as usize].1 += 1;
            return id;
        }
        let shared: Arc<str> = name.into();
        let id = self.free.pop().unwrap_or(self.held.len() as u32);
        if id as usize == self.held.len() {
            self.held.push((Arc::clone(&shared), 1));
        } else {
            self.held[id as usize] = (Arc::clone(&shared), 1);
        }
        self.ids.insert(shared, id);
        id
    }

    /// Holds a number that is held once more.
    pub(crate) fn hold_again(&mut self, id: u32) {
        self.held[id as usize].1 += 1;
    }

    /// Holds a number once less. Whether it was the last hold.
    pub(crate) fn release(&mut self, id: u32) -> bool {
        let (name, holds) = &mut self.held[id as usize];
        *holds -= 1;
        if *holds > 0 {
            return false;
        }
        self.ids.remove(name);
        self.free.push(id);
        true
    }

    /// The number of a name that is held.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// How many names are held.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_back_after_its_last_hold() {
        let mut names = Names::default();
        let (a, b) = (names.hold("a"), names.hold("b"));
        assert_eq!(names.hold("a"), a);
        assert!(!names.release(a) && names.release(a));
        assert_eq!((names.find("a"), names.find("b"), names.len()), (None, Some(b), 1));
        assert_eq!(names.hold("c"), a);
    }
}
