//! `gapless demo`: the whole platform, once through, over the examples of this
//! repository.
//!
//! The platform is the one users run (`gapless up`, a child process on free
//! ports and a temporary folder). Each function gets a first call while it has
//! no instance, a warm stream, and a burst at a twin that was never called.
//! What always holds: every answer is checked, byte for byte, against the first,
//! and the first against the example's `expected.json`; the demo succeeds only if
//! every one was right; nothing is left behind, however it ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bench::find;
use crate::interrupt::or_interrupted;
use crate::load::{self, Answer, Load, Report, expect_body};
use crate::platform::{Code, Platform};

/// How long each warm stream goes on, and over how many connections.
const WARM_FOR: Duration = Duration::from_secs(2);
const WARM_CONNECTIONS: usize = 8;
/// Calls at once in the burst.
const BURST_CALLS: usize = 500;

/// See it work: the platform up, three functions deployed, called cold, warm and 500 at once
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// A function of the demo.
struct Example {
    name: &'static str,
    what: &'static str,
    code: fn() -> Result<Code>,
    spec: fn() -> Value,
    /// Its `expected.json`; the first case is the one called.
    expected: &'static str,
    body: &'static [u8],
    /// The program it needs, and how to get it.
    needs: Option<(&'static str, &'static str)>,
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "thumbnail",
        what: "image thumbnailer, a component",
        code: || Ok(Code::wasm(include_bytes!("../../../examples/thumbnail/thumbnail.wasm"))),
        spec: || json!({"resources": {"cpu": "250m", "memory": "256Mi"}}),
        expected: include_str!("../../../examples/thumbnail/expected.json"),
        body: include_bytes!("../../../examples/thumbnail/photo.jpg"),
        needs: None,
    },
    Example {
        name: "search",
        what: "text search, a component",
        code: || Ok(Code::wasm(include_bytes!("../../../examples/search/search.wasm"))),
        spec: || json!({"resources": {"cpu": "100m", "memory": "64Mi"}}),
        expected: include_str!("../../../examples/search/expected.json"),
        body: b"",
        needs: None,
    },
    Example {
        name: "wordcount",
        what: "word count, a Python program",
        code: || {
            let server = include_bytes!("../../../examples/wordcount-python/server.py");
            Code::command(&["python3", "server.py"], &[("server.py", server)])
        },
        spec: || {
            json!({
                "resources": {"cpu": "250m", "memory": "128Mi"},
                "concurrency": 4,
                "scale": {"max": 20},
            })
        },
        expected: include_str!("../../../examples/wordcount-python/expected.json"),
        body: include_bytes!("../../../examples/wordcount-python/text.txt"),
        needs: Some(("python3", "apt-get install python3")),
    },
];

/// One line of the table.
struct Line {
    function: &'static str,
    phase: &'static str,
    report: Report,
    starts: f64,
}

/// Runs the demo and prints its table. Whether every answer was right.
pub async fn run(args: Args) -> Result<bool> {
    let lines = or_interrupted(show()).await?;
    let all_right = lines.iter().all(|line| line.report.errors() == 0 && line.report.right > 0);
    if args.json {
        println!("{:#}", json!({"ok": all_right, "lines": lines.iter().map(Line::json).collect::<Vec<_>>()}));
        return Ok(all_right);
    }
    println!("{}", table(&lines));
    for complaint in lines.iter().flat_map(|line| &line.report.complaints) {
        println!("wrong: {complaint}");
    }
    println!("{}", if all_right { "Every answer was right." } else { "Some answers were wrong." });
    println!(
        "\nWhere to go next:\n  gapless up                            run the platform on this machine\n  \
         gapless new hello --template python   make a function of your own\n  \
         gapless deploy hello                  deploy it, and gapless invoke hello\n  \
         gapless bench --help                  measure it here"
    );
    Ok(all_right)
}

async fn show() -> Result<Vec<Line>> {
    eprintln!("starting the platform");
    let platform = Platform::start(&[]).await?;
    eprintln!("  ready after {:.0} ms", platform.ready_after.as_secs_f64() * 1e3);
    let mut lines = Vec::new();
    for example in EXAMPLES {
        if let Some((program, install)) = example.needs
            && find(program).is_none()
        {
            eprintln!("SKIPPED: {} needs {program}; get it with `{install}`", example.name);
            continue;
        }
        example.show(&platform, &mut lines).await.with_context(|| example.name)?;
    }
    platform.stop().await?;
    Ok(lines)
}

impl Example {
    async fn show(&'static self, platform: &Platform, lines: &mut Vec<Line>) -> Result<()> {
        let twin = format!("{}-burst", self.name);
        eprintln!("{}: {}", self.name, self.what);
        let code = (self.code)()?;
        // A burst of heavy work takes its time on a small machine.
        let mut spec = (self.spec)();
        spec["queue"] = json!({"size": BURST_CALLS * 2, "wait": "60s"});
        spec["timeout"] = json!("60s");
        platform.deploy(self.name, &code, spec.clone()).await?;
        platform.deploy(&twin, &code, spec).await?;

        eprintln!("  first call");
        let (report, answer) = self.first_call(platform).await?;
        lines.push(self.line("cold", report, 1.0));

        eprintln!("  warm stream, {} connections for {} s", WARM_CONNECTIONS, WARM_FOR.as_secs());
        let before = starts(platform).await?;
        let load = Load::new(self.target(platform, self.name)?, expect_body(&answer));
        let report = load::closed_loop(&load, WARM_CONNECTIONS, WARM_FOR).await;
        lines.push(self.line("warm", report, starts(platform).await? - before));

        eprintln!("  {BURST_CALLS} calls at once, of a function that was never called");
        let before = starts(platform).await?;
        let load = Load::new(self.target(platform, &twin)?, expect_body(&answer));
        let report = load::burst(&load, BURST_CALLS).await?;
        lines.push(self.line("burst", report, starts(platform).await? - before));
        let mut api = platform.api().await?;
        api.delete(self.name).await?;
        api.delete(&twin).await
    }

    fn line(&self, phase: &'static str, report: Report, starts: f64) -> Line {
        Line { function: self.name, phase, report, starts }
    }

    fn case(&self) -> Result<Value> {
        let expected: Value = serde_json::from_str(self.expected)?;
        Ok(expected["cases"][0].clone())
    }

    fn target(&self, platform: &Platform, name: &str) -> Result<load::Target> {
        let case = self.case()?;
        let text = |field: &str| case["request"][field].as_str().map(str::to_owned).context("no request");
        Ok(platform.target(name, &text("method")?, &text("path")?, self.body))
    }

    /// The first call, checked against what the example expects. Returns the
    /// answer's body, which every other must equal.
    async fn first_call(&self, platform: &Platform) -> Result<(Report, Vec<u8>)> {
        let answer = self.case()?["answer"].clone();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        let check: load::Check = Arc::new(move |got: &Answer<'_>| {
            if Some(u64::from(got.status)) != answer["status"].as_u64() {
                return Err(got.describe());
            }
            if got.start != "cold" {
                return Err(format!("the first call was {:?}, not cold", got.start));
            }
            let hash = Sha256::digest(got.body);
            let digest: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            if Some(digest.as_str()) != answer["sha256"].as_str() {
                return Err(format!("{} bytes with digest {digest}", got.body.len()));
            }
            eprintln!("    {}", got.server_timing);
            *keep.lock() = got.body.to_vec();
            Ok(())
        });
        let load = Load::new(self.target(platform, self.name)?, check);
        let report = load::burst(&load, 1).await?;
        let body = std::mem::take(&mut *kept.lock());
        Ok((report, body))
    }
}

/// Instances started so far.
async fn starts(platform: &Platform) -> Result<f64> {
    platform.api().await?.metric("gapless_node_starts_total").await
}

impl Line {
    fn json(&self) -> Value {
        json!({
            "function": self.function,
            "phase": self.phase,
            "calls": self.report.right,
            "errors": self.report.errors(),
            "calls_per_s": self.report.per_second(),
            "latency_ms_p50": self.report.latency_ms(0.5),
            "latency_ms_p99": self.report.latency_ms(0.99),
            "queue_wait_ms_p50": self.report.queued_ms(0.5),
            "queue_wait_ms_p99": self.report.queued_ms(0.99),
            "instances_started": self.starts,
        })
    }
}

fn table(lines: &[Line]) -> String {
    let head = [
        "function", "phase", "calls", "errors", "calls/s", "p50 ms", "p99 ms", "queue p50", "queue p99",
        "started",
    ];
    let rows = lines.iter().map(|line| {
        let report = &line.report;
        let ms = |value: f64| format!("{value:.2}");
        [
            line.function.to_owned(),
            line.phase.to_owned(),
            report.right.to_string(),
            report.errors().to_string(),
            format!("{:.0}", report.per_second()),
            ms(report.latency_ms(0.5)),
            ms(report.latency_ms(0.99)),
            ms(report.queued_ms(0.5)),
            ms(report.queued_ms(0.99)),
            format!("{:.0}", line.starts),
        ]
    });
    let mut text = String::new();
    for row in std::iter::once(head.map(str::to_owned)).chain(rows) {
        let [function, phase, numbers @ ..] = row;
        text.push_str(&format!("{function:<10} {phase:<6}"));
        for number in numbers {
            text.push_str(&format!(" {number:>9}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_its_code_and_a_first_case() {
        for example in EXAMPLES {
            assert!((example.code)().is_ok(), "{}", example.name);
            let case = example.case().unwrap();
            assert_eq!(case["answer"]["status"], 200, "{}", example.name);
            assert_eq!(case["answer"]["sha256"].as_str().map(str::len), Some(64));
        }
    }

    #[test]
    fn a_line_without_a_right_answer_is_shown_as_such() {
        let line = Line { function: "f", phase: "cold", report: Report::default(), starts: 0.0 };
        assert_eq!(line.json()["calls"], 0);
        assert!(table(&[line]).contains("f          cold"));
    }
}
