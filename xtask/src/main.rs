//! Checks and chores of this repository, run as `cargo xtask COMMAND`.

mod guests;
mod layers;
mod run;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Checks and chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test, and the layer check.
    Test,
    /// Check that no crate imports from its own layer's neighbours or from a layer above.
    Layers,
    /// Format the code, or with --check only say what is not formatted.
    Fmt {
        /// Change nothing, fail on a difference.
        #[arg(long)]
        check: bool,
    },
    /// Run clippy with warnings as errors.
    Clippy,
    /// Check licences, sources and duplicate versions with cargo-deny, where it is installed.
    Deny,
    /// Run the measurements that are written as tests, in a release build, one at a time.
    Measure,
    /// Rebuild the Wasm guests, or with --check only compare them with their sources.
    Guests {
        /// Change nothing, fail on a difference.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Test => {
            layers::check()?;
            run::cargo(&["test", "--workspace", "--all-features"])
        }
        Command::Layers => layers::check(),
        Command::Fmt { check: false } => run::cargo(&["fmt", "--all"]),
        Command::Fmt { check: true } => run::cargo(&["fmt", "--all", "--", "--check"]),
        Command::Clippy => run::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]),
        Command::Deny => run::deny(),
        Command::Measure => run::measurements(),
        Command::Guests { check } => guests::run(check),
    }
}
