//! The key file: made private, refused when it is not, rotated.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gapless_secret::{KeyError, KeyFile, Place};
use gapless_types::Sensitive;

const PLACE: Place<'static> = Place { namespace: "shop", name: "api", key: "token" };

#[test]
fn the_first_start_makes_a_private_file_and_the_second_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/secrets.key");
    let file = KeyFile::new(&path);
    let sealed = file.open().unwrap().seal(PLACE, &Sensitive::from("hunter2"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let again = file.open().unwrap();
    assert_eq!(again.open(PLACE, &sealed).unwrap().expose(), b"hunter2");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no other file is left");
}

#[test]
fn a_file_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let file = KeyFile::new(&path);
    file.open().unwrap();
    for mode in [0o640, 0o604, 0o660, 0o620, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = file.open().unwrap_err();
        assert!(matches!(error, KeyError::TooOpen { .. }), "{mode:o}: {error}");
        assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(file.rotate().is_err(), "nor is a key added to it");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    file.open().unwrap();
}

#[test]
fn a_wrong_key_is_told_by_line_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let good = "0123456789abcdef".repeat(4);
    for (text, line) in [
        (format!("# a remark\n{good}\n{}\n", &good[..62]), 3),
        (format!("{}\n", good.replace('f', "g")), 1),
        (format!("{good}{good}\n"), 1),
        ("# only a remark\n".to_owned(), 1),
        (String::new(), 0),
    ] {
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = KeyFile::new(&path).open().unwrap_err();
        assert!(
            matches!(error, KeyError::Malformed { line: found, .. } if found == line),
            "{error}"
        );
        assert!(!error.to_string().contains("0123456789abcde"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is left as it was");
    }
}

#[test]
fn after_a_rotation_the_new_key_seals_and_the_old_one_opens() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("secrets.key"));
    let before = file.open().unwrap();
    let sealed = before.seal(PLACE, &Sensitive::from("hunter2"));
    let after = file.rotate().unwrap();
    assert_ne!(after.newest(), before.newest());
    assert_eq!(after.open(PLACE, &sealed).unwrap().expose(), b"hunter2");
    let newly = after.seal(PLACE, &Sensitive::from("hunter2"));
    assert!(before.open(PLACE, &newly).is_err());
    assert_eq!(file.open().unwrap().open(PLACE, &newly).unwrap().expose(), b"hunter2");
}

#[test]
fn two_first_starts_agree_on_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("secrets.key"));
    let ids: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..2).map(|_| scope.spawn(|| file.open().map(|s| s.newest().to_owned()))).collect();
        starts.into_iter().filter_map(|start| start.join().unwrap().ok()).collect()
    });
    assert!(!ids.is_empty());
    assert!(ids.iter().all(|id| *id == file.open().unwrap().newest()), "{ids:?}");
}

#[test]
fn nothing_prints_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.key");
    let file = KeyFile::new(&path);
    let sealer = file.open().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let key = text.lines().last().unwrap();
    let shown = format!("{sealer:?} {file:?}");
    assert!(!shown.contains(key) && !shown.contains(&key[..8]), "{shown}");
    assert!(shown.contains(sealer.newest()));
}
