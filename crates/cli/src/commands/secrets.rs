//! `gapless secrets rotate-key`: every secret is sealed with a new key.

use gapless_api::{KeyRotation, key_rotation_path};
use serde_json::json;

use crate::args::ApiArgs;
use crate::failure::Outcome;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless secrets rotate-key
  gapless get secrets -A

The key is in the data folder, in secrets.key. Back the file up again afterwards: a former
copy does not open what is sealed from now on. When it is interrupted nothing is lost: both
keys are kept, and rotating again completes it.";

/// Look after the keys that seal secrets.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Seal every secret with a new key, and remove the old ones
    #[command(after_help = EXAMPLES)]
    RotateKey,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let Command::RotateKey = args.command;
    let client = args.api.client()?;
    let what = "cannot rotate the key of secrets";
    let done: KeyRotation = client.post(what, &key_rotation_path(), &json!({})).await?;
    let KeyRotation { key, resealed, .. } = done;
    output::emit(&format!("secrets are sealed with key {key}; {resealed} were sealed again\n"))
}
