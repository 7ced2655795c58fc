//! `gapless bench`, `demo`, `sim` and `lab`: what the platform does and costs on this
//! machine, and would on others. They are `gapless-lab`'s; this says how to use them
//! and runs them.

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

const SIM_EXAMPLES: &str = "\
Examples:
  gapless sim --trace traces/azure2019-244fn.csv --nodes 20
  gapless sim --generate 1000:2000000 --nodes 200 --planner window --json
  gapless sim --shape burst:1000 --start-model knative --planner sync
  gapless sim --list-start-models

Nothing is started: nodes, starts and requests are modelled, the decisions are
made by the code that the platform runs. docs/lab.md says what is modelled.";

const LAB_EXAMPLES: &str = "\
Examples:
  gapless lab start
  gapless lab start --scenario burst,day --seeds 3 --json
  gapless lab start --plots plots
  gapless lab start --real
  gapless lab balance --no-singles
  gapless lab balance --mix web --cluster even --seeds 3 --json";

const BALANCE_EXAMPLES: &str = "\
Examples:
  gapless lab balance                          everybody on every mix and cluster; about half an hour
  gapless lab balance --no-singles --seeds 3   a few minutes
  gapless lab balance --mix shop --cluster spot --plots plots --json
  gapless lab balance --conflicts              which scores pull against which
  gapless lab balance --tune --generations 20 > prior.json
  gapless lab balance --prior prior.json       compare with another prior than the shipped one

Nothing is started: nodes, instances and what they cost are modelled, placements and
learning are the platform's own code. docs/balance.md says what is modelled.";

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

/// Simulate.
#[derive(clap::Args, Debug)]
#[command(after_help = SIM_EXAMPLES)]
pub(crate) struct SimArgs {
    #[command(flatten)]
    lab: gapless_lab::start::sim::Args,
}

/// Compare.
#[derive(clap::Args, Debug)]
#[command(after_help = LAB_EXAMPLES)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    lab: Lab,
}

#[derive(clap::Subcommand, Debug)]
enum Lab {
    /// Start planners, over workloads and seeds
    #[command(after_help = LAB_EXAMPLES)]
    Start(gapless_lab::start::lab::Args),
    /// Weights of placement policies, fixed and learned, over workloads and clusters
    #[command(after_help = BALANCE_EXAMPLES)]
    Balance(gapless_lab::balance::Args),
}

pub(crate) fn sim(args: SimArgs) -> Outcome<ExitCode> {
    wait_for("the simulation", gapless_lab::start::sim::run(args.lab))
}

pub(crate) fn lab(args: LabArgs) -> Outcome<ExitCode> {
    match args.lab {
        Lab::Start(args) => wait_for("the lab", gapless_lab::start::lab::run(args)),
        Lab::Balance(args) => wait_for("the lab", gapless_lab::balance::run(args)),
    }
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
