//! `gapless cordon NODE` and `gapless uncordon NODE`: a node takes no new instances,
//! or does again. What runs there stays.

use gapless_api::{Node, ROOT};
use serde_json::json;

use crate::args::ApiArgs;
use crate::failure::Outcome;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless cordon fake-00001
  gapless uncordon fake-00001
  gapless get nodes";

/// Have a node take no new instances; what runs there stays.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    node: String,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn cordon(args: Args) -> Outcome {
    let name = set(&args, true, "cordon").await?;
    output::emit(&format!("node {name} takes no new instances\n"))
}

pub(crate) async fn uncordon(args: Args) -> Outcome {
    let name = set(&args, false, "uncordon").await?;
    output::emit(&format!("node {name} takes instances\n"))
}

async fn set(args: &Args, is_cordoned: bool, verb: &str) -> Outcome<String> {
    crate::args::check_name(&args.node)?;
    let path = format!("{ROOT}/nodes/{}", args.node);
    let what = format!("cannot {verb} node {}", args.node);
    let patch = json!({ "spec": { "unschedulable": is_cordoned } });
    let node: Node = args.api.client()?.patch(&what, &path, &patch).await?;
    Ok(node.metadata.name)
}
