//! The modules kept in memory, by digest, within a budget: the least recently
//! used that nobody runs goes first. A module in use is not dropped, because that
//! would free nothing; it can make the set larger than its budget.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::artifact::Digest;
use crate::module::Module;

/// The set.
pub(crate) struct Resident {
    bytes_max: u64,
    modules: Mutex<Modules>,
}

#[derive(Default)]
struct Modules {
    /// Bounded by the budget: each counts for at least its overhead.
    by_digest: HashMap<Digest, Entry>,
    bytes: u64,
    uses: u64,
}

struct Entry {
    module: Arc<Module>,
    last_use: u64,
}

impl Resident {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Resident { bytes_max, modules: Mutex::default() }
    }

    /// A resident module, which thereby is the last one used.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Module>> {
        let mut modules = self.modules.lock();
        modules.uses += 1;
        let uses = modules.uses;
        let entry = modules.by_digest.get_mut(digest)?;
        entry.last_use = uses;
        Some(entry.module.clone())
    }

    /// Whether a module of that many bytes fits without another one's going.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.modules.lock().bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// Keeps a module. What goes instead is returned, to be dropped by the caller.
    pub(crate) fn insert(&self, module: Arc<Module>) -> Vec<Arc<Module>> {
        let mut modules = self.modules.lock();
        modules.uses += 1;
        let entry = Entry { last_use: modules.uses, module: module.clone() };
        modules.bytes += module.resident_bytes;
        let mut gone = Vec::new();
        if let Some(former) = modules.by_digest.insert(module.digest, entry) {
            modules.bytes -= former.module.resident_bytes;
            gone.push(former.module);
        }
        while modules.bytes > self.bytes_max {
            let Some(digest) = modules.least_recent(&module.digest) else { break };
            gone.extend(modules.remove(&digest));
        }
        gone
    }

    /// Drops a module.
    pub(crate) fn remove(&self, digest: &Digest) -> Option<Arc<Module>> {
        self.modules.lock().remove(digest)
    }

    /// How many there are, and what they count for.
    pub(crate) fn size(&self) -> (usize, u64) {
        let modules = self.modules.lock();
        (modules.by_digest.len(), modules.bytes)
    }
}

impl Modules {
    fn remove(&mut self, digest: &Digest) -> Option<Arc<Module>> {
        let entry = self.by_digest.remove(digest)?;
        self.bytes -= entry.module.resident_bytes;
        Some(entry.module)
    }

    /// The least recently used that only this set holds.
    fn least_recent(&self, except: &Digest) -> Option<Digest> {
        let unused = self
            .by_digest
            .iter()
            .filter(|(digest, entry)| *digest != except && Arc::strong_count(&entry.module) == 1);
        unused.min_by_key(|(_, entry)| entry.last_use).map(|(digest, _)| *digest)
    }
}
