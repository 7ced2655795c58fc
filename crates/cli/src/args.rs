//! What may be typed: the commands, and the flags that several of them share.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use gapless_types::Span;

use crate::client::Client;
use crate::commands::{
    apply, bench, completions, context, cordon, create, delete, deploy, describe, diff, doctor,
    explain, get, invoke, kubeconfig, logs, new, policies, replay, rollout, secrets, top, traffic,
    up, wait,
};
use crate::contexts::Contexts;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// Where a platform's API is unless somebody says otherwise.
const API_DEFAULT: &str = "http://127.0.0.1:8090";
/// Where names count unless somebody says otherwise.
const NAMESPACE_DEFAULT: &str = "default";
/// The environment variable that says where.
const API_VARIABLE: &str = "GAPLESS_API";

const ABOUT: &str =
    "A self-hostable serverless platform: functions that start when they are called.";

const EXAMPLES: &str = "\
Examples:
  gapless demo                          see it work, from an empty folder to a burst
  gapless up                            run the platform on this machine
  gapless new hello --template python   make a function's folder
  gapless deploy hello                  deploy it
  gapless invoke hello -d 'world'       call it
  gapless logs -f hello                 watch what it writes
  gapless apply -f functions/           declare what files say
  gapless top                           watch the platform work

Exit codes: 0 done, 1 failed, 2 used wrongly.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "gapless", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Which platform to talk to, before or after the command [env: GAPLESS_API]
    #[arg(long = "api", value_name = "URL", id = "root_api")]
    pub(crate) api: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the platform on this machine
    Up(up::Args),
    /// Make a new function's folder from a template
    New(new::Args),
    /// Deploy the function in a folder
    Deploy(deploy::Args),
    /// Call a function
    Invoke(invoke::Args),
    /// Have the platform be as files say: functions, profiles, secrets, config maps
    Apply(apply::Args),
    /// Create a secret or a config map from values and files
    Create(create::Args),
    /// Rotate the key that seals secrets
    Secrets(secrets::Args),
    /// Show what applying files would change
    Diff(diff::Args),
    /// List functions, revisions, instances, nodes, secrets, events and more
    Get(get::Args),
    /// Show everything about one function or other object
    Describe(describe::Args),
    /// Show or set which revision takes which share of a function's requests
    Traffic(traffic::Args),
    /// Go back to an earlier revision
    Rollback(rollout::RollbackArgs),
    /// Have a new revision take over without further steps
    Promote(rollout::PromoteArgs),
    /// Wait until a condition holds, or until an object is gone
    Wait(wait::Args),
    /// Show what a function writes
    Logs(logs::Args),
    /// Show why an instance is where it is, policy by policy
    Explain(explain::Args),
    /// Show placement policies, which pull against which, and how they are weighed
    Policies(policies::Args),
    /// Delete functions and other objects
    Delete(delete::Args),
    /// Have a node take no new instances
    Cordon(cordon::Args),
    /// Have a cordoned node take instances again
    Uncordon(cordon::Args),
    /// Watch the platform work
    Top(top::Args),
    /// See it work: the platform up, three functions deployed, called cold, warm and 500 at once
    Demo(bench::DemoArgs),
    /// Measure the platform on this machine
    Bench(bench::BenchArgs),
    /// Run a workload on modelled nodes, with the platform's own cores
    Sim(bench::SimArgs),
    /// Compare start planners, or weights of placement policies, over workloads
    Lab(bench::LabArgs),
    /// Send a trace to a running platform, as it says when and for how long
    Replay(replay::ReplayArgs),
    /// Say what this machine supports, and how to get the rest
    Doctor(doctor::Args),
    /// List, add, choose and remove platforms by name
    Context(context::Args),
    /// Print a kubeconfig of the platform, for kubectl, k9s and friends
    Kubeconfig(kubeconfig::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Serve HTTP on $PORT or $GAPLESS_SOCKET: the program that the benches deploy
    #[command(hide = true)]
    Probe,
}

/// Which platform.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// Which platform to talk to [env: GAPLESS_API] [default: the context's, or
    /// http://127.0.0.1:8090]
    #[arg(long = "api", value_name = "URL", global = true)]
    api: Option<String>,
}

impl ApiArgs {
    /// Takes what was typed before the command, unless it was typed after it too.
    pub(crate) fn inherit(&mut self, root: Option<String>) {
        self.api = self.api.take().or(root);
    }

    /// Where its API is, as it was typed or as the context says.
    pub(crate) fn url(&self) -> Outcome<String> {
        if let Some(url) = self.named() {
            return Ok(url);
        }
        let contexts = Contexts::read()?;
        Ok(contexts.current()?.map_or(API_DEFAULT.to_owned(), |context| context.api.clone()))
    }

    /// Where its API is, if it was named for this command.
    fn named(&self) -> Option<String> {
        let variable = || std::env::var(API_VARIABLE).ok().filter(|url| !url.is_empty());
        self.api.clone().or_else(variable)
    }

    /// The namespace when none is named.
    pub(crate) fn namespace(&self) -> Outcome<String> {
        let default = || NAMESPACE_DEFAULT.to_owned();
        if self.named().is_some() {
            return Ok(default());
        }
        let contexts = Contexts::read()?;
        let namespace = contexts.current()?.and_then(|context| context.namespace.clone());
        Ok(namespace.unwrap_or_else(default))
    }

    /// A client of that platform.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::new(&self.url()?)
    }
}

/// In which namespace.
#[derive(Args, Clone, Debug)]
pub(crate) struct NamespaceArgs {
    /// Namespace [default: the context's, or default]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

impl NamespaceArgs {
    /// The namespace, checked: as it was typed, or as the context says.
    pub(crate) fn of(&self, api: &ApiArgs) -> Outcome<String> {
        let namespace = self.namespace.clone().map_or_else(|| api.namespace(), Ok)?;
        check_name(&namespace)?;
        Ok(namespace)
    }
}

/// ` -n NAMESPACE`, as a person has to type it after a command that names a function.
pub(crate) fn place(namespace: &str) -> String {
    match namespace {
        NAMESPACE_DEFAULT => String::new(),
        namespace => format!(" -n {namespace}"),
    }
}

/// How to print.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Reads a length of time, such as `30s`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0).map_err(|error| error.to_string())
}

/// Checks a name or a namespace that was typed.
pub(crate) fn check_name(name: &str) -> Outcome {
    gapless_types::check_name(name).map_err(|error| {
        Failure::usage("wrong name", error).help("names are shown by `gapless get functions -A`")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", command.get_name());
        }
    }

    #[test]
    fn the_platform_may_be_named_on_either_side() {
        let client = |line: &[&str]| {
            let cli = Cli::try_parse_from(line).unwrap();
            let Command::Get(mut args) = cli.command else { panic!("not get") };
            args.api.inherit(cli.api);
            args.api.client().unwrap().url().to_owned()
        };
        let before = ["gapless", "--api", "http://a:1", "get", "nodes"];
        assert_eq!(client(&before), "http://a:1");
        let both = ["gapless", "--api", "http://a:1", "get", "nodes", "--api", "http://b:2"];
        assert_eq!(client(&both), "http://b:2");
    }

    /// Also of a command that has commands of its own.
    #[test]
    fn the_platform_may_be_named_at_the_end() {
        let ends: [&[&str]; 2] = [&["policies", "explain"], &["secrets", "rotate-key"]];
        for words in ends {
            let line = [&["gapless"], words, &["--api", "http://a:1"]].concat();
            let api = match Cli::try_parse_from(line).unwrap().command {
                Command::Policies(args) => args.api,
                Command::Secrets(args) => args.api,
                other => panic!("{other:?}"),
            };
            assert_eq!(api.client().unwrap().url(), "http://a:1");
        }
    }
}
