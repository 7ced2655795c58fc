//! Archives good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::{Bounds, UnpackError, unpack};

const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, entries_max: 100 };

enum Item<'a> {
    File(&'a str, &'a [u8], u32),
    Link(&'a str, &'a str),
    Other(&'a str, EntryType),
}

use Item::{File, Link, Other};

/// An archive with exactly these names, also those that a careful writer refuses.
fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_gnu();
        let (name, data, kind) = match item {
            File(name, data, mode) => {
                header.set_mode(*mode);
                (*name, *data, EntryType::Regular)
            }
            Link(name, to) => {
                header.set_link_name_literal(to).unwrap();
                (*name, &[][..], EntryType::Symlink)
            }
            Other(name, kind) => (*name, &[][..], *kind),
        };
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn try_unpack(bytes: &[u8], check: impl FnOnce(&Path)) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.tar");
    fs::write(&file, bytes).unwrap();
    let target = root.path().join("inner/target");
    fs::create_dir(root.path().join("inner")).unwrap();
    let result = unpack(&file, &target, BOUNDS);
    // Whatever happened, nothing is beside the target.
    let beside: Vec<_> = fs::read_dir(root.path().join("inner")).unwrap().collect();
    assert!(beside.len() <= 1, "{beside:?}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    if result.is_ok() {
        check(&target);
    }
    result.map_err(|error| match error {
        UnpackError::Bad(clause) => clause,
        UnpackError::Failed(clause) => panic!("{clause}"),
    })
}

#[test]
fn a_folder_comes_out_readable_and_write_protected() {
    let bytes = archive(&[
        File("./bin/server", b"#!/bin/sh\n", 0o750),
        Other("empty", EntryType::Directory),
        File("data.json", b"{}", 0o600),
        Link("bin/link", "../data.json"),
        Link("latest", "bin"),
    ]);
    try_unpack(&bytes, |folder| {
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("bin/server") & 0o777, 0o554);
        assert_eq!(mode("data.json") & 0o777, 0o444);
        assert_eq!(mode("bin") & 0o777, 0o555);
        assert!(folder.join("empty").is_dir());
        assert_eq!(fs::read(folder.join("latest/link")).unwrap(), b"{}");
    })
    .unwrap();
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let cases: &[(&[Item<'_>], &str)] = &[
        (&[File("../evil", b"x", 0o644)], "not inside the folder"),
        (&[File("a/../../evil", b"x", 0o644)], "not inside the folder"),
        (&[File("/tmp/evil", b"x", 0o644)], "not inside the folder"),
        (&[Link("out", "/etc")], "not in the folder"),
        (&[Link("out", "../..")], "not in the folder"),
        (&[Link("out", "missing")], "not in the folder"),
        // Looks inside when read by its letters, is outside when followed.
        (&[Link("p/q/root", "../.."), Link("out", "p/q/root/..")], "not in the folder"),
        (&[Link("loop", "loop")], "not in the folder"),
        // A file through a link: the link is made last, and finds a folder in its place.
        (&[Link("way", ".."), File("way/evil", b"x", 0o644)], "twice"),
    ];
    for (items, says) in cases {
        let error = try_unpack(&archive(items), |_| {}).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn kinds_that_are_no_files_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Link] {
        let error = try_unpack(&archive(&[Other("thing", kind)]), |_| {}).unwrap_err();
        assert!(error.contains("not allowed"), "{error}");
    }
}

#[test]
fn bounds_hold() {
    let large = vec![b'x'; (BOUNDS.bytes_max / 2 + 1) as usize];
    let error = try_unpack(&archive(&[File("a", &large, 0o644), File("b", &large, 0o644)]), |_| {});
    assert!(error.unwrap_err().contains("larger than 1Mi"));

    let names: Vec<String> = (0..=BOUNDS.entries_max).map(|n| n.to_string()).collect();
    let many: Vec<_> = names.iter().map(|name| File(name, b"", 0o644)).collect();
    let error = try_unpack(&archive(&many), |_| {}).unwrap_err();
    assert!(error.contains("more than 100 files"), "{error}");
}

#[test]
fn damage_is_named() {
    let whole = archive(&[File("a", &[b'x'; 5000], 0o644)]);
    let cases: [(&[u8], &str); 4] = [
        (&whole[..2048], "whole tar archive"),
        (&[7; 4096], "not a whole tar archive"),
        (&archive(&[File("a", b"", 0o644), File("a", b"", 0o644)]), "twice"),
        (&archive(&[File("a", b"", 0o644), File("a/b", b"", 0o644)]), "both as a file"),
    ];
    for (bytes, says) in cases {
        let error = try_unpack(bytes, |_| {}).unwrap_err();
        assert!(error.contains(says) || error.contains("ends in the middle"), "{error}");
    }
}
