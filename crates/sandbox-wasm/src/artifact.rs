//! A component's identity: the digest of its bytes.

use std::fmt;
use std::io;
use std::path::Path;

use gapless_proto::StartFailure;
use gapless_sandbox::PrepareTask;
use gapless_types::Fault;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a component.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads `sha256:HEX`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
        }
        Some(Digest(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a task's component is.
pub(crate) fn path(task: &PrepareTask) -> Result<&Path, StartFailure> {
    task.artifact.as_deref().ok_or_else(|| StartFailure {
        fault: Fault::Function,
        kind: "NoArtifact",
        message: "the function has no component: name its file in spec.wasm".to_owned(),
    })
}

/// Reads a component whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StartFailure> {
    std::fs::read(path).map_err(|error| {
        let is_absent = error.kind() == io::ErrorKind::NotFound;
        StartFailure {
            fault: if is_absent { Fault::Function } else { Fault::Platform },
            kind: "ArtifactUnreadable",
            message: format!("the component {} cannot be read: {error}", path.display()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::read(&format!("sha256:{digest}")), Some(digest));
        for bad in ["", "sha256:", "sha256:zz", &format!("sha512:{digest}"), &"é".repeat(32)] {
            assert_eq!(Digest::read(bad), None, "{bad}");
        }
    }
}
