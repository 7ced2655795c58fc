//! `gapless up`: the whole platform in this process, until it is told to end.
//!
//! One line on stdout says that it is ready: programs that start it wait for
//! that line and take the two URLs from it. Everything else goes to stderr.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Outcome};
use crate::platform::{Options, Platform};
use gapless_control::{Taint, TaintEffect};

/// Where the gateway listens unless somebody says otherwise.
pub(crate) const GATEWAY_DEFAULT: &str = "127.0.0.1:8080";
/// Where the API listens unless somebody says otherwise.
pub(crate) const API_DEFAULT: &str = "127.0.0.1:8090";
/// Most modelled nodes.
const FAKE_NODES_MAX: i64 = 20_000;
/// What the shell is told after a second Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

/// Decisions kept by default: a view costs little while the cluster is small.
const EXPLAIN_DECISIONS: u32 = 256;
/// The most that may be kept.
const EXPLAIN_DECISIONS_MAX: i64 = 100_000;

const EXAMPLES: &str = "\
Examples:
  gapless up
  gapless up --data-dir /srv/gapless --gateway 127.0.0.1:9080 --api 127.0.0.1:9090
  gapless up --gateway 127.0.0.1:0 --api 127.0.0.1:0    any free ports; the line says which
  gapless up --fake-nodes 1000                          a thousand modelled nodes as well

When it is ready it prints one line with both URLs:
  gapless ready: gateway http://127.0.0.1:8080 api http://127.0.0.1:8090
Ctrl-C or SIGTERM ends it once the requests under way are answered; a second
Ctrl-C ends it at once.";

/// Run the platform on this machine: gateway, control and node in one process.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where functions, code and logs are kept [default: $XDG_DATA_HOME/gapless or ~/.local/share/gapless]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where functions are called
    #[arg(long, value_name = "ADDR", default_value = GATEWAY_DEFAULT)]
    gateway: SocketAddr,
    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = API_DEFAULT)]
    api: SocketAddr,
    /// Modelled nodes besides this machine, for functions with spec.fake
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=FAKE_NODES_MAX))]
    fake_nodes: u32,
    /// A label of this machine's node, for spec.placement.require; may be given again
    #[arg(long = "node-label", value_name = "KEY=VALUE", value_parser = key_value)]
    node_labels: Vec<(String, String)>,
    /// A taint of this machine's node: functions must tolerate it; may be given again
    #[arg(long = "node-taint", value_name = "KEY[=VALUE][:EFFECT]", value_parser = taint)]
    node_taints: Vec<Taint>,
    /// Placement decisions kept, so that `gapless explain` shows them as they were made
    #[arg(long, value_name = "N", default_value_t = EXPLAIN_DECISIONS,
        value_parser = clap::value_parser!(u32).range(0..=EXPLAIN_DECISIONS_MAX))]
    explain_decisions: u32,
    /// Weigh placement policies as the default profile says, and learn nothing from what comes of it
    #[arg(long)]
    no_balance: bool,
    /// What is said on stderr: error, warn, info, debug, trace, or by part: warn,gapless_gateway=debug
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
    /// Say it as JSON, one object a line
    #[arg(long)]
    log_json: bool,
    /// End when the program that started this one ends, however that comes about
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("{text:?} is not KEY=VALUE, such as zone=a"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn taint(text: &str) -> Result<Taint, String> {
    let (rest, effect) = match text.rsplit_once(':') {
        None | Some((_, "NoSchedule")) => {
            (text.trim_end_matches(":NoSchedule"), TaintEffect::NoSchedule)
        }
        Some((rest, "PreferNoSchedule")) => (rest, TaintEffect::PreferNoSchedule),
        Some((_, other)) => {
            return Err(format!("effect {other:?} is neither NoSchedule nor PreferNoSchedule"));
        }
    };
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if key.is_empty() {
        return Err(format!("{text:?} has no key; such as spot or team=x:PreferNoSchedule"));
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect })
}

/// The data folder unless somebody says otherwise: `gapless` among the user's data.
pub(crate) fn default_data_dir() -> Outcome<PathBuf> {
    let folder = |variable| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
    data.map(|data| data.join("gapless")).ok_or_else(|| {
        Failure::usage("no data folder", "neither XDG_DATA_HOME nor HOME is set")
            .help("give one with --data-dir DIR")
    })
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(default_data_dir, Ok)?;
    start_logging(&args)?;
    raise_file_limit();
    if args.end_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .map_err(|error| Failure::new("cannot tie this program to its parent", error))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start", error))?;
    let options = Options {
        data_dir,
        gateway: args.gateway,
        api: args.api,
        fake_nodes: args.fake_nodes,
        node_labels: args.node_labels,
        node_taints: args.node_taints,
        explain_decisions: args.explain_decisions as usize,
        balances: !args.no_balance,
    };
    let outcome = runtime.block_on(serve(options));
    // Whatever still blocks (a compilation) has nobody to report to.
    runtime.shutdown_background();
    outcome
}

async fn serve(options: Options) -> Outcome<ExitCode> {
    let mut stop = StopSignals::listen()?;
    warn_if_open(&options);
    let platform = tokio::select! {
        started = Platform::start(options) => started?,
        // What was begun is dropped, and with it everything it made.
        () = stop.next() => return Ok(ExitCode::SUCCESS),
    };
    let line =
        format!("gapless ready: gateway {} api {}\n", platform.gateway_url, platform.api_url);
    let mut out = std::io::stdout();
    // Nobody has to read it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    if std::io::stderr().is_terminal() {
        eprintln!("Ctrl-C to stop");
    }
    stop.next().await;
    if std::io::stderr().is_terminal() {
        eprintln!("stopping; Ctrl-C again to end at once");
    }
    tokio::select! {
        () = platform.stop() => Ok(ExitCode::SUCCESS),
        () = stop.next() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
    }
}

/// Ctrl-C and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new("cannot start", error));
        Ok(StopSignals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn warn_if_open(options: &Options) {
    let addresses = [("gateway", "--gateway", options.gateway), ("API", "--api", options.api)];
    for (what, flag, address) in addresses {
        if !address.ip().is_loopback() {
            eprintln!(
                "warning: the {what} listens on {address}, where other machines may reach it: \
                 nothing asks who they are. Use {flag} 127.0.0.1:{} to keep it to this machine",
                address.port()
            );
        }
    }
}

/// Takes as many open files as this process may have: every connection and every
/// instance is one or more, and the usual limit of 1,024 is for interactive programs.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

fn start_logging(args: &Args) -> Outcome {
    gapless_telemetry::log::init(&args.log_level, args.log_json).map_err(|error| {
        Failure::usage(format!("--log-level {}", args.log_level), error)
            .help("give a level (error, warn, info, debug, trace) or more, such as warn,gapless_gateway=debug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_read_like_kubernetes() {
        let read = |text| taint(text).map(|taint| (taint.key, taint.value, taint.effect));
        let strict = TaintEffect::NoSchedule;
        assert_eq!(read("spot"), Ok(("spot".into(), String::new(), strict)));
        assert_eq!(read("team=x:NoSchedule"), Ok(("team".into(), "x".into(), strict)));
        let soft = TaintEffect::PreferNoSchedule;
        assert_eq!(read("old:PreferNoSchedule"), Ok(("old".into(), String::new(), soft)));
        assert!(read("a:Sometimes").is_err() && read(":NoSchedule").is_err());
        assert!(key_value("zone=a").is_ok() && key_value("=a").is_err() && key_value("a").is_err());
    }
}
