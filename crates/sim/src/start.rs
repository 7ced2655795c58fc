//! How long instances take to start: models with their source.
//!
//! A model has a median for the first start of a function on a node (its image,
//! snapshot or template is not there) and for every further one, the spread of both
//! as the standard deviation of their logarithm, how much longer a start takes for
//! each other one under way on the node, and how long the control path takes before
//! the node hears of it. Where a paper gives a ratio only, or a best case, what was
//! assumed to make a number of it is said. No paper here gives the spread; and where
//! the source says nothing of other starts (slopes of 0.2% to 10%) or of the control
//! path (10 ms), these are assumed too, so that no model is free of what all share.

use std::time::Duration;

use serde::Serialize;

/// How long instances take to start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StartModel {
    /// What it is called.
    pub name: String,
    /// Median of a function's first start on a node, in milliseconds.
    pub first_ms: f64,
    /// Median of every further start there, in milliseconds.
    pub again_ms: f64,
    /// Standard deviation of the logarithm of both.
    pub sigma: f64,
    /// How much longer a start takes for each other one under way on its node, as a
    /// share of its own time.
    pub each: f64,
    /// Median of the control path from decision to node, in milliseconds.
    pub control_ms: f64,
}

/// A published model.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// What it is called.
    pub name: &'static str,
    first_ms: f64,
    again_ms: f64,
    sigma: f64,
    each: f64,
    control_ms: f64,
    /// Where its numbers are from, and what was assumed.
    pub source: &'static str,
}

/// For each other start under way AFaaS (OSDI'25, section 3.2) measured, at 24 at a
/// time: clone 1.45 to 418 ms at worst, network 2 to 21, network stack 4.8 to 6.9,
/// seccomp 7.6 to 13: 443 ms over 23 others, 19 ms each.
const AFAAS_EACH_MS: f64 = 443.0 / 23.0;

const fn model(
    name: &'static str,
    (first_ms, again_ms, sigma): (f64, f64, f64),
    each: f64,
    control_ms: f64,
    source: &'static str,
) -> Published {
    Published { name, first_ms, again_ms, sigma, each, control_ms, source }
}

/// Every published model.
pub const PUBLISHED: &[Published] = &[
    model(
        "gapless-wasm",
        (0.25, 0.23, 0.15),
        0.02,
        0.05,
        "this repository, `gapless bench cold`: component, p50 0.23 ms, p99 0.31 ms; the slope is \
         assumed",
    ),
    model(
        "gapless-process",
        (158.0, 158.0, 0.13),
        0.3,
        0.05,
        "this repository: the Python template on 2 cores, by its answers' server-timing: alone 125 \
         to 173 ms (7 starts, median 158), four at once 241 to 363 ms (16 starts, median 300)",
    ),
    model(
        "sand",
        (400.0, 10.0, 0.3),
        0.05,
        10.0,
        "SAND, ATC'18: a fork in the application's sandbox. No absolute time is given; 10 ms for \
         a fork of a loaded process and 400 ms for its container are assumed",
    ),
    model(
        "sock",
        (22.0, 7.0, 0.3),
        0.02,
        10.0,
        "SOCK, ATC'18: 18x over Docker (400 ms assumed), 3x more from a zygote",
    ),
    model(
        "replayable",
        (300.0, 54.0, 0.2),
        0.05,
        10.0,
        "Replayable Execution, EuroSys'19: JVM restored in about 54 ms; the first boot is assumed",
    ),
    model(
        "catalyzer",
        (21.5, 0.97, 0.3),
        0.05,
        0.0,
        "Catalyzer, ASPLOS'20: 0.97 ms at best by sfork; 18 to 25 ms around it in production and \
         38 to 74 ms under load (AFaaS, OSDI'25)",
    ),
    model(
        "seuss",
        (150.0, 7.5, 0.2),
        0.01,
        10.0,
        "SEUSS, EuroSys'20: from hundreds of ms to below 10 ms; 150 and 7.5 are assumed",
    ),
    model(
        "faasm",
        (5.0, 0.5, 0.2),
        0.02,
        10.0,
        "Faasm, ATC'20: a Proto-Faaslet is restored in about 0.5 ms; the first is assumed",
    ),
    model(
        "reap",
        (230.0, 62.0, 0.25),
        0.1,
        10.0,
        "REAP, ASPLOS'21: 3.7x below a plain snapshot (230 ms assumed)",
    ),
    model(
        "fireworks",
        (400.0, 20.0, 0.3),
        0.05,
        10.0,
        "Fireworks, EuroSys'22: up to 20.6x below what was there; 400 ms are assumed for that",
    ),
    model(
        "rund",
        (120.0, 88.0, 0.2),
        5.0 / 88.0,
        10.0,
        "RunD, ATC'22: 88 ms, 200 a second on a node, so 5 ms for each other one",
    ),
    model(
        "mitosis",
        (20.0, 5.0, 0.3),
        0.002,
        10.0,
        "Mitosis, OSDI'23: 10,000 containers from one in a second; 5 ms each is assumed",
    ),
    model(
        "afaas",
        (9.41, 5.45, 0.2),
        0.03,
        0.0,
        "AFaaS, OSDI'25: 5.45 to 9.41 ms in production, 6.97 to 14.55 ms under load",
    ),
    model(
        "contended",
        (100.0, 100.0, 0.05),
        AFAAS_EACH_MS / 100.0,
        0.05,
        "100 ms alone, and for each other start 19 ms more, as AFaaS (OSDI'25) measured of \
         kernel locks at 24 at a time",
    ),
    model("uncontended", (100.0, 100.0, 0.05), 0.0, 0.05, "100 ms, however many at once"),
    model(
        "dirigent",
        (200.0, 40.0, 0.3),
        0.05,
        2.0,
        "Dirigent, SOSP'24: median scheduling delay 200 ms (PulseNet, arXiv 2505.24551), 40 ms for \
         a restored snapshot as in its own simulator",
    ),
    model(
        "pulsenet",
        (150.0, 150.0, 0.2),
        0.02,
        1.0,
        "PulseNet, arXiv 2505.24551: below 150 ms for a restored snapshot with its network",
    ),
    model(
        "lambda",
        (300.0, 270.0, 0.3),
        0.0,
        5.0,
        "AWS Lambda as measured by arXiv 2509.03104: cold about 300 ms, warm 20 to 30",
    ),
    model(
        "knative",
        (3000.0, 1000.0, 0.4),
        0.05,
        500.0,
        "Knative on Kubernetes as measured by arXiv 2509.03104 and 2505.24551: 1 to 3 s, of it \
         0.5 s of readiness probing; at 50 starts a second and more, much longer",
    ),
];

impl Published {
    /// The model.
    pub fn model(&self) -> StartModel {
        StartModel {
            name: self.name.to_owned(),
            first_ms: self.first_ms,
            again_ms: self.again_ms,
            sigma: self.sigma,
            each: self.each,
            control_ms: self.control_ms,
        }
    }
}

/// A start model that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartModelError(String);

impl std::str::FromStr for StartModel {
    type Err = StartModelError;

    /// A published model's name, or a time such as `120ms` for starts that always
    /// take that.
    fn from_str(text: &str) -> Result<Self, StartModelError> {
        if let Some(published) = PUBLISHED.iter().find(|published| published.name == text) {
            return Ok(published.model());
        }
        if let Ok(span) = text.parse::<gapless_types::Span>() {
            return Ok(StartModel::fixed(span.0));
        }
        let names: Vec<&str> = PUBLISHED.iter().map(|published| published.name).collect();
        Err(StartModelError(format!(
            "no start model is called {text:?}; there are {}, or a time such as 120ms",
            names.join(", ")
        )))
    }
}

impl StartModel {
    /// Starts that always take `span`.
    pub fn fixed(span: Duration) -> Self {
        let ms = span.as_secs_f64() * 1e3;
        StartModel {
            name: format!("{ms}ms"),
            first_ms: ms,
            again_ms: ms,
            sigma: 0.0,
            each: 0.0,
            control_ms: 0.0,
        }
    }

    /// The same, each start taking `factor` of its time.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        StartModel {
            name: format!("{} x {factor}", self.name),
            first_ms: self.first_ms * factor,
            again_ms: self.again_ms * factor,
            ..self.clone()
        }
    }
}
