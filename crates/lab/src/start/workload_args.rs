//! Which workload: a trace, a generated day, or a shape.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use gapless_types::Span;
use gapless_workload::{Generator, Pattern, ReadOptions, ServiceTime, Shape, Workload, open};

/// Which workload.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct WorkloadArgs {
    /// A trace: a file, or a folder with the files of one; docs/workloads.md says which
    #[arg(long, value_name = "PATH", conflicts_with_all = ["generate", "shape"])]
    trace: Option<PathBuf>,
    /// A generated day like Azure Functions 2019, of so many functions, such as 1000, or with
    /// so many invocations in all, such as 1000:2000000
    #[arg(long, value_name = "FUNCTIONS[:INVOCATIONS]", conflicts_with = "shape")]
    generate: Option<String>,
    /// Requests of one function: poisson:RATE, burst:COUNT, burst:COUNT:SPREAD or ramp:FROM:TO,
    /// such as poisson:100 (a second) or burst:1000:100ms
    #[arg(long, value_name = "SHAPE")]
    shape: Option<String>,
    /// How long each request of a shape works
    #[arg(long, value_name = "SPAN", default_value = "50ms", value_parser = span)]
    service: Duration,
    /// Only what arrives before this
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
}

pub(crate) fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0).map_err(|error| error.to_string())
}

impl WorkloadArgs {
    /// The workload with `seed`.
    pub(crate) fn workload(&self, seed: u64) -> Result<Workload> {
        let workload = match (&self.trace, &self.generate, &self.shape) {
            (Some(path), _, _) => open(path, &ReadOptions { seed, ..ReadOptions::default() })?,
            (_, Some(text), _) => self.generated(text, seed)?,
            (_, _, Some(text)) => self.shaped(text)?.seeded(seed).workload()?,
            _ => bail!(
                "no workload: give --trace PATH, --generate FUNCTIONS or --shape SHAPE, such as \
                 --generate 1000:2000000"
            ),
        };
        Ok(match self.span {
            Some(span) => workload.until(span),
            None => workload,
        })
    }

    /// What to call it: with the trace's path, which the workload itself does not say.
    pub(crate) fn name(&self, workload: &Workload) -> String {
        let name = &workload.about().name;
        match &self.trace {
            Some(path) => format!("{}: {name}", path.display()),
            None => name.clone(),
        }
    }

    fn generated(&self, text: &str, seed: u64) -> Result<Workload> {
        let (functions, invocations) = match text.split_once(':') {
            Some((functions, invocations)) => (functions, Some(number("--generate", invocations)?)),
            None => (text, None),
        };
        let mut generator = Generator::new(number("--generate", functions)?).seeded(seed);
        if let Some(invocations) = invocations {
            generator = generator.with_invocations(invocations);
        }
        Ok(generator.workload()?)
    }

    fn shaped(&self, text: &str) -> Result<Shape> {
        let parts: Vec<&str> = text.split(':').collect();
        let pattern = match parts[..] {
            ["poisson", rate] => Pattern::Poisson { rate_per_s: number("--shape", rate)? },
            ["burst", count] => burst(number("--shape", count)?, Duration::ZERO),
            ["burst", count, spread] => {
                let spread = span(spread).map_err(|error| anyhow::anyhow!("--shape: {error}"))?;
                burst(number("--shape", count)?, spread)
            }
            ["ramp", from, to] => Pattern::Ramp {
                from_per_s: number("--shape", from)?,
                to_per_s: number("--shape", to)?,
            },
            _ => bail!(
                "--shape {text:?} is none of poisson:RATE, burst:COUNT, burst:COUNT:SPREAD, \
                 ramp:FROM:TO"
            ),
        };
        let shape = Shape::new(pattern, ServiceTime::Fixed(self.service));
        Ok(shape.lasting(self.span.unwrap_or(Duration::from_secs(60))))
    }
}

fn burst(concurrent: u32, spread: Duration) -> Pattern {
    Pattern::Burst { concurrent, at: Duration::ZERO, spread, every: None }
}

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| anyhow::anyhow!("{flag}: {text:?} is not such a number"))
}
