//! How a new revision takes over (`spec.rollout`) and proves that it can serve
//! (`spec.probe`). What the numbers mean to the rollout's course is in the
//! `rollout` crate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::FieldError;
use crate::{Percent, Span};

/// Most steps of a rollout.
const STEPS_MAX: usize = 20;
/// Shortest and longest step.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// Most requests that may be asked for.
const REQUESTS_MAX: u32 = 1_000_000;
/// Shortest and longest wait for a probe's answer.
const PROBE_TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));

/// How a new revision takes over step by step: `spec.rollout`. Without it the new
/// revision takes everything as soon as its probe is passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// Shares the new revision takes one after the other, in percent of what `latest`
    /// takes; rising, each 1 to 99, 1 to 20 of them. 100 follows the last. Default
    /// 1, 10, 50.
    #[serde(default = "default_steps")]
    pub steps: Vec<u32>,
    /// How long each step lasts at the least, 1s to 24h. Default `30s`.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// Share of the new revision's requests that may fail by its own fault, `0%` to
    /// below `100%`, in hundredths of a percent. Default `1%`.
    #[serde(default = "default_error_rate")]
    pub error_rate_max: Percent,
    /// What 99 of 100 of the new revision's requests must stay under, from their slot
    /// to the head of the answer: a multiple of the old revision's (`2x`, 1x to 100x)
    /// or a time (`500ms`). Default `2x`.
    #[serde(default, rename = "latencyP99Max")]
    pub latency_p99_max: LatencyMax,
    /// Requests a step wants before it is judged, 1 to 1,000,000. A function that is
    /// called less is waited for, but not for ever. Default 20.
    #[serde(default = "default_requests")]
    pub requests_min: u32,
}

fn default_steps() -> Vec<u32> {
    vec![1, 10, 50]
}

fn default_interval() -> Span {
    Span(Duration::from_secs(30))
}

fn default_error_rate() -> Percent {
    Percent::whole(1)
}

fn default_requests() -> u32 {
    20
}

impl Default for RolloutSpec {
    fn default() -> Self {
        RolloutSpec {
            steps: default_steps(),
            interval: default_interval(),
            error_rate_max: default_error_rate(),
            latency_p99_max: LatencyMax::default(),
            requests_min: default_requests(),
        }
    }
}

/// A bound of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyMax {
    /// A multiple of the old revision's, in hundredths.
    Times(u32),
    /// This long.
    Within(Span),
}

impl Default for LatencyMax {
    fn default() -> Self {
        LatencyMax::Times(200)
    }
}

impl fmt::Display for LatencyMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LatencyMax::Times(hundredths) => write!(f, "{}x", f64::from(*hundredths) / 100.0),
            LatencyMax::Within(span) => span.fmt(f),
        }
    }
}

impl FromStr for LatencyMax {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = match text.strip_suffix('x') {
            Some(times) => times
                .parse::<f64>()
                .ok()
                .filter(|times| (1.0..=100.0).contains(times))
                .map(|times| LatencyMax::Times((times * 100.0).round() as u32)),
            None => {
                let span = text.parse::<Span>().ok().filter(|span| !span.0.is_zero());
                span.map(LatencyMax::Within)
            }
        };
        read.ok_or_else(|| {
            format!(
                "{text:?} is not a bound of a latency, such as 2x (of the old revision's, 1x to \
                 100x) or 500ms"
            )
        })
    }
}

impl JsonSchema for LatencyMax {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LatencyMax".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl Serialize for LatencyMax {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LatencyMax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A request that a new revision must answer before it takes any: `spec.probe`.
/// Without it an instance that becomes ready is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// The target of a GET that must be answered with 200 to 399; begins with `/`.
    /// Default `/`.
    #[serde(default = "default_path")]
    pub path: String,
    /// How long a ready instance may take to answer it, 100ms to 10m. Default `5s`.
    #[serde(default = "default_probe_timeout")]
    pub timeout: Span,
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_probe_timeout() -> Span {
    Span(Duration::from_secs(5))
}

impl Default for Probe {
    fn default() -> Self {
        Probe { path: default_path(), timeout: default_probe_timeout() }
    }
}

/// Checks `spec.rollout`.
pub(super) fn check(rollout: &RolloutSpec, errors: &mut Vec<FieldError>) {
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError::new(format!("spec.rollout.{field}"), message));
    };
    let steps = &rollout.steps;
    if steps.is_empty() || steps.len() > STEPS_MAX {
        let message = format!(
            "has {} entries, allowed are 1 to {STEPS_MAX}; leave spec.rollout out to switch at once",
            steps.len()
        );
        wrong("steps", message);
    }
    for (index, step) in steps.iter().enumerate() {
        if !(1..=99).contains(step) {
            let message = format!("found {step}, allowed is 1 to 99; 100 follows by itself");
            wrong(&format!("steps[{index}]"), message);
        } else if index > 0 && *step <= steps[index - 1] {
            let message =
                format!("found {step} after {}; each step is more than the last", steps[index - 1]);
            wrong(&format!("steps[{index}]"), message);
        }
    }
    let interval = rollout.interval;
    if !(INTERVAL.0..=INTERVAL.1).contains(&interval.0) {
        wrong("interval", format!("found {interval}, allowed is 1s to 24h"));
    }
    if rollout.error_rate_max >= Percent::WHOLE {
        let found = rollout.error_rate_max;
        wrong("errorRateMax", format!("found {found}, allowed is 0% to 99.99%"));
    }
    if !(1..=REQUESTS_MAX).contains(&rollout.requests_min) {
        let found = rollout.requests_min;
        wrong("requestsMin", format!("found {found}, allowed is 1 to {REQUESTS_MAX}"));
    }
}

/// Checks `spec.probe`.
pub(super) fn check_probe(probe: &Probe, errors: &mut Vec<FieldError>) {
    let is_target = probe.path.starts_with('/')
        && probe
            .path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'<' | b'>'));
    if !is_target {
        let message = format!(
            "found {:?}; use a path that begins with '/', such as /healthz, with what is special in \
             it percent-encoded",
            probe.path
        );
        errors.push(FieldError::new("spec.probe.path", message));
    }
    if !(PROBE_TIMEOUT.0..=PROBE_TIMEOUT.1).contains(&probe.timeout.0) {
        let message = format!("found {}, allowed is 100ms to 10m", probe.timeout);
        errors.push(FieldError::new("spec.probe.timeout", message));
    }
}
