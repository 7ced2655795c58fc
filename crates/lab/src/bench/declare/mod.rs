//! `bench declare`: what it costs to declare, durably.

mod store;

use anyhow::Result;
use serde_json::json;

use super::table::Findings;

/// Flags.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// Functions that are declared
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub(super) objects: u32,
    /// Writers at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) writers: u32,
    /// Bytes of a function as it is stored
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub(super) bytes: u32,
    /// Where the data folder is made: the disk that is measured (default: the system's
    /// folder for temporary files)
    #[arg(long)]
    pub(super) dir: Option<std::path::PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<Findings> {
    let mut findings = Findings::of("declare");
    let store = store::run(args, &mut findings).await?;
    findings.summary = json!({ "store": store });
    Ok(findings)
}
