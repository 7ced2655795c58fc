//! Toolchains that build Wasm components, and how to build with them.
//!
//! Both build for `wasm32-unknown-unknown` and link with `wasm-component-ld`,
//! the linker of the `wasm32-wasip2` target: what comes out is a component that
//! imports only what the guest itself names. `wasm32-wasip2` would be shorter to
//! ask for, but its standard library adds imports (the environment, the file
//! system) that `wasi:http/proxy` does not have and a bare `wasmtime serve`
//! refuses.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What to tell who has none.
pub(super) const HOW_TO_INSTALL: &str = "  rustup target add wasm32-unknown-unknown
  apt-get install rustc-web cargo-web rust-web-src lld     (Debian)";

const TARGET: &str = "wasm32-unknown-unknown";

/// One that is installed.
pub(super) struct Toolchain {
    /// Everything that decides about the bytes it builds.
    pub(super) identity: String,
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: PathBuf,
    component_ld: PathBuf,
    wasm_ld: PathBuf,
    /// Whether it has the standard library as source only.
    builds_std: bool,
}

/// Every toolchain here, the preferred one first.
pub(super) fn all() -> Vec<Toolchain> {
    let rustup = Toolchain::find(Path::new("rustc"), Path::new("cargo"));
    let debian = Toolchain::find(Path::new("/usr/bin/rustc"), Path::new("/usr/bin/cargo"));
    rustup.into_iter().chain(debian).collect()
}

/// Where the guests are built: a folder of their own in the caller's target folder.
pub(super) fn target_folder(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root.join(target).join("guests")
}

impl Toolchain {
    /// Looks at `rustc`; `None` when it cannot build components.
    fn find(rustc: &Path, cargo: &Path) -> Option<Toolchain> {
        let version = output(rustc, &["--version"])?;
        let sysroot = PathBuf::from(output(rustc, &["--print", "sysroot"])?);
        let libraries = output(rustc, &["--print", "target-libdir", "--target", TARGET])?;
        let has_std = std::fs::read_dir(libraries).is_ok_and(|mut files| files.next().is_some());
        let has_source = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists();
        // Building the standard library is not for a released cargo of rustup's.
        let builds_std = !has_std && has_source && sysroot == Path::new("/usr");
        if !has_std && !builds_std {
            return None;
        }
        let host = output(rustc, &["--version", "--verbose"])?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: "))?;
        let tools = sysroot.join("lib/rustlib").join(host).join("bin");
        let component_ld = tools.join("wasm-component-ld");
        let shipped = tools.join("gcc-ld/wasm-ld");
        let wasm_ld = if shipped.exists() { shipped } else { PathBuf::from("/usr/bin/wasm-ld") };
        let identity = format!(
            "{version}; {}; {}",
            output(&component_ld, &["--version"])?,
            output(&wasm_ld, &["--version"])?
        );
        let (rustc, cargo) = (rustc.to_owned(), cargo.to_owned());
        Some(Toolchain { identity, rustc, cargo, sysroot, component_ld, wasm_ld, builds_std })
    }

    /// Builds the packages of `guests/` that are named; their components, in that order.
    pub(super) fn build(&self, root: &Path, names: &[&str]) -> Result<Vec<Vec<u8>>> {
        let target = target_folder(root);
        let mut command = Command::new(&self.cargo);
        command.current_dir(root.join("guests"));
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        for name in names {
            command.args(["--package", name]);
        }
        for variable in ["CARGO", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            command.env_remove(variable);
        }
        command.env("CARGO_TARGET_DIR", &target).env("RUSTC", &self.rustc);
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.component_ld);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags(root).join("\x1f"));
        if self.builds_std {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
        let status = command.status().context("cannot run cargo")?;
        if !status.success() {
            bail!("building the guests failed ({status})");
        }
        let folder = target.join(TARGET).join("release");
        let read = |name: &&str| {
            let path = folder.join(format!("{name}.wasm"));
            std::fs::read(&path).with_context(|| path.display().to_string())
        };
        names.iter().map(read).collect()
    }

    /// No path of this machine may reach a binary, or the next machine's would differ.
    fn flags(&self, root: &Path) -> Vec<String> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
        let mut flags = vec![
            "-Clinker-flavor=wasm-ld".to_owned(),
            format!("-Clink-arg=--wasm-ld-path={}", self.wasm_ld.display()),
            format!("--remap-path-prefix={}=/gapless", root.display()),
            format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
            format!("--remap-path-prefix={}=/rust", self.sysroot.join("lib/rustlib").display()),
        ];
        if self.builds_std {
            // A panic says nothing here: there is no standard error it could reach.
            flags.extend(["-Zunstable-options".to_owned(), "-Cpanic=immediate-abort".to_owned()]);
        }
        flags
    }
}

/// What a program prints, when it succeeds.
fn output(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
