//! `gapless bench` and `gapless demo`: what the platform does and costs on this
//! machine. Both are `gapless-lab`'s; this says how to use them and runs them.

use std::process::ExitCode;

use gapless_lab::Interrupted;

use crate::failure::{Failure, Outcome};

const BENCH_EXAMPLES: &str = "\
Examples:
  gapless bench all
  gapless bench cold --json
  gapless bench warm --help

Every bench starts a platform of its own on free ports and a temporary folder.
`gapless doctor` says which of the programs it compares with are missing.";

const DEMO_EXAMPLES: &str = "\
Examples:
  gapless demo
  gapless demo --json

It starts a platform of its own on free ports and a temporary folder, checks
every answer, and leaves nothing behind.";

/// Measure the platform on this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    lab: gapless_lab::bench::Args,
}

/// See it work.
#[derive(clap::Args, Debug)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    lab: gapless_lab::demo::Args,
}

pub(crate) fn bench(args: BenchArgs) -> Outcome<ExitCode> {
    wait_for("the bench", gapless_lab::bench::run(args.lab))
}

pub(crate) fn demo(args: DemoArgs) -> Outcome<ExitCode> {
    wait_for("the demo", gapless_lab::demo::run(args.lab))
}

fn wait_for(what: &str, work: impl Future<Output = anyhow::Result<bool>>) -> Outcome<ExitCode> {
    // The load shares the machine with the platform: one thread of it is enough.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start", error))?;
    let all_right = match runtime.block_on(work) {
        Ok(all_right) => all_right,
        Err(error) => {
            let failure = Failure::new(format!("{what} did not finish"), format!("{error:#}"));
            let Some(interrupted) = error.downcast_ref::<Interrupted>() else {
                return Err(failure);
            };
            eprintln!("{failure}");
            return Ok(ExitCode::from(interrupted.exit_code));
        }
    };
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
