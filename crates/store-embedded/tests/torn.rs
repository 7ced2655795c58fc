//! A last write that was cut off, at every byte: recovered to what was whole, never
//! to anything else.

use std::fs;
use std::path::{Path, PathBuf};

use gapless_store::{Expect, Record, Store, Write};
use gapless_store_embedded::EmbeddedStore;

/// What the store was after each transaction, and where the log ended then.
struct Written {
    bytes: Vec<u8>,
    states: Vec<(usize, Vec<Record>)>,
}

fn log(folder: &Path) -> PathBuf {
    folder.join("state").join("log-0000000001")
}

/// Where the last byte is that is not filled ahead.
fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Writes a few transactions and leaves the file as a crash would.
fn written() -> Written {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let mut states = vec![(end(&fs::read(log(folder.path())).unwrap()), Vec::new())];
    for n in 1..=6u8 {
        let put = |key: &str| Write::put(key, vec![n; 5 * usize::from(n)], Expect::Any);
        let mut writes = vec![put("a"), put(&format!("k{n}"))];
        if n == 5 {
            writes.push(Write::delete("k2", Expect::Any));
        }
        store.commit_blocking(writes).unwrap();
        states.push((end(&fs::read(log(folder.path())).unwrap()), store.list_all("").unwrap()));
    }
    let mut bytes = fs::read(log(folder.path())).unwrap();
    // Enough of the zeros to see that they do no harm.
    bytes.truncate(end(&bytes) + 100);
    Written { bytes, states }
}

/// Opens a folder with these bytes as its log, checks that it is at the last state
/// that is whole in `whole` bytes, and that it works.
fn recovers(written: &Written, bytes: &[u8], whole: usize, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(log(folder.path()), bytes).unwrap();
    let store =
        EmbeddedStore::open(folder.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let last = written.states.iter().rposition(|(end, _)| *end <= whole).unwrap();
    assert_eq!(store.list_all("").unwrap(), written.states[last].1, "{what}");
    assert_eq!(store.revision(), last as u64, "{what}");
    let next = store.put("after", b"the crash", Expect::Absent).unwrap();
    assert_eq!(next, last as u64 + 1);
    let records = store.list_all("").unwrap();
    drop(store);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert_eq!(store.list_all("").unwrap(), records, "{what}, opened again");
}

#[test]
fn a_file_cut_at_any_byte_of_its_last_frames_is_what_was_whole() {
    let written = written();
    let (from, _) = written.states[3];
    let (to, _) = written.states[6];
    for cut in from..=to {
        recovers(&written, &written.bytes[..cut], cut, &format!("cut at {cut}"));
    }
}

/// A power cut may leave zeros, or what was on the disk before, in place of what
/// did not reach it: the file's length says nothing.
#[test]
fn a_last_frame_that_did_not_all_reach_the_disk_is_left_out() {
    let written = written();
    let ((from, _), (to, _)) = (&written.states[5], &written.states[6]);
    for at in *from..*to {
        for (filler, name) in [(0, "zeros"), (0xA5, "rubbish")] {
            let mut bytes = written.bytes.clone();
            bytes[at..*to].fill(filler);
            recovers(&written, &bytes, *from, &format!("{name} from {at}"));
            let mut bytes = written.bytes.clone();
            bytes[*from..=at].fill(filler);
            recovers(&written, &bytes, *from, &format!("{name} until {at}"));
        }
    }
}

/// The same in a frame that another follows was acknowledged: that is damage.
#[test]
fn damage_before_the_last_frame_is_refused() {
    let written = written();
    let ((from, _), (to, _)) = (&written.states[3], &written.states[5]);
    for at in *from..*to {
        let mut bytes = written.bytes.clone();
        bytes[at] = !bytes[at];
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(log(folder.path()), &bytes).unwrap();
        let error = EmbeddedStore::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("log-0000000001 is damaged at byte "), "{error}");
        assert_eq!(fs::read(log(folder.path())).unwrap(), bytes, "nothing was changed");
    }
}
