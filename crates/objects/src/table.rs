//! Tables: what `kubectl get` prints. The server makes the rows, so that a client
//! need not know the kinds.
//!
//! Source: Kubernetes API concepts, "Receiving resources as Tables", and the types
//! `Table` and `PartialObjectMetadata` of `meta.k8s.io`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::descriptor::{ColumnKind, Descriptor};
use crate::negotiate::Form;

/// How much of each object a row carries: the query parameter `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// The word of the query parameter; empty is the default.
    pub fn parse(word: &str) -> Option<Include> {
        match word {
            "" | "Metadata" => Some(Include::Metadata),
            "None" => Some(Include::None),
            "Object" => Some(Include::Object),
            _ => None,
        }
    }
}

/// How a client wants objects: what it accepts, and what it asked for by query.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The kind.
    pub kind: &'a Descriptor,
    /// The form.
    pub form: Form,
    /// For tables.
    pub include: Include,
    /// For columns that show how long ago something was.
    pub now: Timestamp,
}

impl View<'_> {
    /// One object in the client's form.
    pub fn object(&self, object: Value) -> Value {
        match self.form {
            Form::Objects => object,
            Form::Metadata(version) => partial(&object, version),
            Form::Table(version) => {
                let meta = pick(&object, &["resourceVersion"]);
                self.table(version, meta, std::slice::from_ref(&object), true)
            }
        }
    }

    /// A list in the client's form. `meta` is the list's metadata.
    pub fn list(&self, meta: Value, objects: Vec<Value>) -> Value {
        match self.form {
            Form::Objects => {
                let mut list = json!({
                    "apiVersion": self.kind.api_version(), "kind": self.kind.list_kind,
                });
                // Moved: `json!` would copy every object.
                (list["metadata"], list["items"]) = (meta, Value::Array(objects));
                list
            }
            Form::Metadata(version) => {
                let items: Vec<Value> =
                    objects.iter().map(|object| partial(object, version)).collect();
                let mut list = json!({
                    "apiVersion": format!("meta.k8s.io/{version}"),
                    "kind": "PartialObjectMetadataList",
                });
                (list["metadata"], list["items"]) = (meta, Value::Array(items));
                list
            }
            Form::Table(version) => self.table(version, meta, &objects, true),
        }
    }

    /// The object of a watch event in the client's form. Of a watch's tables only the
    /// first says what the columns are.
    pub fn event(&self, object: Value, is_first: bool) -> Value {
        match self.form {
            Form::Table(version) => {
                let meta = pick(&object, &["resourceVersion"]);
                self.table(version, meta, std::slice::from_ref(&object), is_first)
            }
            _ => self.object(object),
        }
    }

    /// The object of a bookmark: it has a resource version and nothing else.
    pub fn bookmark(&self, resource_version: &str) -> Value {
        let (api_version, kind) = match self.form {
            Form::Objects => (self.kind.api_version(), self.kind.kind),
            Form::Metadata(version) => (format!("meta.k8s.io/{version}"), "PartialObjectMetadata"),
            Form::Table(version) => {
                let meta = json!({"resourceVersion": resource_version});
                let mut table = self.table(version, meta, &[], false);
                // client-go reads a bookmark's version from its only row.
                table["rows"] = json!([{
                    "cells": [],
                    "object": {
                        "apiVersion": format!("meta.k8s.io/{version}"),
                        "kind": "PartialObjectMetadata",
                        "metadata": {"resourceVersion": resource_version},
                    },
                }]);
                return table;
            }
        };
        json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"resourceVersion": resource_version, "creationTimestamp": null},
        })
    }

    fn table(&self, version: &str, meta: Value, objects: &[Value], has_columns: bool) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, version)).collect();
        json!({
            "apiVersion": format!("meta.k8s.io/{version}"),
            "kind": "Table",
            "metadata": meta,
            "columnDefinitions": if has_columns { columns(self.kind) } else { json!([]) },
            "rows": rows,
        })
    }

    fn row(&self, object: &Value, version: &str) -> Value {
        // Events have a name that says nothing; their table begins with the time.
        let has_name = has_name_column(self.kind);
        let name = has_name.then(|| json!(crate::meta::name(object)));
        let others = self.kind.columns.iter().map(|column| {
            let cell = (column.cell)(object);
            match (column.kind, cell.as_str()) {
                (ColumnKind::Date, Some(time)) => json!(ago(time, self.now)),
                (ColumnKind::Date, None) => json!("<unknown>"),
                _ => cell,
            }
        });
        let cells: Vec<Value> = name.into_iter().chain(others).collect();
        let mut row = Map::new();
        row.insert("cells".to_owned(), Value::Array(cells));
        let carried = match self.include {
            Include::None => None,
            Include::Metadata => Some(partial(object, version)),
            Include::Object => Some(object.clone()),
        };
        if let Some(carried) = carried {
            row.insert("object".to_owned(), carried);
        }
        Value::Object(row)
    }
}

/// Whether the first column is the object's name, as it is unless the kind has a
/// column of that name elsewhere.
fn has_name_column(kind: &Descriptor) -> bool {
    !kind.columns.iter().any(|column| column.name == "Name")
}

/// What the columns of a kind's table are.
pub fn columns(kind: &Descriptor) -> Value {
    let name = has_name_column(kind).then(|| {
        json!({
            "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "The object's name.",
        })
    });
    let others = kind.columns.iter().map(|column| {
        let is_date = column.kind == ColumnKind::Date;
        json!({
            "name": column.name,
            // A date is shown as text: how long ago it was.
            "type": if is_date { "string" } else { column.kind.as_str() },
            "format": column.format,
            "priority": column.priority,
            "description": column.description,
        })
    });
    name.into_iter().chain(others).collect()
}

/// An object's metadata as `PartialObjectMetadata`.
fn partial(object: &Value, version: &str) -> Value {
    json!({
        "apiVersion": format!("meta.k8s.io/{version}"),
        "kind": "PartialObjectMetadata",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

fn pick(object: &Value, fields: &[&str]) -> Value {
    let meta = object.get("metadata");
    let found =
        fields.iter().filter_map(|field| Some(((*field).to_owned(), meta?.get(*field)?.clone())));
    Value::Object(found.collect())
}

/// How long ago `time` was, in the words of kubectl: two units while that tells
/// something, one after that.
pub fn ago(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return "<invalid>".to_owned() };
    let seconds = now.as_second() - then.as_second();
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds, 60, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 => two(seconds, 3_600, "h", 60, "m"),
        28_800..172_800 => format!("{}h", seconds / 3_600),
        172_800..691_200 => two(seconds, 86_400, "d", 3_600, "h"),
        691_200..63_072_000 => format!("{}d", seconds / 86_400),
        63_072_000..252_288_000 => two(seconds, 31_536_000, "y", 86_400, "d"),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

fn two(seconds: i64, large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    let rest = seconds % large / small;
    if rest == 0 {
        return format!("{}{large_unit}", seconds / large);
    }
    format!("{}{large_unit}{rest}{small_unit}", seconds / large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{CONFIG_MAP, EVENT};

    const NOW: &str = "2026-01-02T00:00:00Z";

    fn view(form: Form, include: Include) -> View<'static> {
        View { kind: &CONFIG_MAP, form, include, now: NOW.parse().unwrap() }
    }

    fn config_map() -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
            "metadata": {"name": "c", "resourceVersion": "7",
                         "creationTimestamp": "2026-01-01T23:55:00Z"},
        })
    }

    #[test]
    fn a_list_becomes_a_table() {
        let meta = json!({"resourceVersion": "9", "continue": "x"});
        let table =
            view(Form::Table("v1"), Include::Metadata).list(meta.clone(), vec![config_map()]);
        assert_eq!(table["kind"], "Table");
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(table["metadata"], meta);
        let names: Vec<&Value> =
            table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["Name", "Data", "Age"]);
        assert_eq!(table["rows"][0]["cells"], json!(["c", 1, "5m"]));
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        let bare = view(Form::Table("v1"), Include::None).object(config_map());
        assert!(bare["rows"][0].get("object").is_none());
        assert_eq!(bare["metadata"]["resourceVersion"], "7");
        let full = view(Form::Table("v1"), Include::Object).object(config_map());
        assert_eq!(full["rows"][0]["object"], config_map());
    }

    #[test]
    fn only_the_first_event_has_columns() {
        let view = view(Form::Table("v1beta1"), Include::Metadata);
        let first = view.event(config_map(), true);
        assert_eq!(first["columnDefinitions"].as_array().unwrap().len(), 3);
        assert_eq!(first["rows"][0]["object"]["apiVersion"], "meta.k8s.io/v1beta1");
        let next = view.event(config_map(), false);
        assert_eq!(next["columnDefinitions"], json!([]));
        let bookmark = view.bookmark("12");
        assert_eq!(bookmark["rows"][0]["object"]["metadata"]["resourceVersion"], "12");
    }

    #[test]
    fn metadata_and_objects_are_themselves() {
        let partial = view(Form::Metadata("v1"), Include::None).list(json!({}), vec![config_map()]);
        assert_eq!(partial["kind"], "PartialObjectMetadataList");
        assert_eq!(partial["items"][0]["metadata"]["name"], "c");
        assert!(partial["items"][0].get("data").is_none());
        let plain = view(Form::Objects, Include::None).list(json!({}), vec![config_map()]);
        assert_eq!(plain["kind"], "ConfigMapList");
        assert_eq!(plain["items"][0], config_map());
        let bookmark = view(Form::Objects, Include::None).bookmark("12");
        assert_eq!(bookmark["kind"], "ConfigMap");
    }

    #[test]
    fn events_begin_with_the_time() {
        let view = View { kind: &EVENT, ..view(Form::Table("v1"), Include::None) };
        let event = json!({"lastTimestamp": NOW, "type": "Normal", "reason": "Up", "message": "ok ",
                           "involvedObject": {"kind": "Function", "name": "f"}});
        let cells = view.object(event)["rows"][0]["cells"].clone();
        assert_eq!(cells[0], "0s");
        assert_eq!(cells[3], "function/f");
        assert_eq!(cells[6], "ok");
    }

    #[test]
    fn ages_are_short() {
        let now: Timestamp = NOW.parse().unwrap();
        for (seconds, shown) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (700_000, "8d"),
            (70_000_000, "2y80d"),
            (300_000_000, "9y"),
            (-1, "0s"),
            (-5, "<invalid>"),
        ] {
            let then = now - jiff::SignedDuration::from_secs(seconds);
            assert_eq!(ago(&then.to_string(), now), shown, "{seconds}");
        }
        assert_eq!(ago("yesterday", now), "<invalid>");
    }
}
