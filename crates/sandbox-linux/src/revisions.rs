//! Deployed folders, unpacked once each and shared.
//!
//! Keyed by the archive's digest, so two revisions with the same folder share it.
//! A folder lives as long as somebody uses it: a revision that was prepared and
//! not forgotten, or an instance that runs in it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gapless_proto::StartFailure;
use gapless_sandbox::PrepareTask;
use gapless_types::{Fault, RevisionName};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::run_dir::{RunDir, Trash};
use crate::unpack::{Bounds, UnpackError, unpack};

/// An unpacked folder; removed when the last user drops it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    trash: Arc<Trash>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.trash.discard(&self.path);
    }
}

#[derive(Debug, Default)]
struct Entry {
    users: BTreeSet<RevisionName>,
    folder: Arc<OnceCell<Arc<Folder>>>,
}

/// What is unpacked. Bounded by the revisions a node was told to prepare.
#[derive(Debug)]
pub(crate) struct Revisions {
    run_dir: Arc<RunDir>,
    bounds: Bounds,
    entries: Mutex<HashMap<String, Entry>>,
}

impl Revisions {
    pub(crate) fn new(run_dir: Arc<RunDir>, bounds: Bounds) -> Self {
        Revisions { run_dir, bounds, entries: Mutex::default() }
    }

    /// The revision's folder, unpacked now if it is not yet; `None` for one without.
    pub(crate) async fn folder(
        &self,
        task: &PrepareTask,
    ) -> Result<Option<Arc<Folder>>, StartFailure> {
        let Some(artifact) = &task.artifact else { return Ok(None) };
        let name = &task.revision.name;
        let key = task.revision.spec.artifact.clone().unwrap_or_else(|| name.to_string());
        let cell = {
            let mut entries = self.entries.lock();
            let entry = entries.entry(key).or_default();
            entry.users.insert(name.clone());
            entry.folder.clone()
        };
        if let Some(folder) = cell.get() {
            return Ok(Some(folder.clone()));
        }
        // On a task of its own: a start that is dropped meanwhile leaves the folder to
        // the next one, instead of the work to be done again.
        let (run_dir, bounds, artifact) = (self.run_dir.clone(), self.bounds, artifact.clone());
        let unpacking = gapless_rt::spawn(async move {
            let unpacking = || async {
                let work = move || unpack_new(&run_dir, &artifact, bounds);
                let done = gapless_rt::spawn_blocking(work).await;
                done.map_err(|error| UnpackError::Failed(error.to_string()))?
            };
            cell.get_or_try_init(unpacking).await.cloned()
        });
        let unpacked = unpacking.await;
        match unpacked.unwrap_or_else(|error| Err(UnpackError::Failed(error.to_string()))) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) => {
                self.forget(name);
                Err(explain(error))
            }
        }
    }

    /// Drops what only this revision uses.
    pub(crate) fn forget(&self, revision: &RevisionName) {
        let mut unused = Vec::new();
        self.entries.lock().retain(|_, entry| {
            let is_used = !entry.users.remove(revision) || !entry.users.is_empty();
            if !is_used {
                unused.push(entry.folder.clone());
            }
            is_used
        });
        // Folders are removed here, after the lock is released.
        drop(unused);
    }
}

fn unpack_new(
    run_dir: &RunDir,
    artifact: &Path,
    bounds: Bounds,
) -> Result<Arc<Folder>, UnpackError> {
    // Its drop removes a half-made one. No start sees it before it is whole,
    // because nobody knows its path.
    let folder = Folder { path: run_dir.new_revision(), trash: run_dir.trash().clone() };
    unpack(artifact, &folder.path, bounds)?;
    Ok(Arc::new(folder))
}

fn explain(error: UnpackError) -> StartFailure {
    match error {
        UnpackError::Bad(clause) => StartFailure {
            fault: Fault::Function,
            kind: "BadArchive",
            message: format!(
                "the function's folder cannot be unpacked: its archive {clause}. \
                 Deploy the folder again"
            ),
        },
        UnpackError::Failed(clause) => StartFailure {
            fault: Fault::Platform,
            kind: "UnpackFailed",
            message: format!("the function's folder cannot be unpacked on this node: {clause}"),
        },
    }
}
