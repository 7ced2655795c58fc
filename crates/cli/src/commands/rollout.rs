//! `gapless rollback NAME` and `gapless promote NAME`: what a person wants of a rollout.
//! The declaration stays as it is; what is wanted holds until the next one.

use gapless_api::function_path;
use gapless_types::{Function, RevisionRef};
use serde_json::{Value, json};

use crate::args::{ApiArgs, NamespaceArgs, check_name, place};
use crate::failure::{Failure, Outcome};
use crate::output;

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  gapless rollback hello                     to the revision that served before
  gapless rollback hello --to hello-00002    to this one
  gapless get revisions -l gapless.dev/function=hello

What was rolled back takes no requests until the function is deployed anew, or
`gapless promote` tries it again. The declaration is not changed.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  gapless promote hello            the new revision takes everything now
  gapless promote hello --retry    what was rolled back begins its steps again

A new revision is probed all the same before it takes requests.";

/// Go back to an earlier revision.
#[derive(clap::Args, Debug)]
#[command(after_help = ROLLBACK_EXAMPLES)]
pub(crate) struct RollbackArgs {
    /// Name of the function
    name: String,
    /// To this revision instead of the one that served before
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Have a new revision take over without further steps.
#[derive(clap::Args, Debug)]
#[command(after_help = PROMOTE_EXAMPLES)]
pub(crate) struct PromoteArgs {
    /// Name of the function
    name: String,
    /// Try the revision that was rolled back again, with the steps of spec.rollout
    #[arg(long)]
    retry: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn rollback(args: RollbackArgs) -> Outcome {
    let namespace = args.namespace.of(&args.api)?;
    let mut wish = json!({ "action": "rollback" });
    if let Some(to) = &args.to {
        wish["to"] = to.as_str().into();
    }
    let what = format!("cannot roll back function {namespace}/{}", args.name);
    let function = steer(&args.api, &what, &namespace, &args.name, &wish).await?;
    let status = function.status.clone().unwrap_or_default();
    let stable = &status.latest_ready_revision;
    let mut told = format!("function {namespace}/{} rolled back, {stable} serves\n", args.name);
    if function.spec.traffic.iter().all(|target| target.revision != RevisionRef::Latest) {
        let place = place(&namespace);
        told += &format!(
            "  note: spec.traffic names revisions only, so requests go where they went; see \
             `gapless traffic {}{place}`\n",
            args.name
        );
    }
    output::emit(&told)
}

pub(crate) async fn promote(args: PromoteArgs) -> Outcome {
    let namespace = args.namespace.of(&args.api)?;
    let action = if args.retry { "retry" } else { "promote" };
    let what = format!("cannot {action} function {namespace}/{}", args.name);
    let wish = json!({ "action": action });
    let function = steer(&args.api, &what, &namespace, &args.name, &wish).await?;
    let status = function.status.unwrap_or_default();
    let shown = format!("function {namespace}/{}", args.name);
    let told = match status.rollout {
        Some(rollout) if rollout.phase != "RolledBack" => {
            format!("{shown}: {} goes on, {}\n", rollout.to, rollout.reason)
        }
        _ => format!("{shown}: {} takes everything\n", status.latest_ready_revision),
    };
    output::emit(&told)
}

async fn steer(
    api: &ApiArgs,
    what: &str,
    namespace: &str,
    name: &str,
    wish: &Value,
) -> Outcome<Function> {
    check_name(name)?;
    let path = format!("{}/rollout", function_path(namespace, name));
    api.client()?.post(what, &path, wish).await.map_err(|failure: Failure| {
        match failure.is_not_found() {
            true => failure.help("`gapless get functions -A` lists what there is"),
            false => {
                let place = place(namespace);
                failure.help(format!("see `gapless describe function {name}{place}`"))
            }
        }
    })
}
