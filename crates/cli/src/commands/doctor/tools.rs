//! Programs: to write functions with, and to measure against.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Check;

/// The Rust target of components.
const WASM_TARGET: &str = "wasm32-wasip2";

pub(super) fn checks() -> Vec<Check> {
    vec![
        tool("python3", "--version", "functions in Python, `gapless demo`", &package("python3")),
        tool("node", "--version", "functions in JavaScript", &package("nodejs")),
        tool("cargo", "--version", "functions in Rust", "see https://rustup.rs"),
        wasm_target(),
        tool("curl", "--version", "calling functions by hand", &package("curl")),
        tool("wrk", "-v", "`gapless bench warm`", &package("wrk")),
        tool("nginx", "-v", "comparison in `gapless bench warm`", &package("nginx")),
        tool("wasmtime", "--version", "comparison in `gapless bench warm`", WASMTIME),
    ]
}

const WASMTIME: &str = "`cargo install wasmtime-cli --version 48.0.8 --locked`";

/// Package managers and how they install.
const MANAGERS: [(&str, &str); 6] = [
    ("apt-get", "apt-get install"),
    ("dnf", "dnf install"),
    ("apk", "apk add"),
    ("pacman", "pacman -S"),
    ("zypper", "zypper install"),
    ("brew", "brew install"),
];

/// The command that installs `package` here.
fn package(package: &str) -> String {
    let manager = MANAGERS.iter().find(|(program, _)| find(program).is_some());
    let install = manager.map_or("apt-get install", |(_, install)| install);
    format!("`{install} {package}`")
}

/// Where `program` is, by PATH and the folders of administrators.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The first line `program` prints about its version, on whichever output.
fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text);
    // What is in brackets is about builds and libraries.
    let line = text.lines().next()?.split(['(', '[']).next()?.trim();
    Some(line.to_owned())
}

fn tool(name: &'static str, argument: &str, needed_for: &'static str, help: &str) -> Check {
    let Some(program) = find(name) else {
        return Check::lacking(name, needed_for, "not in PATH", help);
    };
    match version(&program, argument) {
        Some(version) => Check::ok(name, needed_for, version),
        None => {
            Check::lacking(name, needed_for, format!("{} does not run", program.display()), help)
        }
    }
}

fn wasm_target() -> Check {
    let (name, needed_for) = ("wasm target", "components in Rust");
    let help = format!("`rustup target add {WASM_TARGET}`");
    let Some(rustc) = find("rustc") else {
        return Check::lacking(name, needed_for, "no rustc", "see https://rustup.rs");
    };
    let arguments = ["--print", "target-libdir", "--target", WASM_TARGET];
    let output = Command::new(rustc).args(arguments).stdin(Stdio::null()).output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match folder {
        Ok(folder) if !folder.is_empty() && Path::new(&folder).is_dir() => {
            Check::ok(name, needed_for, WASM_TARGET)
        }
        _ => Check::lacking(name, needed_for, format!("no {WASM_TARGET}"), help),
    }
}
