//! `guests/guests.lock`: what the committed binaries were built from, and with what.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const PATH: &str = "guests/guests.lock";

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lock {
    /// Who may write here.
    comment: String,
    /// The toolchain that built the binaries.
    pub(super) toolchain: String,
    guests: BTreeMap<String, Entry>,
}

/// One guest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The binary's path in the repository.
    pub(super) binary: String,
    /// Of every file it is built from, names included.
    pub(super) sources_sha256: String,
    /// Of the binary.
    pub(super) binary_sha256: String,
}

impl Lock {
    pub(super) fn new(toolchain: &str) -> Self {
        Lock {
            comment: "Written by `cargo xtask guests`.".to_owned(),
            toolchain: toolchain.to_owned(),
            guests: BTreeMap::new(),
        }
    }

    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(PATH)).context(PATH)?;
        serde_json::from_str(&text).context(PATH)
    }

    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(root.join(PATH), text + "\n").context(PATH)
    }

    pub(super) fn insert(&mut self, name: &str, entry: Entry) {
        self.guests.insert(name.to_owned(), entry);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.guests.get(name)
    }
}

/// One digest of many files and folders: of each file its path, its length and
/// its content, in the order of the paths.
pub(super) fn sources_digest(root: &Path, sources: &[&str]) -> Result<String> {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> = sources.iter().map(|source| root.join(source)).collect();
    while let Some(path) = left.pop() {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        for entry in std::fs::read_dir(&path).with_context(|| path.display().to_string())? {
            left.push(entry?.path());
        }
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        digest.update(format!("{name}\n{}\n", bytes.len()));
        digest.update(bytes);
    }
    Ok(hex(&digest.finalize()))
}

/// The digest of one file.
pub(super) fn file_digest(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_names_and_where_one_file_ends() {
        let folder = std::env::temp_dir().join(format!("gapless-lock-{}", std::process::id()));
        let digest_of = |files: &[(&str, &str)]| {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(folder.join("a")).unwrap();
            for (name, content) in files {
                std::fs::write(folder.join("a").join(name), content).unwrap();
            }
            sources_digest(&folder, &["a"]).unwrap()
        };
        let first = digest_of(&[("x", "12"), ("y", "3")]);
        assert_eq!(first, digest_of(&[("y", "3"), ("x", "12")]));
        assert_ne!(first, digest_of(&[("x", "1"), ("y", "23")]));
        assert_ne!(first, digest_of(&[("x", "12"), ("z", "3")]));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
