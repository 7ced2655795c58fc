//! `bench declare`: what it costs to declare, durably.
//!
//! | part | where |
//! |---|---|
//! | the store alone, in this process | `store` |
//! | a platform over HTTP: writes, a watch, pages beside calls | `http`, `paging` |
//! | instances that come and go, watched and not | `instances` |

mod http;
mod instances;
mod lines;
mod paging;
mod store;
mod told;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use super::table::Findings;

/// Flags.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// Functions that are declared
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub(super) objects: u32,
    /// Writers at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) writers: u32,
    /// Bytes of a record in the store alone
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub(super) bytes: u32,
    /// Instances that start and stop with a watcher, and as many without
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(super) instances: u32,
    /// Measure only this; may be given again (default: everything)
    #[arg(long, value_enum)]
    pub(super) only: Vec<Part>,
    /// Where the data folder is made: the disk that is measured (default: the system's
    /// folder for temporary files)
    #[arg(long)]
    pub(super) dir: Option<std::path::PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// The store alone
    Store,
    /// A platform over HTTP
    Http,
    /// Instances and a watcher of them
    Instances,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("declare");
    let is_wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut summary = json!({});
    if is_wanted(Part::Store) {
        summary["store"] = store::run(args, &mut findings).await?;
    }
    if is_wanted(Part::Http) {
        summary["http"] = http::run(args, &mut findings).await?;
    }
    if is_wanted(Part::Instances) {
        summary["instances"] = instances::run(args, &mut findings).await?;
    }
    findings.summary = summary;
    Ok(findings)
}

/// A folder on the disk that is measured.
fn folder(args: &Args) -> Result<tempfile::TempDir> {
    use anyhow::Context as _;
    let made = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    made.context("cannot make a data folder; --dir and TMPDIR say where")
}
