//! `gapless context`: platforms that have names, and which one is meant.

use serde_json::json;

use crate::args::{OutputArgs, check_name};
use crate::client::Client;
use crate::contexts::{Context, Contexts};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  gapless context                                     list them; * is the current one
  gapless context add lab --api http://10.0.0.5:8090 -n team
  gapless context use lab
  gapless context remove lab

They are kept in $XDG_CONFIG_HOME/gapless/contexts.yaml, or ~/.config/gapless/. --api and
GAPLESS_API win over them; -n wins over a context's namespace.";

/// List, add, choose and remove platforms by name.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Have commands talk to this one
    Use {
        /// Its name
        name: String,
    },
    /// Add one, or change it; the first is the current one
    Add {
        /// Its name
        name: String,
        /// Where its API is, such as http://127.0.0.1:8090
        #[arg(long = "api", value_name = "URL")]
        api: String,
        /// The namespace when -n names none
        #[arg(short, long)]
        namespace: Option<String>,
    },
    /// Remove one
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) fn run(args: Args) -> Outcome {
    let mut contexts = Contexts::read()?;
    match args.action {
        None => list(&contexts, Format::Table),
        Some(Action::List { output }) => list(&contexts, output.output),
        Some(Action::Use { name }) => {
            contexts.find(&name)?;
            contexts.current = Some(name.clone());
            contexts.write()?;
            output::emit(&format!("context {name} is used now\n"))
        }
        Some(Action::Add { name, api, namespace }) => add(contexts, name, api, namespace),
        Some(Action::Remove { name }) => {
            contexts.find(&name)?;
            contexts.contexts.retain(|context| context.name != name);
            if contexts.current.as_ref() == Some(&name) {
                contexts.current = None;
            }
            contexts.write()?;
            output::emit(&format!("context {name} removed\n"))
        }
    }
}

fn add(mut contexts: Contexts, name: String, api: String, namespace: Option<String>) -> Outcome {
    if name.is_empty() || name.chars().any(|char| char.is_control() || char.is_whitespace()) {
        return Err(Failure::usage("wrong name", "a context's name has no blanks"));
    }
    namespace.iter().try_for_each(|namespace| check_name(namespace))?;
    Client::new(&api)?;
    let context = Context { name: name.clone(), api, namespace };
    let word = match contexts.contexts.iter_mut().find(|known| known.name == name) {
        Some(known) => {
            *known = context;
            "changed"
        }
        None => {
            contexts.contexts.push(context);
            "added"
        }
    };
    if contexts.current.is_none() {
        contexts.current = Some(name.clone());
    }
    contexts.write()?;
    output::emit(&format!("context {name} {word}\n"))
}

fn list(contexts: &Contexts, format: Format) -> Outcome {
    let is_current = |context: &Context| contexts.current.as_ref() == Some(&context.name);
    match format {
        Format::Json | Format::Yaml => {
            let all = serde_json::to_value(&contexts.contexts).unwrap_or_default();
            output::emit_value(format, &json!({ "current": contexts.current, "contexts": all }))
        }
        Format::Name => {
            contexts.contexts.iter().try_for_each(|it| output::emit(&format!("{}\n", it.name)))
        }
        Format::Table | Format::Wide if contexts.contexts.is_empty() => {
            eprintln!("no contexts; commands talk to http://127.0.0.1:8090");
            Ok(())
        }
        Format::Table | Format::Wide => {
            let row = |context: &Context| {
                vec![
                    if is_current(context) { "*" } else { "" }.to_owned(),
                    context.name.clone(),
                    context.api.clone(),
                    context.namespace.clone().unwrap_or_else(|| "default".to_owned()),
                ]
            };
            let rows: Vec<Vec<String>> = contexts.contexts.iter().map(row).collect();
            output::emit(&Table::render(&["", "NAME", "API", "NAMESPACE"], &rows))
        }
    }
}
