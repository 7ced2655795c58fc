//! The kinds that can be listed, and what their columns show.

use std::collections::BTreeMap;

use gapless_api::{Instance, Node, PlacementProfile, ROOT};
use gapless_types::{Code, Function};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::output::{self, age};

/// A kind whose columns are made here.
pub(crate) trait Listed: DeserializeOwned {
    /// Its name in paths.
    const PLURAL: &'static str;
    /// Its name in `-o name`.
    const SINGULAR: &'static str;
    /// Whether it lives in a namespace.
    const IS_NAMESPACED: bool = true;
    /// Headers of the columns, and how many of them are only in `wide`.
    const COLUMNS: &'static [&'static str];
    /// Columns shown unless `-o wide`.
    const NARROW: usize;

    /// A cell for each column.
    fn cells(&self, now: Timestamp) -> Vec<String>;
}

impl Listed for Function {
    const PLURAL: &'static str = "functions";
    const SINGULAR: &'static str = "function";
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "READY",
        "REVISION",
        "INSTANCES",
        "AGE",
        "URL",
        "CODE",
        "CONCURRENCY",
        "SCALE",
        "STATUS",
    ];
    const NARROW: usize = 6;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let status = self.status.clone().unwrap_or_default();
        let ready = status.condition("Ready");
        let instances = match status.starting_instances {
            0 => status.ready_instances.to_string(),
            starting => format!("{} (+{starting})", status.ready_instances),
        };
        let scale = &self.spec.scale;
        vec![
            self.metadata.name.clone(),
            ready.map_or("Unknown".to_owned(), |ready| ready.status.clone()),
            or_dash(&status.revision),
            instances,
            age(&self.metadata.creation_timestamp, now),
            or_dash(&status.url),
            code(self),
            self.spec.concurrency.to_string(),
            format!("{}-{}", scale.min, scale.max),
            ready.map_or("-".to_owned(), |ready| ready.reason.clone()),
        ]
    }
}

/// What kind of code a function has, in a word or two.
pub(crate) fn code(function: &Function) -> String {
    match function.spec.code() {
        Code::Wasm => "wasm".to_owned(),
        Code::Command(command) => {
            let program = command.first().map_or("", String::as_str);
            format!("command:{}", program.rsplit('/').next().unwrap_or(program))
        }
        Code::Fake(_) => "fake".to_owned(),
    }
}

impl Listed for Instance {
    const PLURAL: &'static str = "instances";
    const SINGULAR: &'static str = "instance";
    const COLUMNS: &'static [&'static str] =
        &["NAME", "FUNCTION", "NODE", "PHASE", "START", "TOOK", "AGE", "ENDPOINT", "PHASES"];
    const NARROW: usize = 7;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let status = &self.status;
        let is_started = !status.start_kind.is_empty();
        let phases = status.start_phases_ms.iter();
        let phases: Vec<String> =
            phases.map(|(name, ms)| format!("{name} {}", output::millis(*ms))).collect();
        vec![
            self.metadata.name.clone(),
            status.function.clone(),
            status.node.clone(),
            status.phase.clone(),
            or_dash(&status.start_kind),
            if is_started { output::millis(status.start_ms) } else { "-".to_owned() },
            age(&self.metadata.creation_timestamp, now),
            or_dash(&status.endpoint),
            or_dash(&phases.join(", ")),
        ]
    }
}

impl Listed for Node {
    const PLURAL: &'static str = "nodes";
    const SINGULAR: &'static str = "node";
    const IS_NAMESPACED: bool = false;
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "READY",
        "INSTANCES",
        "CPU",
        "MEMORY",
        "SANDBOXES",
        "ZONE",
        "RACK",
        "LOAD",
        "HELD",
        "DEVICES",
        "TAINTS",
        "LABELS",
    ];
    const NARROW: usize = 7;

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        let status = &self.status;
        let memory = |count| output::bytes(count).replace(' ', "");
        vec![
            self.metadata.name.clone(),
            match (status.ready, status.cordoned) {
                (_, true) => "Cordoned",
                (true, false) => "True",
                (false, false) => "False",
            }
            .to_owned(),
            match status.starting {
                0 => status.instances.to_string(),
                starting => format!("{} ({starting} starting)", status.instances),
            },
            format!("{}m/{}m", status.cpu_millis_reserved, status.cpu_millis),
            format!("{}/{}", memory(status.memory_bytes_reserved), memory(status.memory_bytes)),
            status.sandboxes.join(","),
            or_dash(&status.zone),
            or_dash(&status.rack),
            format!("{:.0}%", status.cpu_load * 100.0),
            status.held.to_string(),
            or_dash(&status.devices.join(",")),
            or_dash(&status.taints.join(",")),
            or_dash(&labels(&self.metadata.labels)),
        ]
    }
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

impl Listed for PlacementProfile {
    const PLURAL: &'static str = "placementprofiles";
    const SINGULAR: &'static str = "profile";
    const IS_NAMESPACED: bool = false;
    const COLUMNS: &'static [&'static str] =
        &["NAME", "SCORES", "FUNCTIONS", "CONFLICTS", "AGE", "APPLIES TO", "POLICIES"];
    const NARROW: usize = 6;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let status = self.status.clone().unwrap_or_default();
        let scores = status.policies.iter().filter(|policy| policy.weight > 0.0);
        let named = scores.clone().map(|policy| format!("{}={}", policy.policy, policy.weight));
        let conflicts = status.conflicts.iter();
        let conflicts = conflicts.map(|pair| format!("{} against {}", pair.policy, pair.against));
        let applies = &self.spec.applies_to;
        let applies = [&applies.functions, &applies.classes, &applies.namespaces];
        let applies: Vec<&str> = applies.into_iter().flatten().map(String::as_str).collect();
        vec![
            self.metadata.name.clone(),
            scores.count().to_string(),
            status.functions.to_string(),
            or_dash(&conflicts.collect::<Vec<_>>().join("; ")),
            match self.metadata.creation_timestamp.as_str() {
                "" => "built in".to_owned(),
                created => age(created, now),
            },
            or_dash(&applies.join(",")),
            named.collect::<Vec<_>>().join(" "),
        ]
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// The path of a list: of all namespaces when `namespace` is `None`.
pub(crate) fn list_path<T: Listed>(namespace: Option<&str>) -> String {
    match namespace.filter(|_| T::IS_NAMESPACED) {
        Some(namespace) => format!("{ROOT}/namespaces/{namespace}/{}", T::PLURAL),
        None => format!("{ROOT}/{}", T::PLURAL),
    }
}

/// Whether this is the column that tells whether an object works.
pub(super) fn is_state(column: &&str) -> bool {
    matches!(*column, "READY" | "PHASE")
}

/// Reads one object of a list.
pub(super) fn read<T: Listed>(item: &Value) -> Outcome<T> {
    T::deserialize(item).map_err(|error| {
        Failure::new(format!("cannot read a {}", T::SINGULAR), error)
            .help("are the command and the platform of the same version? See `gapless --version`")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_a_cell_for_each_column() {
        let now = Timestamp::UNIX_EPOCH;
        let function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function", "metadata": {"name": "hello"},
            "spec": {"command": ["/usr/bin/python3", "x.py"]},
        }))
        .unwrap();
        let cells = function.cells(now);
        assert_eq!(cells.len(), Function::COLUMNS.len());
        assert_eq!(cells[..3], ["hello", "Unknown", "-"]);
        assert_eq!(cells[6], "command:python3");
        let instance: Instance = read(&json!({
            "apiVersion": "gapless.dev/v1", "kind": "Instance",
            "metadata": {"name": "hello-00001-i000001", "creationTimestamp": ""},
            "status": {"function": "hello", "revision": "", "node": "n", "phase": "Starting",
                "endpoint": "", "startKind": "", "startMs": 0.0, "startPhasesMs": []},
        }))
        .unwrap();
        assert_eq!(instance.cells(now).len(), Instance::COLUMNS.len());
        assert_eq!(instance.cells(now)[5], "-", "no time before it is ready");
    }

    #[test]
    fn paths_follow_the_namespace() {
        assert_eq!(list_path::<Function>(None), "/apis/gapless.dev/v1/functions");
        let path = "/apis/gapless.dev/v1/namespaces/a/instances";
        assert_eq!(list_path::<Instance>(Some("a")), path);
        assert_eq!(list_path::<Node>(Some("a")), "/apis/gapless.dev/v1/nodes");
    }
}
