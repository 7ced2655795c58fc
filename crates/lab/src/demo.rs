//! `gapless demo`: the whole platform, once through, over the examples of this
//! repository.
//!
//! The platform is the one users run (`gapless up`, a child process on free
//! ports and a temporary folder). Each function gets a first call while it has
//! no instance, one call of each of its cases, a warm stream, and a burst at a
//! twin that was never called. What always holds: every answer's status, type and
//! bytes are checked against the example's `expected.json`; the demo succeeds only
//! if every one was right; nothing is left behind, however it ends.

mod example;
mod table;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::find;
use crate::interrupt::or_interrupted;
use crate::load::{self, Load, Report};
use crate::platform::Platform;
use example::{EXAMPLES, Example};
use table::{Line, table};

/// How long each warm stream goes on, and over how many connections.
const WARM_FOR: Duration = Duration::from_secs(2);
const WARM_CONNECTIONS: usize = 8;
/// Calls at once in a burst.
const BURST_CALLS: usize = 500;
/// How long a call of a burst may wait: heavy work takes its time on a small machine.
const BURST_WAIT: &str = "60s";

const NEXT: &str = "\
Where to go next:
  gapless up                            run the platform on this machine
  gapless new hello --template python   make a function of your own
  gapless deploy hello                  deploy it
  gapless invoke hello -d 'world'       call it
  gapless bench all                     measure the platform here
";

/// See it work: the platform up, three functions deployed, called cold, warm and 500 at once
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// What was seen.
#[derive(Debug, Default)]
struct Shown {
    lines: Vec<Line>,
    /// Functions that this machine cannot run, and what to do about it.
    skipped: Vec<String>,
}

/// Runs the demo and prints its table. Whether every answer was right.
pub async fn run(args: Args) -> Result<bool> {
    let shown = or_interrupted(show()).await?;
    let is_right = shown.is_right();
    if args.json {
        println!("{:#}", shown.json());
        return Ok(is_right);
    }
    println!("{}", table(&shown.lines));
    for skipped in &shown.skipped {
        println!("SKIPPED {skipped}");
    }
    for (line, complaint) in shown.complaints() {
        println!("WRONG {} {}: {complaint}", line.function, line.phase);
    }
    let answers: u64 = shown.lines.iter().map(|line| line.report.right).sum();
    let wrong: u64 = shown.lines.iter().map(|line| line.report.errors()).sum();
    match is_right {
        true => println!("All {answers} answers were right.\n"),
        false => println!("{wrong} of {} calls went wrong.\n", answers + wrong),
    }
    print!("{NEXT}");
    if find("gapless").is_none()
        && let Ok(program) = std::env::current_exe()
    {
        println!("gapless is {}, which is not in PATH.", program.display());
    }
    Ok(is_right)
}

impl Shown {
    /// Whether there were answers, and every one was right.
    fn is_right(&self) -> bool {
        let mut reports = self.lines.iter().map(|line| &line.report);
        !self.lines.is_empty() && reports.all(|report| report.errors() == 0 && report.right > 0)
    }

    fn complaints(&self) -> impl Iterator<Item = (&Line, &String)> {
        let each = self.lines.iter();
        each.flat_map(|line| line.report.complaints.iter().map(move |text| (line, text)))
    }

    fn json(&self) -> Value {
        let complaints: Vec<&String> = self.complaints().map(|(_, text)| text).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": self.is_right(),
            "lines": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
            "skipped": self.skipped,
            "wrong": complaints,
        })
    }
}

async fn show() -> Result<Shown> {
    eprintln!("starting the platform on free ports and a temporary folder");
    let platform = Platform::start(&[]).await?;
    eprintln!("  ready after {:.0} ms", platform.ready_after.as_secs_f64() * 1e3);
    let mut shown = Shown::default();
    for example in EXAMPLES {
        eprintln!("{}: {}", example.name, example.what);
        if let Some((program, install)) = example.needs
            && find(program).is_none()
        {
            let why = format!("{}: there is no {program}; get it with `{install}`", example.name);
            eprintln!("  SKIPPED {why}");
            shown.skipped.push(why);
            continue;
        }
        show_one(example, &platform, &mut shown.lines).await.with_context(|| example.name)?;
    }
    platform.stop().await?;
    eprintln!();
    Ok(shown)
}

/// One function, through every phase.
async fn show_one(example: &Example, platform: &Platform, lines: &mut Vec<Line>) -> Result<()> {
    let (name, twin) = (example.name, format!("{}-burst", example.name));
    let (code, cases) = (example.code()?, example.cases()?);
    let mut patient = example.spec()?;
    patient["queue"] = json!({"size": BURST_CALLS * 2, "wait": BURST_WAIT});
    patient["timeout"] = json!(BURST_WAIT);
    platform.deploy(name, &code, example.spec()?).await?;
    platform.deploy(&twin, &code, patient).await?;
    let load = |name: &str, case: &example::Case| -> Result<Load> {
        Ok(Load::new(example.target(platform, name, case)?, case.check()).noting())
    };
    let mut phase = Phase { function: name, platform, lines };

    let first = load(name, &cases[0])?;
    phase.run("cold", async { Ok(load::burst(&first, 1).await?) }).await?;
    let each = async {
        let mut sum = Report::default();
        for case in &cases {
            sum.absorb(load::burst(&load(name, case)?, 1).await?);
        }
        Ok(sum)
    };
    phase.run("each case", each).await?;
    let stream = async { Ok(load::closed_loop(&first, WARM_CONNECTIONS, WARM_FOR).await) };
    phase.run("warm", stream).await?;
    let many = load(&twin, &cases[0])?;
    phase.run("burst", async { Ok(load::burst(&many, BURST_CALLS).await?) }).await?;

    let mut api = platform.api().await?;
    api.delete(name).await?;
    api.delete(&twin).await
}

/// Runs phases, each of which becomes a line.
struct Phase<'a> {
    function: &'static str,
    platform: &'a Platform,
    lines: &'a mut Vec<Line>,
}

impl Phase<'_> {
    async fn run(
        &mut self,
        phase: &'static str,
        work: impl Future<Output = Result<Report>>,
    ) -> Result<()> {
        let before = self.platform.starts().await?;
        let report = work.await?;
        let starts = self.platform.starts().await? - before;
        eprintln!(
            "  {phase}: {} right answers, {} errors, p50 {:.1} ms",
            report.right,
            report.errors(),
            report.latency_ms(0.5)
        );
        self.lines.push(Line { function: self.function, phase, report, starts });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reports: Vec<Report>) -> Shown {
        let lines = reports.into_iter();
        let lines = lines.map(|report| Line { function: "f", phase: "warm", report, starts: 0.0 });
        Shown { lines: lines.collect(), skipped: Vec::new() }
    }

    #[test]
    fn one_wrong_or_missing_answer_fails_the_demo() {
        let right = || Report { right: 7, ..Report::default() };
        assert!(shown(vec![right(), right()]).is_right());
        assert!(!shown(vec![right(), Report { wrong: 1, ..right() }]).is_right());
        assert!(!shown(vec![Report { broken: 1, ..right() }, right()]).is_right());
        assert!(!shown(vec![right(), Report::default()]).is_right(), "a phase without answers");
        assert!(!shown(Vec::new()).is_right(), "nothing was shown");
    }

    #[test]
    fn the_document_says_what_was_seen() {
        let document = shown(vec![Report { right: 2, wrong: 1, ..Report::default() }]).json();
        assert_eq!(document["ok"], false);
        let line = &document["lines"][0];
        assert_eq!((&line["calls"], &line["errors"]), (&json!(3), &json!(1)));
        assert_eq!(line["function"], "f");
    }
}
