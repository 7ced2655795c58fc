//! `gapless delete NAME...`: every name is tried; one failure fails the command.

use gapless_api::function_path;

use super::apply::{all_told, check_path};
use crate::args::{ApiArgs, NamespaceArgs, check_name};
use crate::discovery::Kinds;
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless delete hello
  gapless delete hello thumbnail -n staging
  gapless delete hello --ignore-not-found
  gapless delete profile/packed secret/key configmap/words";

/// Delete functions, with their routes and instances, and other objects.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Names of functions; KIND/NAME of objects of any kind
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Take it as done when there is no such object
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let namespace = &args.namespace.of(&args.api)?;
    let is_of_kind = |name: &&String| name.contains('/');
    args.names.iter().filter(|name| !is_of_kind(name)).try_for_each(|name| check_name(name))?;
    // Functions alone need no discovery.
    let kinds = match args.names.iter().any(|name| is_of_kind(&name)) {
        true => Some(Kinds::of(&client).await?),
        false => None,
    };
    let mut objects = Vec::new();
    for name in &args.names {
        objects.push(match (name.split_once('/'), &kinds) {
            (Some((kind, name)), Some(kinds)) => {
                let kind = kinds.called(kind)?;
                check_path(name)?;
                (kind.shown(name), kind.path(namespace, name))
            }
            _ => (format!("function {namespace}/{name}"), function_path(namespace, name)),
        });
    }
    let mut failures = Vec::new();
    for (shown, path) in &objects {
        match client.delete(&format!("cannot delete {shown}"), path).await {
            Ok(()) => output::emit(&format!("{shown} deleted\n"))?,
            Err(failure) if args.ignore_not_found && failure.is_not_found() => {}
            Err(failure) => failures.push(failure),
        }
    }
    all_told(failures).map_err(|failure: Failure| match failure.is_not_found() {
        true => failure.help("`gapless get functions -A` lists what there is"),
        false => failure,
    })
}
