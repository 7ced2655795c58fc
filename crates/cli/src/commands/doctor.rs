//! `gapless doctor`: what this machine supports, and how to get the rest.
//!
//! Each check looks for real (opens, binds, runs), changes nothing, and says
//! what it found and, where something is missing, the command that brings it.
//! Only what `gapless up` cannot do without fails the command.

mod machine;
mod tools;

use std::path::PathBuf;

use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  gapless doctor
  gapless doctor -o json
  gapless doctor --data-dir /srv/gapless";

/// Say what this machine supports, and how to get the rest.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The data folder `gapless up` would use
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How to print: table or json
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there.
    Ok,
    /// It is not there, and something optional will not work.
    Missing,
    /// It is not there, and `gapless up` will not work.
    Broken,
}

/// One thing looked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    /// What was looked for.
    name: &'static str,
    /// How it ended.
    state: State,
    /// What was found.
    found: String,
    /// What it is for.
    needed_for: &'static str,
    /// How to get it, when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    /// A check that found what it looked for.
    fn ok(name: &'static str, needed_for: &'static str, found: impl Into<String>) -> Self {
        Check { name, state: State::Ok, found: found.into(), needed_for, help: None }
    }

    /// A check that did not.
    fn lacking(
        name: &'static str,
        needed_for: &'static str,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let help = Some(help.into());
        Check { name, state: State::Missing, found: found.into(), needed_for, help }
    }

    /// The same, for something that `gapless up` cannot do without.
    fn broken(mut self) -> Self {
        self.state = State::Broken;
        self
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut checks = machine::checks(args.data_dir.as_deref());
    checks.extend(tools::checks());
    match args.output {
        Format::Table | Format::Wide => output::emit(&table(&checks))?,
        Format::Name => {
            checks.iter().try_for_each(|check| output::emit(&format!("{}\n", check.name)))?;
        }
        Format::Json | Format::Yaml => {
            let value =
                serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "checks": checks });
            output::emit_value(args.output, &value)?;
        }
    }
    match checks.iter().filter(|check| check.state == State::Broken).count() {
        0 => Ok(()),
        count => {
            Err(Failure::new("this machine cannot run gapless", format!("{count} checks failed"))
                .help("the lines marked `broken` say what to do"))
        }
    }
}

fn table(checks: &[Check]) -> String {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let state = match check.state {
                State::Ok => "ok",
                State::Missing => "missing",
                State::Broken => "broken",
            };
            vec![state.into(), check.name.into(), check.found.clone(), check.needed_for.into()]
        })
        .collect();
    let mut text = Table::render(&["STATE", "WHAT", "FOUND", "FOR"], &rows);
    let wanting: Vec<&Check> = checks.iter().filter(|check| check.state != State::Ok).collect();
    if !wanting.is_empty() {
        text.push_str("\nTo get the rest:\n");
    }
    for check in wanting {
        let help = check.help.as_deref().unwrap_or("-");
        text.push_str(&format!("  {}: {help}\n", check.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_is_not_ok_says_how_to_get_it() {
        let mut checks = machine::checks(None);
        checks.extend(tools::checks());
        for check in &checks {
            assert!(!check.found.is_empty(), "{check:?}");
            assert_eq!(check.state == State::Ok, check.help.is_none(), "{check:?}");
        }
        let mut names: Vec<_> = checks.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), checks.len(), "each is looked for once");
    }
}
