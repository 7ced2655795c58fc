//! The `gapless` command: `up` runs the platform, everything else talks to one
//! over HTTP.
//!
//! | part | where |
//! |---|---|
//! | what may be typed | [`args`], one file per command in [`commands`] |
//! | how a command fails | [`failure`] |
//! | what is printed | [`output`] |
//! | calls to the API and the gateway | [`client`] |
//! | which platform, when none is named | [`contexts`] |
//! | which kinds there are | [`discovery`] |
//! | files that declare objects, and how two differ | [`documents`], [`unified`] |
//! | a function's folder | [`manifest`], [`archive`], [`templates`] |
//! | the assembled platform | [`platform`] |
//!
//! Exit codes: 0 done, 1 failed, 2 used wrongly.

mod archive;
mod args;
mod client;
mod commands;
mod contexts;
mod discovery;
mod documents;
mod exposition;
mod failure;
mod machine;
mod manifest;
mod output;
mod platform;
mod port_holder;
mod templates;
mod unified;

use std::process::ExitCode;

use clap::Parser;

/// Declared state is JSON values that are made and dropped; why this one, with figures:
/// `docs/store.md`, Through HTTP. Libraries choose none.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("{failure}");
            }
            failure.exit_code()
        }
    }
}
