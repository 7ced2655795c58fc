//! `gapless delete NAME...`: every name is tried; one failure fails the command.

use gapless_api::function_path;

use crate::args::{ApiArgs, NamespaceArgs, check_name};
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless delete hello
  gapless delete hello thumbnail -n staging
  gapless delete hello --ignore-not-found";

/// Delete functions: their routes, their instances, their declarations.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Names of the functions
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
    args.names.iter().chain([namespace]).try_for_each(|name| check_name(name))?;
    let mut failures = Vec::new();
    for name in &args.names {
        let what = format!("cannot delete function {namespace}/{name}");
        match client.delete(&what, &function_path(namespace, name)).await {
            Ok(()) => output::emit(&format!("function {namespace}/{name} deleted\n"))?,
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
