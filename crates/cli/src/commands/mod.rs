//! The commands, one file each: its flags and what it does.

pub(crate) mod apply;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod context;
pub(crate) mod cordon;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod describe;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod invoke;
pub(crate) mod kubeconfig;
pub(crate) mod logs;
pub(crate) mod new;
pub(crate) mod policies;
pub(crate) mod probe;
pub(crate) mod replay;
pub(crate) mod rollout;
pub(crate) mod secrets;
pub(crate) mod top;
pub(crate) mod traffic;
pub(crate) mod up;
pub(crate) mod wait;

use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

/// Runs what was typed.
pub(crate) fn run(cli: Cli) -> Outcome<ExitCode> {
    let root = cli.api;
    macro_rules! talk {
        ($module:ident, $args:ident) => {{
            $args.api.inherit(root);
            wait_for($module::run($args))?
        }};
    }
    match cli.command {
        Command::Up(args) => return up::run(args),
        Command::New(args) => new::run(&args)?,
        Command::Deploy(mut args) => talk!(deploy, args),
        Command::Invoke(mut args) => talk!(invoke, args),
        Command::Get(mut args) => talk!(get, args),
        Command::Describe(mut args) => talk!(describe, args),
        Command::Logs(mut args) => talk!(logs, args),
        Command::Delete(mut args) => talk!(delete, args),
        Command::Apply(mut args) => talk!(apply, args),
        Command::Diff(mut args) => {
            args.api.inherit(root);
            return wait_for(diff::run(args));
        }
        Command::Traffic(mut args) => talk!(traffic, args),
        Command::Rollback(mut args) => {
            args.api.inherit(root);
            wait_for(rollout::rollback(args))?;
        }
        Command::Promote(mut args) => {
            args.api.inherit(root);
            wait_for(rollout::promote(args))?;
        }
        Command::Create(mut args) => talk!(create, args),
        Command::Secrets(mut args) => talk!(secrets, args),
        Command::Wait(mut args) => talk!(wait, args),
        Command::Explain(mut args) => talk!(explain, args),
        Command::Policies(mut args) => talk!(policies, args),
        Command::Cordon(mut args) => {
            args.api.inherit(root);
            wait_for(cordon::cordon(args))?;
        }
        Command::Uncordon(mut args) => {
            args.api.inherit(root);
            wait_for(cordon::uncordon(args))?;
        }
        Command::Top(mut args) => talk!(top, args),
        Command::Bench(args) => return bench::bench(args),
        Command::Demo(args) => return bench::demo(args),
        Command::Sim(args) => return bench::sim(args),
        Command::Lab(args) => return bench::lab(args),
        Command::Replay(mut args) => {
            args.api.inherit(root);
            return wait_for(replay::run(args));
        }
        Command::Probe => probe::run()?,
        Command::Context(args) => context::run(args)?,
        Command::Kubeconfig(mut args) => {
            args.api.inherit(root);
            kubeconfig::run(&args)?;
        }
        Command::Doctor(args) => doctor::run(&args)?,
        Command::Completions(args) => completions::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that talks to a platform, on this thread.
fn wait_for<T>(command: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start", error))?
        .block_on(command)
}
