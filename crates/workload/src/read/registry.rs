//! The functions of a trace by the columns that identify them.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use sha2::{Digest, Sha256};

use crate::error::{Kind, TraceError};
use crate::function::{FUNCTIONS_MAX, FunctionProfile, Trigger};
use crate::read::ReadOptions;

/// How many characters of a long hash a name keeps.
const NAME_PART_CHARS: usize = 12;

/// The identity of a function, an application or an owner: a digest, so that millions
/// of triples of 64-character hashes fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.finalize()[..16]);
        Key(key)
    }
}

/// Functions, each once, in the order in which they were first seen.
#[derive(Default)]
pub(crate) struct Registry {
    by_key: HashMap<Key, u32, FixedState>,
    names: HashSet<Key, FixedState>,
}

impl Registry {
    /// The function of `key`, if it was seen.
    pub(crate) fn get(&self, key: Key) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// The function of `key` in `file`; new ones are added to `functions` under `name`.
    pub(crate) fn get_or_add(
        &mut self,
        file: &str,
        key: Key,
        name: impl FnOnce() -> String,
        functions: &mut Vec<FunctionProfile>,
        options: &ReadOptions,
    ) -> Result<u32, TraceError> {
        if let Some(function) = self.get(key) {
            return Ok(function);
        }
        if functions.len() >= FUNCTIONS_MAX {
            let found = format!("more than {FUNCTIONS_MAX} functions");
            return Err(TraceError::new(file, Kind::TooLarge, found, "fewer"));
        }
        let function = functions.len() as u32;
        functions.push(FunctionProfile {
            name: self.unique(name(), function),
            memory: options.memory_default,
            service: options.service_default.clone(),
            trigger: Trigger::Unknown,
            invocations: None,
        });
        self.by_key.insert(key, function);
        Ok(function)
    }

    /// `name`, or `name` with the function's number as often as another has it already.
    fn unique(&mut self, name: String, function: u32) -> String {
        let mut name = name;
        // Ends: each turn makes the name longer, and names are finitely many.
        while !self.names.insert(Key::of([name.as_bytes()])) {
            name = format!("{name}-{function}");
        }
        name
    }
}

/// A name from hashes: enough of each to recognise it.
pub(crate) fn short_name(parts: &[&[u8]]) -> String {
    let part = |bytes: &&[u8]| -> String {
        String::from_utf8_lossy(bytes).chars().take(NAME_PART_CHARS).collect()
    };
    parts.iter().map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_run_into_each_other_and_names_stay_unique() {
        assert_ne!(Key::of([&b"ab"[..], b"c"]), Key::of([&b"a"[..], b"bc"]));
        let (mut registry, mut functions) = (Registry::default(), Vec::new());
        let options = ReadOptions::default();
        for (key, name) in [("a", "same-2"), ("b", "same"), ("c", "same"), ("a", "other")] {
            let key = Key::of([key.as_bytes()]);
            registry.get_or_add("f", key, || name.to_owned(), &mut functions, &options).unwrap();
        }
        let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["same-2", "same", "same-2-2"]);
    }
}
