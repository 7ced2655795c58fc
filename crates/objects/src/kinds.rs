//! Kinds that are not ours but that tools expect: the core group's namespaces,
//! secrets, config maps and events, and Knative's services.
//!
//! Their schemas are files in `schemas/`, in our own words: the fields that gapless
//! honours and those that tools write.

use serde_json::{Value, json};

use crate::descriptor::{Column, ColumnKind, Descriptor, at};
use crate::schema::of_file;

/// Verbs of a kind that people declare.
pub const DECLARED_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of a kind that is only observed.
pub const OBSERVED_VERBS: &[&str] = &["get", "list", "watch"];

/// How old the object is: a column that almost every kind has.
pub const AGE: Column = Column {
    name: "Age",
    kind: ColumnKind::Date,
    format: "",
    priority: 0,
    description: "When the object was made.",
    cell: |object| found(object, "metadata.creationTimestamp"),
};

/// The value at `path`, or null.
pub fn found(object: &Value, path: &str) -> Value {
    at(object, path).cloned().unwrap_or(Value::Null)
}

/// A column of texts.
pub const fn text(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value) -> Value,
) -> Column {
    Column { name, kind: ColumnKind::String, format: "", priority: 0, description, cell }
}

/// A column of whole numbers.
pub const fn integer(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value) -> Value,
) -> Column {
    Column { name, kind: ColumnKind::Integer, format: "", priority: 0, description, cell }
}

impl Column {
    /// The same column, shown only in wide tables.
    pub const fn wide(mut self) -> Column {
        self.priority = 1;
        self
    }
}

/// A core kind that people declare, with no columns and no subresources.
const CORE: Descriptor = Descriptor {
    group: "",
    version: "v1",
    kind: "",
    list_kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    is_namespaced: true,
    verbs: DECLARED_VERBS,
    has_status: false,
    has_scale: false,
    columns: &[AGE],
    selectable: &[],
    schema: || Value::Null,
};

/// `v1` namespaces.
pub static NAMESPACE: Descriptor = Descriptor {
    kind: "Namespace",
    list_kind: "NamespaceList",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    is_namespaced: false,
    has_status: true,
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    columns: &[
        text("Status", "Whether it is in use or being deleted.", |o| found(o, "status.phase")),
        AGE,
    ],
    selectable: &["status.phase"],
    schema: || of_file(include_str!("schemas/namespace.json")),
    ..CORE
};

/// `v1` secrets.
pub static SECRET: Descriptor = Descriptor {
    kind: "Secret",
    list_kind: "SecretList",
    plural: "secrets",
    singular: "secret",
    columns: &[
        text("Type", "What it is for.", |o| found(o, "type")),
        integer("Data", "How many values it has.", |o| count(o, &["data"])),
        AGE,
    ],
    selectable: &["type"],
    schema: || of_file(include_str!("schemas/secret.json")),
    ..CORE
};

/// `v1` config maps.
pub static CONFIG_MAP: Descriptor = Descriptor {
    kind: "ConfigMap",
    list_kind: "ConfigMapList",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    columns: &[
        integer("Data", "How many values it has.", |o| count(o, &["data", "binaryData"])),
        AGE,
    ],
    schema: || of_file(include_str!("schemas/config_map.json")),
    ..CORE
};

/// `v1` events.
pub static EVENT: Descriptor = Descriptor {
    kind: "Event",
    list_kind: "EventList",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    columns: &[
        Column { name: "Last Seen", description: "When it last happened.", cell: last_seen, ..AGE },
        text("Type", "Normal or Warning.", |o| found(o, "type")),
        text("Reason", "One word for machines.", |o| found(o, "reason")),
        text("Object", "What it happened to.", object_of),
        text("Subobject", "Which part of it.", |o| found(o, "involvedObject.fieldPath")).wide(),
        text("Source", "Who says so.", source_of).wide(),
        text("Message", "A sentence for people.", |o| {
            let text = found(o, "message");
            text.as_str().map_or(Value::Null, |text| json!(text.trim()))
        }),
        Column {
            name: "First Seen",
            description: "When it first happened.",
            priority: 1,
            cell: |o| found(o, "firstTimestamp"),
            ..AGE
        },
        Column {
            kind: ColumnKind::Integer,
            priority: 1,
            ..text("Count", "How often it happened.", |o| found(o, "count"))
        },
        text("Name", "The event's name.", |o| found(o, "metadata.name")).wide(),
    ],
    selectable: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
    schema: || of_file(include_str!("schemas/event.json")),
    ..CORE
};

/// `serving.knative.dev/v1` services.
pub static KNATIVE_SERVICE: Descriptor = Descriptor {
    group: "serving.knative.dev",
    kind: "Service",
    list_kind: "ServiceList",
    plural: "services",
    singular: "service",
    short_names: &["kservice", "ksvc"],
    categories: &["all", "knative", "serving"],
    has_status: true,
    columns: &[
        text("URL", "Where to call it.", |o| found(o, "status.url")),
        text("LatestCreated", "The newest revision.", |o| {
            found(o, "status.latestCreatedRevisionName")
        }),
        text("LatestReady", "The newest revision that is ready.", |o| {
            found(o, "status.latestReadyRevisionName")
        }),
        text("Ready", "Whether it can be called.", |o| condition(o, "Ready", "status")),
        text("Reason", "Why not.", |o| condition(o, "Ready", "reason")),
        AGE,
    ],
    schema: || of_file(include_str!("schemas/knative_service.json")),
    ..CORE
};

/// Every kind of this file.
pub static ALL: &[&Descriptor] = &[&NAMESPACE, &SECRET, &CONFIG_MAP, &EVENT, &KNATIVE_SERVICE];

/// `field` of the condition `kind` in the object's status, or null.
pub fn condition(object: &Value, kind: &str, field: &str) -> Value {
    let conditions = at(object, "status.conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|one| one.get("type").and_then(Value::as_str) == Some(kind));
    found.and_then(|one| one.get(field)).cloned().unwrap_or(Value::Null)
}

fn count(object: &Value, fields: &[&str]) -> Value {
    let maps = fields.iter().filter_map(|field| object.get(*field)?.as_object());
    json!(maps.map(serde_json::Map::len).sum::<usize>())
}

fn last_seen(event: &Value) -> Value {
    let times = ["series.lastObservedTime", "lastTimestamp", "firstTimestamp", "eventTime"];
    let mut times = times.iter().map(|path| found(event, path));
    times.find(Value::is_string).unwrap_or(Value::Null)
}

fn object_of(event: &Value) -> Value {
    let of = |field: &str| at(event, field).and_then(Value::as_str).unwrap_or_default();
    let kind = of("involvedObject.kind").to_lowercase();
    json!(format!("{kind}/{}", of("involvedObject.name")))
}

fn source_of(event: &Value) -> Value {
    let parts = ["source.component", "source.host"];
    let parts: Vec<&str> = parts
        .iter()
        .filter_map(|path| at(event, path)?.as_str())
        .filter(|s| !s.is_empty())
        .collect();
    match parts.is_empty() {
        true => found(event, "reportingComponent"),
        false => json!(parts.join(", ")),
    }
}
