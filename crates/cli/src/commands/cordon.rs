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
    let path = path(&args.node)?;
    let what = format!("cannot cordon node {}", args.node);
    let node: Node = args.api.client()?.put(&what, &path, &json!({})).await?;
    output::emit(&format!("node {} takes no new instances\n", node.metadata.name))
}

pub(crate) async fn uncordon(args: Args) -> Outcome {
    let path = path(&args.node)?;
    args.api.client()?.delete(&format!("cannot uncordon node {}", args.node), &path).await?;
    output::emit(&format!("node {} takes instances\n", args.node))
}

fn path(node: &str) -> Outcome<String> {
    crate::args::check_name(node)?;
    Ok(format!("{ROOT}/nodes/{node}/cordon"))
}
