//! `gapless replay`: a trace, sent to a running platform.
//!
//! | part | where |
//! |---|---|
//! | what the trace invokes, under which names | [`survey`] |
//! | deploying that, and removing it again | [`deploy`] |
//! | when each request is due | [`pace`] |
//! | sending it then | [`drive`] |
//! | what came of it | [`tally`], [`report`] |
//! | memory held meanwhile | [`memory`] |
//!
//! The trace's functions are stood in for by one that sleeps as long as the trace says
//! the request worked, or by folders of the caller's. What always holds: the load is
//! open, so a slow platform is sent as much as a fast one; what was deployed is deleted
//! at the end, however it ends, unless it was asked to be kept.
//!
//! [`drive::drive`] and [`memory::Sampler`] need no part of this module but each other:
//! they drive any functions on any platform.

mod deploy;
pub(crate) mod drive;
pub(crate) mod memory;
mod pace;
mod report;
mod survey;
pub(crate) mod tally;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use gapless_types::{KeepAlive, Span, StartMode};
use gapless_workload::{Arrival, ReadOptions, Workload, open};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::{Api, NAMESPACE};
use crate::interrupt::{Interrupted, on_a_thread};
use crate::load::Answer;
use deploy::{Declared, What};
use drive::{Check, InFlight, Options, PathOf, Progress, drive, in_flight_max};
use memory::{Sampler, Watched};
use report::{Report, Setting, Starts};
use survey::{Survey, survey};

/// Starts by outcome.
const STARTS: &str = "gapless_node_starts_total";
/// How long an answer may take beyond its service time.
const PATIENCE: Duration = Duration::from_secs(120);
/// What to exit with: 128 and the signal's number, as shells do.
const SIGINT_CODE: u8 = 130;
const SIGTERM_CODE: u8 = 143;

/// Send a trace to a running platform
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The trace: a file, or a folder with the files of one; docs/workloads.md says which
    #[arg(long, value_name = "FILE|FOLDER")]
    trace: PathBuf,
    /// How much faster than in the trace requests arrive; how long they work stays as it is
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Only what arrives before this, in the trace's time
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
    /// What is random in reading the trace follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Deploy and call the functions in this folder's sub-folders, each named like a function of
    /// the trace, instead of the provided one, which sleeps
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// What to ask them for
    #[arg(long, value_name = "PATH", default_value = "/", requires = "functions")]
    path: String,
    /// How many functions may be deployed
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    functions_max: usize,
    /// Leave the functions deployed
    #[arg(long)]
    keep: bool,
    /// The provided function's spec.start.mode: planned, async, sync, window, dirigent, emergency
    #[arg(long, value_name = "MODE", conflicts_with = "functions", value_parser = start_mode)]
    start_mode: Option<String>,
    /// Its spec.scale.keepAlive: a time, or auto
    #[arg(long, value_name = "SPAN|auto", conflicts_with = "functions", value_parser = keep_alive)]
    keep_alive: Option<String>,
    /// Its spec.scale.max
    #[arg(long, value_name = "COUNT", default_value_t = 1000, conflicts_with = "functions",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    instances_max: u32,
    /// Its spec.queue.size
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, conflicts_with = "functions",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    queue_size: u32,
    /// Its spec.queue.wait
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span, conflicts_with = "functions")]
    queue_wait: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        Ok(_) => Err("it must be above 0, such as 1 (the trace's pace) or 60".to_owned()),
        Err(_) => Err("it is not a number; give one above 0, such as 1 or 60".to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0).map_err(|error| error.to_string())
}

fn start_mode(text: &str) -> Result<String, String> {
    text.parse::<StartMode>().map(|mode| mode.as_str().to_owned())
}

fn keep_alive(text: &str) -> Result<String, String> {
    let read: Result<KeepAlive, _> = serde_json::from_value(text.into());
    read.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A running platform.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its API.
    pub api: SocketAddr,
    /// The API's URL.
    pub api_url: String,
    /// Its gateway.
    pub gateway: SocketAddr,
}

impl Args {
    fn workload(&self) -> Result<Workload> {
        let options = ReadOptions { seed: self.seed, ..ReadOptions::default() };
        let workload = open(&self.trace, &options)?;
        Ok(match self.span {
            Some(span) => workload.until(span),
            None => workload,
        })
    }

    fn what(&self) -> What {
        match &self.functions {
            Some(folders) => What::Folders(folders.clone()),
            None => What::Provided(Declared {
                start_mode: self.start_mode.clone(),
                keep_alive: self.keep_alive.clone(),
                instances_max: self.instances_max,
                queue_size: self.queue_size,
                queue_wait: self.queue_wait,
            }),
        }
    }

    /// What is asked for, and what is right.
    fn calls(&self) -> (PathOf, Check) {
        if self.functions.is_some() {
            let path = self.path.clone();
            return (Rc::new(move |_| path.clone()), Rc::new(|_, _| Ok(())));
        }
        let path = |arrival: &Arrival| format!("/work?us={}", arrival.service.as_micros());
        let check = |arrival: &Arrival, answer: &Answer<'_>| {
            let expected = format!("worked {}\n", arrival.service.as_micros());
            match answer.body == expected.as_bytes() {
                true => Ok(()),
                false => Err(format!("not the function's answer: {}", answer.describe())),
            }
        };
        (Rc::new(path), Rc::new(check))
    }
}

/// Ctrl-C and SIGTERM, one after the other.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Interrupts { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupted { exit_code: SIGINT_CODE },
            _ = self.terminate.recv() => Interrupted { exit_code: SIGTERM_CODE },
        }
    }

    /// What comes of `work`, unless it is interrupted.
    async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            interrupted = self.next() => Err(interrupted.into()),
        }
    }
}

/// Replays the trace and prints what came of it. Whether it came to its end and every
/// answer was right.
pub async fn run(args: Args, place: Place) -> Result<bool> {
    let mut interrupts = Interrupts::listen()?;
    eprintln!("reading the trace to see what it invokes");
    let copy = args.clone();
    let surveyed = on_a_thread(move || {
        let workload = copy.workload()?;
        let about = workload.about().clone();
        Ok((survey(workload)?, about))
    });
    let (survey, about) = interrupts.or(surveyed).await?;
    about.notes.iter().for_each(|note| eprintln!("note: {note}"));
    check(&args, &survey)?;
    let used = &survey.used;
    eprintln!("deploying {} functions, called {}...", used.len(), survey::PREFIX);
    let what = args.what();
    let deployed = deploy::deploy((place.api, &place.api_url), used, &what);
    let outcome = match interrupts.or(deployed).await {
        Ok(watched) => replay(&args, &place, &survey, watched, &mut interrupts).await,
        Err(error) => Err(error),
    };
    if args.keep {
        eprintln!("kept: {} functions called {}...", used.len(), survey::PREFIX);
    } else {
        eprintln!("deleting them");
        if let Err(error) = interrupts.or(deploy::delete(place.api, used)).await {
            eprintln!("functions called {}... may be left: {error:#}", survey::PREFIX);
        }
    }
    let report = outcome?;
    match args.json {
        true => println!("{:#}", serde_json::to_value(&report)?),
        false => println!("{}", report.table()),
    }
    Ok(report.is_right())
}

/// Whether what the trace invokes can be deployed.
fn check(args: &Args, survey: &Survey) -> Result<()> {
    let (functions, max) = (survey.used.len(), args.functions_max);
    if functions == 0 {
        bail!("the trace invokes nothing in that time; give it more with --for, or leave it out");
    }
    if functions > max {
        bail!(
            "the trace invokes {functions} functions, and at most {max} are deployed; raise that \
             with --functions-max {functions}, or replay less of it with --for, such as --for 10m"
        );
    }
    match &args.functions {
        Some(root) => deploy::folders(root, &survey.used),
        None => Ok(()),
    }
}

/// Drives what is deployed.
async fn replay(
    args: &Args,
    place: &Place,
    survey: &Survey,
    watched: Vec<Watched>,
    interrupts: &mut Interrupts,
) -> Result<Report> {
    let args_again = args.clone();
    let workload = interrupts.or(on_a_thread(move || args_again.workload())).await?;
    let setting = Setting {
        workload: workload.about().name.clone(),
        functions: watched.len(),
        speed: args.speed,
        seed: args.seed,
        span_s: workload.about().span.map(|span| span.as_secs_f64()),
    };
    let in_flight_max = in_flight_max();
    if in_flight_max < drive::IN_FLIGHT_MAX {
        eprintln!("note: at most {in_flight_max} requests under way, by the limit on open files");
    }
    let names: HashMap<usize, String> =
        watched.iter().map(|watched| (watched.function as usize, watched.name.clone())).collect();
    let port = place.gateway.port();
    let host_of = |function: usize| {
        let name = names.get(&function).map_or("", String::as_str);
        format!("{name}.{NAMESPACE}.localhost:{port}")
    };
    let (path, check) = args.calls();
    let in_flight = InFlight::default();
    let invocations = survey.invocations;
    let options = Options {
        speed: args.speed,
        path,
        check,
        in_flight_max,
        patience: PATIENCE,
        in_flight: in_flight.clone(),
        progress: Some(Box::new(move |progress| say(progress, invocations))),
    };
    let needed = pace::due_after(survey.last_at, args.speed).as_secs_f64();
    eprintln!("sending {invocations} requests within {needed:.1} s");
    let before = starts(place.api).await?;
    let sampler = Sampler::begin(place.api, watched, in_flight);
    let stop = async {
        interrupts.next().await;
        eprintln!("interrupted: this is what came of it until now");
    };
    let outcome = drive(place.gateway, host_of, workload, options, stop).await?;
    let sampled = sampler.end().await?;
    if sampled.failures > 0 {
        let (failures, samples) = (sampled.failures, sampled.samples);
        eprintln!("note: {failures} of {samples} samples of memory failed");
    }
    if outcome.tally.unsent > 0 {
        let unsent = outcome.tally.unsent;
        eprintln!("note: {unsent} were not sent, as {in_flight_max} were under way");
    }
    // A platform that has gone meanwhile is no reason to keep the rest to oneself.
    let starts = match starts(place.api).await {
        Ok(after) => after.since(before),
        Err(error) => {
            eprintln!("note: starts are not known: {error:#}");
            Starts::default()
        }
    };
    Ok(Report::new(setting, &outcome, starts, sampled))
}

fn say(progress: &Progress, invocations: u64) {
    let Progress { elapsed, arrived, in_flight } = progress;
    let seconds = elapsed.as_secs_f64();
    eprintln!("  {seconds:.0} s: {arrived} of {invocations} arrived, {in_flight} in flight");
}

/// Starts of the whole platform until now.
async fn starts(api: SocketAddr) -> Result<Starts> {
    let mut api = Api::open(api).await?;
    let [all, failed, dropped] = [
        api.metric(STARTS, "").await?,
        api.metric(STARTS, "outcome=\"failed\"").await?,
        api.metric(STARTS, "outcome=\"dropped\"").await?,
    ]
    .map(|count| count as u64);
    Ok(Starts { all: all.saturating_sub(dropped), failed, dropped })
}

impl Starts {
    fn since(self, before: Starts) -> Starts {
        Starts {
            all: self.all.saturating_sub(before.all),
            failed: self.failed.saturating_sub(before.failed),
            dropped: self.dropped.saturating_sub(before.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_zero() {
        assert_eq!((speed("1"), speed("0.5")), (Ok(1.0), Ok(0.5)));
        for wrong in ["0", "-1", "inf", "NaN"] {
            assert!(speed(wrong).unwrap_err().contains("above 0"), "{wrong}");
        }
        assert!(speed("fast").unwrap_err().contains("not a number"));
    }

    #[test]
    fn what_is_declared_is_checked_when_it_is_typed() {
        assert_eq!(start_mode("sync"), Ok("sync".to_owned()));
        assert!(start_mode("none").unwrap_err().contains("planned"));
        assert_eq!(keep_alive("5s"), Ok("5s".to_owned()));
        assert_eq!(keep_alive("auto"), Ok("auto".to_owned()));
        assert!(keep_alive("long").is_err());
    }
}
