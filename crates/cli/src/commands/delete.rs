//! `gapless delete NAME...`: every name is tried; one failure fails the command.

use gapless_api::{function_path, profile_path};

use crate::args::{ApiArgs, NamespaceArgs, check_name};
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless delete hello
  gapless delete hello thumbnail -n staging
  gapless delete hello --ignore-not-found
  gapless delete profile/packed";

/// What stands before the name of a placement profile.
const PROFILE: &str = "profile/";

/// Delete functions: their routes, their instances, their declarations.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Names of the functions; profile/NAME is a placement profile
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Take it as done when there is no such function
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let namespace = &args.namespace.namespace;
    let bare = args.names.iter().map(|name| name.strip_prefix(PROFILE).unwrap_or(name));
    bare.chain([namespace.as_str()]).try_for_each(check_name)?;
    let mut failures = Vec::new();
    for name in &args.names {
        let (shown, path) = match name.strip_prefix(PROFILE) {
            Some(name) => (format!("placement profile {name}"), profile_path(name)),
            None => (format!("function {namespace}/{name}"), function_path(namespace, name)),
        };
        match client.delete(&format!("cannot delete {shown}"), &path).await {
            Ok(()) => output::emit(&format!("{shown} deleted\n"))?,
            Err(failure) if args.ignore_not_found && failure.is_not_found() => {}
            Err(failure) => failures.push(failure),
        }
    }
    let last = failures.pop();
    for failure in failures {
        eprintln!("{failure}");
    }
    last.map_or(Ok(()), |failure: Failure| match failure.is_not_found() {
        true => Err(failure.help("`gapless get functions -A` lists what there is")),
        false => Err(failure),
    })
}
