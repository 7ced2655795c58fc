//! What `top` shows: two readings of the platform and the rates between them.

use std::collections::BTreeMap;
use std::time::Instant;

use gapless_api::PlatformInfo;
use gapless_types::Function;
use serde::Serialize;

use crate::exposition::{self, Sample};

/// Headers of the table.
pub(super) const COLUMNS: [&str; 7] =
    ["FUNCTION", "REQ/S", "ERR/S", "COLD/S", "READY", "STARTING", "STATE"];

/// The metrics that are shown, by their names in the exposition.
mod metric {
    pub(super) use gapless_telemetry::names::{GATEWAY_IN_FLIGHT, GATEWAY_QUEUED};

    pub(super) const REQUESTS: &str = "gapless_gateway_requests_total";
    pub(super) const REFUSALS: &str = "gapless_gateway_refusals_total";
}

/// What was counted for one function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    requests: f64,
    /// Of which answered with 5xx.
    errors: f64,
    /// Of which waited for a start.
    cold: f64,
}

/// What was counted for all functions together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    in_flight: f64,
    queued: f64,
    refused: f64,
}

/// The platform at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    at: Instant,
    info: PlatformInfo,
    functions: Vec<Function>,
    counts: BTreeMap<String, Counts>,
    totals: Totals,
}

impl Reading {
    /// Puts together what was read.
    pub(super) fn new(
        at: Instant,
        info: PlatformInfo,
        functions: Vec<Function>,
        metrics: &str,
    ) -> Self {
        let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
        let mut totals = Totals::default();
        for sample in exposition::read(metrics) {
            match sample.name.as_str() {
                metric::REQUESTS => {
                    let (namespace, name) = (sample.label("namespace"), sample.label("function"));
                    counts.entry(format!("{namespace}/{name}")).or_default().add(&sample);
                }
                metric::REFUSALS => totals.refused += sample.value,
                metric::GATEWAY_IN_FLIGHT => totals.in_flight = sample.value,
                metric::GATEWAY_QUEUED => totals.queued = sample.value,
                _ => {}
            }
        }
        Reading { at, info, functions, counts, totals }
    }
}

impl Counts {
    fn add(&mut self, sample: &Sample) {
        self.requests += sample.value;
        if sample.label("status") == "5xx" {
            self.errors += sample.value;
        }
        if sample.label("start") == "cold" {
            self.cold += sample.value;
        }
    }
}

/// A counter's rate; one that fell belongs to a platform that was started anew.
fn rate(now: f64, then: f64, seconds: f64) -> f64 {
    let then = if now < then { 0.0 } else { then };
    if seconds > 0.0 { (now - then) / seconds } else { 0.0 }
}

/// What is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    version: String,
    gateway: String,
    in_flight: u64,
    queued: u64,
    refused_per_second: f64,
    /// Busiest first.
    pub(super) functions: Vec<Row>,
}

/// One function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    /// Namespace and name.
    pub(super) function: String,
    requests_per_second: f64,
    /// Answered with 5xx.
    errors_per_second: f64,
    /// Waited for a start.
    cold_per_second: f64,
    ready_instances: u32,
    starting_instances: u32,
    state: String,
}

impl View {
    /// What happened from `former` to `latest`.
    pub(super) fn between(former: &Reading, latest: &Reading) -> Self {
        let seconds = (latest.at - former.at).as_secs_f64();
        let mut functions: Vec<Row> = latest
            .functions
            .iter()
            .map(|function| {
                let key = format!("{}/{}", function.metadata.namespace, function.metadata.name);
                let now = latest.counts.get(&key).copied().unwrap_or_default();
                let then = former.counts.get(&key).copied().unwrap_or_default();
                Row::new(key, function, now, then, seconds)
            })
            .collect();
        functions.sort_by(|a, b| {
            let by_load = b.requests_per_second.total_cmp(&a.requests_per_second);
            by_load.then(a.function.cmp(&b.function))
        });
        View {
            version: latest.info.version.clone(),
            gateway: latest.info.gateway.clone(),
            in_flight: latest.totals.in_flight as u64,
            queued: latest.totals.queued as u64,
            refused_per_second: rate(latest.totals.refused, former.totals.refused, seconds),
            functions,
        }
    }

    /// Totals, in a line.
    pub(super) fn headline(&self) -> String {
        let sum = |of: fn(&Row) -> f64| self.functions.iter().map(of).sum::<f64>();
        format!(
            "gapless {} at {}: {} functions, {:.0} requests/s, {} in flight, {} queued, \
             {:.0} refused/s, {} instances ready, {} starting",
            self.version,
            self.gateway,
            self.functions.len(),
            sum(|row| row.requests_per_second),
            self.in_flight,
            self.queued,
            self.refused_per_second,
            sum(|row| f64::from(row.ready_instances)),
            sum(|row| f64::from(row.starting_instances)),
        )
    }
}

impl Row {
    fn new(key: String, function: &Function, now: Counts, then: Counts, seconds: f64) -> Self {
        let status = function.status.clone().unwrap_or_default();
        let rate = |of: fn(&Counts) -> f64| rate(of(&now), of(&then), seconds);
        Row {
            function: key,
            requests_per_second: rate(|counts| counts.requests),
            errors_per_second: rate(|counts| counts.errors),
            cold_per_second: rate(|counts| counts.cold),
            ready_instances: status.ready_instances,
            starting_instances: status.starting_instances,
            state: status.condition("Ready").map_or("Unknown".to_owned(), |ready| {
                if ready.status == "True" { "Ready".to_owned() } else { ready.reason.clone() }
            }),
        }
    }

    /// A cell for each of [`COLUMNS`].
    pub(super) fn cells(&self) -> Vec<String> {
        vec![
            self.function.clone(),
            format!("{:.1}", self.requests_per_second),
            format!("{:.1}", self.errors_per_second),
            format!("{:.1}", self.cold_per_second),
            self.ready_instances.to_string(),
            self.starting_instances.to_string(),
            self.state.clone(),
        ]
    }

    /// Whether it deserves attention.
    pub(super) fn is_troubled(&self) -> bool {
        self.errors_per_second > 0.0 || self.state != "Ready"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn reading(at: Instant, requests: u32, errors: u32) -> Reading {
        let function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "hello"}, "spec": {"wasm": "a.wasm"},
        }))
        .unwrap();
        let name = metric::REQUESTS;
        let of = "namespace=\"default\",function=";
        let text = format!(
            "{name}{{{of}\"hello\",status=\"2xx\",start=\"warm\"}} {requests}\n\
             {name}{{{of}\"hello\",status=\"2xx\",start=\"cold\"}} 1\n\
             {name}{{{of}\"hello\",status=\"5xx\",start=\"warm\"}} {errors}\n\
             {name}{{{of}\"other\",status=\"2xx\",start=\"warm\"}} 9\n\
             {}{{reason=\"queue-full\"}} {requests}\ngapless_gateway_queued 7\n",
            metric::REFUSALS,
        );
        Reading::new(at, PlatformInfo::default(), vec![function], &text)
    }

    pub(in super::super) fn view() -> View {
        let now = Instant::now();
        View::between(&reading(now, 9, 0), &reading(now + Duration::from_secs(2), 19, 4))
    }

    #[test]
    fn rates_are_differences_over_time_and_summed_over_labels() {
        let view = view();
        let row = &view.functions[0];
        assert_eq!(view.functions.len(), 1, "only functions that exist are shown");
        assert_eq!((row.requests_per_second, row.errors_per_second), (7.0, 2.0));
        assert_eq!((view.refused_per_second, view.queued), (5.0, 7));
        assert!(row.is_troubled());
        assert_eq!(row.cells().len(), COLUMNS.len());
    }

    #[test]
    fn a_platform_started_anew_has_no_negative_rates() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let view = View::between(&reading(now, 100, 0), &reading(later, 4, 0));
        assert_eq!(view.functions[0].requests_per_second, 5.0);
    }
}
