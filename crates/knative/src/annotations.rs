//! Annotations: those of the autoscaler, and a few of Knative's own.
//!
//! Knative checks the values of the annotations it knows and lets those it does not know
//! pass (`ValidateAnnotations`, pkg/apis/autoscaling). So here: a known one with a wrong
//! value is refused, one that is not honoured or not known is kept with a warning.

use std::time::Duration;

use gapless_types::{Span, nearest};
use serde_json::{Map, Value};

use crate::fields::{Findings, shown};

const AUTOSCALING: &str = "autoscaling.knative.dev/";
const VISIBILITY: &str = "networking.knative.dev/visibility";
/// Most instances of a function: what Knative's "no maximum" is here.
const SCALE_MAX: u64 = 10_000;
/// Bounds of the autoscaler's window (`WindowMin`, `WindowMax`).
const WINDOW: [Duration; 2] = [Duration::from_secs(6), Duration::from_secs(3600)];

const BY_WINDOW: &str = "is not honoured: gapless decides starts from the queue, not from averages";

/// Each annotation: its name, its older spelling, what its value is, and why it is not
/// honoured where it is not.
const KNOWN: &[(&str, &str, Kind, Option<&str>)] = &[
    ("class", "", Kind::Class, None),
    ("metric", "", Kind::Metric, None),
    ("min-scale", "minScale", Kind::Whole, None),
    ("max-scale", "maxScale", Kind::Whole, None),
    ("initial-scale", "initialScale", Kind::Whole, None),
    ("activation-scale", "activationScale", Kind::Whole, Some(BY_WINDOW)),
    ("scale-down-delay", "scaleDownDelay", Kind::Span, None),
    ("scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod", Kind::Span, None),
    ("target", "", Kind::Number(0.01, f64::MAX), None),
    (
        "target-utilization-percentage",
        "targetUtilizationPercentage",
        Kind::Number(1.0, 100.0),
        Some(BY_WINDOW),
    ),
    ("target-burst-capacity", "targetBurstCapacity", Kind::Number(-1.0, f64::MAX), Some(BY_WINDOW)),
    ("window", "", Kind::Window, Some(BY_WINDOW)),
    ("panic-window-percentage", "panicWindowPercentage", Kind::Number(1.0, 100.0), Some(BY_WINDOW)),
    (
        "panic-threshold-percentage",
        "panicThresholdPercentage",
        Kind::Number(110.0, 1000.0),
        Some(BY_WINDOW),
    ),
    ("metric-aggregation-algorithm", "metricAggregationAlgorithm", Kind::Any, Some(BY_WINDOW)),
];

/// What a value is.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Class,
    Metric,
    Whole,
    Number(f64, f64),
    Span,
    Window,
}

/// What the annotations of a revision come to.
#[derive(Debug, Default)]
pub(crate) struct Scaling {
    /// Fields of `spec.scale`.
    pub(crate) scale: Map<String, Value>,
    /// Requests that an instance should have at a time.
    pub(crate) target: Option<u64>,
}

/// Annotations and labels of the Service itself.
pub(crate) fn of_service(metadata: &Map<String, Value>, findings: &mut Findings) {
    let at = "metadata.annotations";
    let annotations = findings.map(metadata.get("annotations").unwrap_or(&Value::Null), at);
    for key in annotations.keys() {
        let path = format!("{at}.{key}");
        if key.starts_with(AUTOSCALING) {
            let message = "works only in spec.template.metadata.annotations: move it there";
            findings.error(path, message);
        } else if matches!(
            key.as_str(),
            "serving.knative.dev/rollout-duration" | "serving.knative.dev/progress-deadline"
        ) {
            let message = "is not honoured: how a revision takes over is said by spec.rollout of a gapless Function";
            findings.warn(&path, message);
        }
    }
    let labels = findings.map(metadata.get("labels").unwrap_or(&Value::Null), "metadata.labels");
    if labels.get(VISIBILITY).is_some_and(|value| value == "cluster-local") {
        let message = "is not honoured: every function is reached through the gateway. Remove it, \
                       and keep the gateway's address private";
        findings.error(format!("metadata.labels.{VISIBILITY}"), message);
    }
}

/// Annotations of a revision.
pub(crate) fn of_revision(metadata: &Map<String, Value>, findings: &mut Findings) -> Scaling {
    let at = "spec.template.metadata.annotations";
    let annotations = findings.map(metadata.get("annotations").unwrap_or(&Value::Null), at);
    let mut scaling = Scaling::default();
    for (key, value) in annotations {
        let Some(name) = key.strip_prefix(AUTOSCALING) else { continue };
        let path = format!("{at}.{key}");
        let Some(text) = value.as_str() else {
            let found = shown(value);
            findings.error(path, format!("found {found}, expected text; put it in quotes"));
            continue;
        };
        let known = KNOWN
            .iter()
            .find(|(known, older, ..)| *known == name || (*older == name && !older.is_empty()));
        let Some((name, _, kind, not_honoured)) = known else {
            let names: Vec<&str> = KNOWN.iter().map(|(name, ..)| *name).collect();
            let near = nearest(name, &names);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            findings.warn(&path, &format!("is not known and is ignored{hint}"));
            continue;
        };
        match check(*kind, text) {
            Err(allowed) => findings.error(path, format!("found {text:?}, allowed is {allowed}")),
            Ok(()) => match not_honoured {
                Some(why) => findings.warn(&path, why),
                None => honour(name, text, &path, &mut scaling, findings),
            },
        }
    }
    check_range(&scaling, at, findings);
    scaling
}

fn check(kind: Kind, text: &str) -> Result<(), String> {
    let is_allowed =
        |allowed: &str, is_so: bool| if is_so { Ok(()) } else { Err(allowed.to_owned()) };
    let span = || text.parse::<Span>().ok().map(|span| span.0);
    match kind {
        Kind::Any => Ok(()),
        Kind::Class => is_allowed(
            "kpa.autoscaling.knative.dev; there is no autoscaler of Kubernetes here",
            !text.ends_with("autoscaling.knative.dev") || text == "kpa.autoscaling.knative.dev",
        ),
        Kind::Metric => is_allowed(
            "concurrency, or rps; processor and memory are no metrics here",
            matches!(text, "concurrency" | "rps"),
        ),
        Kind::Whole => is_allowed(
            "a whole number from 0 to 10000",
            text.parse::<u64>().is_ok_and(|number| number <= SCALE_MAX),
        ),
        Kind::Number(least, most) => {
            let allowed = match most == f64::MAX {
                true => format!("a number of at least {least}"),
                false => format!("a number from {least} to {most}"),
            };
            let number = text.parse::<f64>();
            is_allowed(&allowed, number.is_ok_and(|number| (least..=most).contains(&number)))
        }
        Kind::Span => is_allowed(
            "a length of time from 0s to 1h, such as 30s",
            span().is_some_and(|span| span <= WINDOW[1]),
        ),
        Kind::Window => is_allowed(
            "a length of time from 6s to 1h, such as 60s",
            span().is_some_and(|span| (WINDOW[0]..=WINDOW[1]).contains(&span)),
        ),
    }
}

fn honour(name: &str, text: &str, path: &str, scaling: &mut Scaling, findings: &mut Findings) {
    let whole = text.parse::<u64>().unwrap_or(0);
    match name {
        "min-scale" => drop(scaling.scale.insert("min".to_owned(), whole.into())),
        "max-scale" => {
            let most = if whole == 0 { SCALE_MAX } else { whole };
            scaling.scale.insert("max".to_owned(), most.into());
        }
        "initial-scale" if whole != 1 => {
            findings.warn(path, "is not honoured: a new revision is tried with one instance");
        }
        "scale-down-delay" | "scale-to-zero-pod-retention-period" => keep_alive(text, scaling),
        "target" => {
            let target = text.parse::<f64>().unwrap_or(1.0).ceil().clamp(1.0, 1000.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "1 to 1000"
            )]
            let target = target as u64;
            scaling.target = Some(target);
        }
        "metric" if text == "rps" => {
            findings.warn(path, "is not honoured: instances are counted by requests under way");
        }
        _ => {}
    }
}

/// The longer of both: an unused instance stays that long.
fn keep_alive(text: &str, scaling: &mut Scaling) {
    let span = |text: &str| text.parse::<Span>().map_or(Duration::ZERO, |span| span.0);
    let before =
        scaling.scale.get("keepAlive").and_then(Value::as_str).map_or(Duration::ZERO, span);
    if span(text) > before {
        scaling.scale.insert("keepAlive".to_owned(), text.into());
    }
}

fn check_range(scaling: &Scaling, at: &str, findings: &mut Findings) {
    let bound = |field: &str| scaling.scale.get(field).and_then(Value::as_u64);
    if let (Some(min), Some(max)) = (bound("min"), bound("max"))
        && min > max
    {
        let message = format!("{min} is more than max-scale, {max}");
        findings.error(format!("{at}.{AUTOSCALING}min-scale"), message);
    }
}
