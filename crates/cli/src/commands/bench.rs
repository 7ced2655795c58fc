//! `gapless bench`, and the program it runs as a function. The measuring is
//! `gapless_lab`'s.

use std::process::ExitCode;

use crate::failure::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  gapless bench all
  gapless bench warm --help
  gapless bench cold --json

Every bench starts a platform of its own on free ports and a temporary folder.
`gapless doctor` says which of the programs it compares with are missing.";

/// Measure the platform on this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    lab: gapless_lab::bench::Args,
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let outcome = on_all_cores(gapless_lab::bench::run(args.lab))?;
    judge("the bench did not end", outcome)
}

/// The test program, as `gapless probe`.
pub(crate) fn probe() -> Outcome<ExitCode> {
    gapless_probe::serve_from_env().map_err(|error| Failure::new("cannot serve", error))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs work of the lab's, which loads the platform as hard as it can.
pub(crate) fn on_all_cores<T>(work: impl Future<Output = T>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::new("cannot start", error))?.block_on(work))
}

/// What the shell is told: whether every answer was right.
pub(crate) fn judge(what: &str, outcome: anyhow::Result<bool>) -> Outcome<ExitCode> {
    match outcome {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) => Err(Failure::new(what, format!("{error:#}"))),
    }
}
