//! `gapless bench` and `gapless demo`: what the platform does and costs on this
//! machine. Both are `gapless-lab`'s; this runs them.

use std::process::ExitCode;

use crate::failure::{Failure, Outcome};

pub(crate) fn run(args: gapless_lab::bench::Args) -> Outcome<ExitCode> {
    wait_for("the bench", gapless_lab::bench::run(args))
}

pub(crate) fn demo(args: gapless_lab::demo::Args) -> Outcome<ExitCode> {
    wait_for("the demo", gapless_lab::demo::run(args))
}

fn wait_for(what: &str, work: impl Future<Output = anyhow::Result<bool>>) -> Outcome<ExitCode> {
    // The load shares the machine with the platform: one thread of it is enough.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start", error))?;
    let all_right = runtime
        .block_on(work)
        .map_err(|error| Failure::new(format!("{what} did not finish"), format!("{error:#}")))?;
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
