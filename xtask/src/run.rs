//! Running other programs.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs cargo and fails when it fails.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} failed ({status})", args.join(" "));
    }
    Ok(())
}

/// Runs cargo-deny, or says loudly that it is not there and how to get it.
pub(crate) fn deny() -> Result<()> {
    let found = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!(
            "SKIPPED: cargo-deny is not installed; get it with `cargo install cargo-deny --locked`"
        );
        return Ok(());
    }
    // The advisory database needs a clone of a git repository, so it is not part of this.
    cargo(&["deny", "check", "bans", "licenses", "sources"])
}

/// Runs the measurements that are written as tests: by their names, as what else is
/// ignored is no test. One at a time, or they would measure each other.
pub(crate) fn measurements() -> Result<()> {
    let packages = ["-p", "gapless-objects", "-p", "gapless-sandbox-linux"];
    let flags = ["--", "--ignored", "--nocapture", "--test-threads", "1", "_cost"];
    cargo(&[&["test", "--release"], &packages[..], &flags[..]].concat())
}
