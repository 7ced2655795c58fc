//! Which artifacts are kept: those that a declared function uses, and the newest
//! uploads that none uses yet.
//!
//! A declaration takes its hold of the artifact before it looks whether the file
//! is there; a removal looks whether somebody holds it, under the same lock as
//! that look. So an artifact in use is never removed.

use std::collections::VecDeque;

use gapless_store_embedded::ArtifactError;
use parking_lot::Mutex;

use crate::Control;

/// Uploads that no function uses yet; the oldest beyond are removed.
const UNUSED_UPLOADS_MAX: usize = 64;

/// Uploads that no function uses yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    unused: Mutex<VecDeque<String>>,
}

impl Control {
    /// Whether an artifact is there. Hold it first.
    pub(crate) fn has_artifact(&self, digest: &str) -> bool {
        let _no_removal = self.uploads.unused.lock();
        self.artifacts().contains(digest)
    }

    /// An artifact was uploaded.
    pub(crate) fn uploaded(&self, digest: &str) {
        let oldest = {
            let mut unused = self.uploads.unused.lock();
            unused.retain(|other| other != digest);
            unused.push_back(digest.to_owned());
            if unused.len() > UNUSED_UPLOADS_MAX { unused.pop_front() } else { None }
        };
        self.remove_unused(oldest);
    }

    /// Removes an artifact unless a function uses it.
    pub(crate) fn remove_unused(&self, digest: Option<String>) {
        let Some(digest) = digest else { return };
        let mut unused = self.uploads.unused.lock();
        if self.functions().lock().is_artifact_used(&digest) {
            return;
        }
        unused.retain(|other| *other != digest);
        let removed: Result<(), ArtifactError> = self.artifacts().remove(&digest);
        self.nodes().forget_image(&digest);
        if let Err(error) = removed {
            tracing::warn!(%digest, %error, "cannot remove an artifact that nothing uses");
        }
    }
}
