use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn pack(root: &Path) -> Artifact {
    folder(root, &root.join("gapless.yaml")).unwrap()
}

fn names(artifact: Artifact) -> Vec<String> {
    let mut archive = tar::Archive::new(artifact.file);
    let entries = archive.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn equal_folders_have_equal_archives() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = ["b.py", "a.py", "lib/x.py", "lib/a/deep.py"];
    for name in files {
        write(one.path(), name, name);
    }
    for name in files.iter().rev() {
        write(two.path(), name, name);
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    File::open(two.path().join("a.py")).unwrap().set_modified(old).unwrap();
    fs::set_permissions(two.path().join("a.py"), fs::Permissions::from_mode(0o600)).unwrap();
    // The declaration is not part of it.
    write(two.path(), "gapless.yaml", "kind: Function");
    let (one, other) = (pack(one.path()), pack(two.path()));
    assert_eq!(one.digest, other.digest);
    assert_eq!(one.digest.len(), "sha256:".len() + 64);
    assert_eq!(names(one), ["a.py", "b.py", "lib", "lib/a", "lib/a/deep.py", "lib/x.py"]);
    write(two.path(), "a.py", "changed");
    assert_ne!(pack(two.path()).digest, other.digest);
}

#[test]
fn the_digest_is_of_the_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.txt", "hello");
    let mut packed = pack(dir.path());
    let mut bytes = Vec::new();
    packed.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, packed.size_bytes);
    assert_eq!(packed.digest, name(Sha256::new_with_prefix(&bytes)));
    let single = file(&dir.path().join("a.txt")).unwrap();
    assert_eq!(single.size_bytes, 5);
    assert_eq!(single.digest, name(Sha256::new_with_prefix("hello")));
}

#[test]
fn what_no_function_needs_is_left_out_and_the_folder_may_say_more() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        ".git/config",
        "target/debug/x",
        "src/__pycache__/a.pyc",
        "node_modules/a/index.js",
        "data/big.bin",
        "data/keep.bin",
        "notes.md",
        "server.js",
    ] {
        write(dir.path(), name, "x");
    }
    write(dir.path(), IGNORE_FILE, "# mine\n*.md\ndata/*\n!data/keep.bin\n");
    let expected = [
        "data",
        "data/keep.bin",
        "node_modules",
        "node_modules/a",
        "node_modules/a/index.js",
        "server.js",
        "src",
    ];
    assert_eq!(names(pack(dir.path())), expected);
    write(dir.path(), IGNORE_FILE, "!target/\n");
    assert!(names(pack(dir.path())).contains(&"target/debug/x".to_owned()));
}

#[test]
fn links_stay_links_and_may_not_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "lib/tool.js", "x");
    fs::create_dir(dir.path().join("bin")).unwrap();
    symlink("../lib/tool.js", dir.path().join("bin/tool")).unwrap();
    let mut archive = tar::Archive::new(pack(dir.path()).file);
    let link = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.header().entry_type() == tar::EntryType::Symlink);
    assert_eq!(link.unwrap().link_name().unwrap().unwrap(), Path::new("../lib/tool.js"));
    for target in ["/etc/passwd", "../../x", "../bin/../../x"] {
        let path = dir.path().join("bin/out");
        symlink(target, &path).unwrap();
        let error = folder(dir.path(), Path::new("")).unwrap_err().to_string();
        assert!(error.contains("bin/out: it is a link to"), "{error}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn executables_stay_executable_and_sockets_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "run.sh", "x");
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("a.sock")).unwrap();
    let packed = pack(dir.path());
    assert_eq!(packed.left_out, [Path::new("a.sock")]);
    let mut archive = tar::Archive::new(packed.file);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.header().mode().unwrap(), 0o755);
}

#[test]
fn long_names_survive() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(150));
    write(dir.path(), &long, "x");
    assert!(names(pack(dir.path())).contains(&long));
}

#[test]
fn a_missing_component_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = file(&dir.path().join("a.wasm")).unwrap_err().to_string();
    assert!(error.contains("a.wasm: it does not exist\nhelp: build the component"), "{error}");
    let error = file(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is not a file"), "{error}");
}
