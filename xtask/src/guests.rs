//! The Wasm guests: `guests/` holds their sources, the components built from
//! them are committed, so that nobody needs a Wasm toolchain to run the demo,
//! the tests or the benches.
//!
//! A committed binary can lie. `guests/guests.lock` therefore names, per guest,
//! a digest of everything it is built from and a digest of its binary, and the
//! toolchain that made it. The digests are compared by a test, always, so a
//! changed source without a rebuild fails; `cargo xtask guests --check` also
//! builds again and compares the bytes, where the same toolchain is installed.

mod lock;
mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use lock::{Entry, Lock};
use toolchain::Toolchain;

/// One guest.
struct Guest {
    /// Its package in `guests/`, and its folder there.
    name: &'static str,
    /// Its committed binary.
    binary: &'static str,
    /// What it is built from besides its folder and the workspace's manifest and lock.
    sources: &'static [&'static str],
    /// What it imports that is not in the `wasi:http/proxy` world.
    beyond_proxy: &'static [&'static str],
}

const GUESTS: &[Guest] = &[
    Guest { name: "hello", binary: "guests/dist/hello.wasm", sources: &[], beyond_proxy: &[] },
    Guest {
        name: "probe",
        binary: "guests/dist/probe.wasm",
        sources: &["guests/kit"],
        beyond_proxy: &[
            "wasi:cli/environment",
            "wasi:filesystem/preopens",
            "wasi:filesystem/types",
        ],
    },
    Guest {
        name: "thumbnail",
        binary: "examples/thumbnail/thumbnail.wasm",
        sources: &["guests/kit"],
        beyond_proxy: &[],
    },
    Guest {
        name: "search",
        binary: "examples/search/search.wasm",
        sources: &["guests/kit", "examples/search/opticks.txt"],
        beyond_proxy: &[],
    },
];

/// The world every host of `wasi:http/proxy` 0.2 offers and asks for.
const PROXY: &[&str] = &[
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/incoming-handler",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
];

/// Rebuilds the guests and writes the lock; with `is_check` changes nothing and
/// fails on a difference.
pub(crate) fn run(is_check: bool) -> Result<()> {
    let root = root();
    if !is_check {
        return rebuild(&root);
    }
    compare_digests(&root)?;
    println!("guests: sources and binaries agree with guests/guests.lock");
    test_sources(&root)?;
    compare_rebuilt(&root)
}

/// The repository's root.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the repository").to_owned()
}

/// Formatting and tests of the guests' own workspace, which the main one's
/// commands do not reach. The tests run here, not in a component.
fn test_sources(root: &Path) -> Result<()> {
    let manifest = root.join("guests/Cargo.toml").display().to_string();
    let target = toolchain::target_folder(root).display().to_string();
    crate::run::cargo(&["fmt", "--all", "--check", "--manifest-path", &manifest])?;
    let test = ["test", "--quiet", "--locked", "--manifest-path", &manifest];
    crate::run::cargo(&[&test[..], &["--target-dir", &target]].concat())
}

fn rebuild(root: &Path) -> Result<()> {
    let Some(toolchain) = toolchain::all().into_iter().next() else {
        bail!("no toolchain for Wasm components:\n{}", toolchain::HOW_TO_INSTALL);
    };
    println!("guests: building with {}", toolchain.identity);
    let mut lock = Lock::new(&toolchain.identity);
    let built = build(&toolchain, root)?;
    for (guest, bytes) in GUESTS.iter().zip(built) {
        check_imports(guest, &bytes)?;
        let path = root.join(guest.binary);
        std::fs::write(&path, &bytes).with_context(|| path.display().to_string())?;
        lock.insert(guest.name, entry(root, guest)?);
        println!("guests: {} ({} KiB)", guest.binary, bytes.len().div_ceil(1024));
    }
    lock.write(root)
}

/// What is in the tree now.
fn entry(root: &Path, guest: &Guest) -> Result<Entry> {
    let folder = format!("guests/{}", guest.name);
    let mut sources = vec!["guests/Cargo.toml", "guests/Cargo.lock", folder.as_str()];
    sources.extend(guest.sources);
    Ok(Entry {
        binary: guest.binary.to_owned(),
        sources_sha256: lock::sources_digest(root, &sources)?,
        binary_sha256: lock::file_digest(&root.join(guest.binary))?,
    })
}

/// Fails with every guest whose sources or binary are not what the lock says.
fn compare_digests(root: &Path) -> Result<()> {
    let lock = Lock::read(root)?;
    let mut wrong = Vec::new();
    for guest in GUESTS {
        let now = entry(root, guest)?;
        match lock.get(guest.name) {
            None => wrong.push(format!("{}: not in the lock", guest.name)),
            Some(locked) => {
                if locked.sources_sha256 != now.sources_sha256 {
                    wrong.push(format!("{}: its sources changed, its binary did not", guest.name));
                }
                if locked.binary_sha256 != now.binary_sha256 {
                    wrong.push(format!("{}: not the binary that was built", guest.binary));
                }
            }
        }
        let binary = std::fs::read(root.join(guest.binary))?;
        if let Err(error) = check_imports(guest, &binary) {
            wrong.push(error.to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "guests:\n  {}\nrebuild them with `cargo xtask guests`; it needs one of\n{}",
        wrong.join("\n  "),
        toolchain::HOW_TO_INSTALL
    )
}

/// Builds again with the toolchain that the lock names and compares every byte;
/// says so loudly when that toolchain is not here.
fn compare_rebuilt(root: &Path) -> Result<()> {
    let lock = Lock::read(root)?;
    let found = toolchain::all();
    let Some(toolchain) = found.iter().find(|found| found.identity == lock.toolchain) else {
        let here: Vec<&str> = found.iter().map(|found| found.identity.as_str()).collect();
        eprintln!(
            "SKIPPED: the guests were built with\n  {}\nwhich is not here (found: {}), so their \
             bytes were not compared. Get it with one of\n{}",
            lock.toolchain,
            if here.is_empty() { "none".to_owned() } else { here.join("; ") },
            toolchain::HOW_TO_INSTALL
        );
        return Ok(());
    };
    for (guest, bytes) in GUESTS.iter().zip(build(toolchain, root)?) {
        let committed = std::fs::read(root.join(guest.binary))?;
        if committed != bytes {
            bail!("{} is not what its sources build to, with the same toolchain", guest.binary);
        }
    }
    println!("guests: built again with {}, every byte the same", toolchain.identity);
    Ok(())
}

/// The guests' binaries, in their order.
fn build(toolchain: &Toolchain, root: &Path) -> Result<Vec<Vec<u8>>> {
    let names: Vec<&str> = GUESTS.iter().map(|guest| guest.name).collect();
    toolchain.build(root, &names)
}

/// Fails when a component names an interface that its host need not offer.
///
/// The names are found as text: that needs no parser, and nothing else in a
/// component looks like `wasi:PACKAGE/INTERFACE@`.
fn check_imports(guest: &Guest, binary: &[u8]) -> Result<()> {
    for name in interfaces(binary) {
        let is_known =
            PROXY.contains(&name.as_str()) || guest.beyond_proxy.contains(&name.as_str());
        if !is_known {
            bail!("{}: names {name}, which wasi:http/proxy does not have", guest.binary);
        }
    }
    Ok(())
}

/// Every `wasi:PACKAGE/INTERFACE` that is followed by a version.
fn interfaces(binary: &[u8]) -> std::collections::BTreeSet<String> {
    const START: &[u8] = b"wasi:";
    let mut names = std::collections::BTreeSet::new();
    for at in 0..binary.len().saturating_sub(START.len()) {
        if !binary[at..].starts_with(START) {
            continue;
        }
        let is_in_name = |byte: &&u8| byte.is_ascii_lowercase() || b":/-".contains(byte);
        let length = binary[at..].iter().take_while(is_in_name).count();
        if binary.get(at + length) == Some(&b'@') {
            names.insert(String::from_utf8_lossy(&binary[at..at + length]).into_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_binaries_agree_with_their_sources() {
        compare_digests(&root()).unwrap();
    }

    #[test]
    fn every_package_of_the_guests_workspace_is_known() {
        let manifest = std::fs::read_to_string(root().join("guests/Cargo.toml")).unwrap();
        let members = manifest.lines().find(|line| line.starts_with("members")).unwrap();
        for member in members.split('"').skip(1).step_by(2).filter(|member| *member != "kit") {
            assert!(GUESTS.iter().any(|guest| guest.name == member), "{member} is never built");
        }
    }

    #[test]
    fn every_component_names_what_it_serves() {
        for guest in GUESTS {
            let binary = std::fs::read(root().join(guest.binary)).unwrap();
            let names = interfaces(&binary);
            assert!(names.contains("wasi:http/incoming-handler"), "{}: {names:?}", guest.binary);
        }
    }

    #[test]
    fn an_interface_outside_the_world_is_refused() {
        let error = check_imports(&GUESTS[0], b"..wasi:sockets/tcp@0.2.0..").unwrap_err();
        assert!(error.to_string().contains("wasi:sockets/tcp"), "{error}");
        check_imports(&GUESTS[0], b"..wasi:io/poll@0.2.0.. wasi:nothing").unwrap();
    }
}
