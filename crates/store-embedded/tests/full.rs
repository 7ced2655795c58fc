//! A disk that is really full: a small tmpfs. Needs the right to mount; is skipped,
//! loudly, without it. (`src/tests.rs` has the same on a fake disk, for everybody.)

use std::fs;
use std::path::Path;
use std::process::Command;

use gapless_store::{Expect, Store, StoreError};
use gapless_store_embedded::{ArtifactError, ArtifactStore, Bounds, EmbeddedStore};

/// A tmpfs that is unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Small(folder)),
            other => {
                eprintln!("SKIPPED: a tmpfs cannot be mounted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_works_again_when_there_is_room() {
    let Some(small) = Small::mount(6) else { return };
    let ballast = small.path().join("ballast");
    fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    // Much history, so that no checkpoint makes room.
    let bounds = Bounds { segment_bytes: 256 << 10, ..Bounds::default() };
    let data = small.path().join("data");
    let store = EmbeddedStore::open_with(&data, bounds).unwrap();
    let value = |n: u32| format!("{n:05}").repeat(4000).into_bytes();
    let (mut written, mut refused) = (0, 0);
    // A refusal gives back what was filled ahead, so one more may fit after it.
    while refused < 10 {
        match store.put(&format!("k{}", written % 50), &value(written), Expect::Any) {
            Ok(_) => written += 1,
            Err(error) => {
                assert!(matches!(&error, StoreError::NoSpace { .. }), "{error}");
                assert!(error.to_string().contains("No space left on device"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(written > 50 && store.revision() == u64::from(written));
    let records = store.list_all("").unwrap();
    drop(store);
    // Also while it is full it opens, for reading at least.
    let store = EmbeddedStore::open_with(&data, bounds).unwrap();
    assert_eq!(store.list_all("").unwrap(), records);
    fs::remove_file(&ballast).unwrap();
    store.put("k0", &value(7), Expect::Any).unwrap();
    assert_eq!(store.revision(), u64::from(written) + 1);
    drop(store);
    let store = EmbeddedStore::open_with(&data, bounds).unwrap();
    assert_eq!(&store.get("k0").unwrap().unwrap().value[..], value(7));
}

#[test]
fn an_artifact_that_finds_no_room_leaves_nothing() {
    let Some(small) = Small::mount(1) else { return };
    let store = ArtifactStore::open(small.path(), 1 << 30).unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut upload = store.begin(&digest).unwrap();
    let error = (0..64).find_map(|_| upload.write(&[7; 64 << 10]).err()).unwrap();
    assert!(matches!(error, ArtifactError::Disk { .. }), "{error}");
    drop(upload);
    assert!(!store.contains(&digest));
    assert_eq!(fs::read_dir(small.path().join("artifacts/uploads")).unwrap().count(), 0);
}
