//! The schemas of a document: every kind, its list, and what they have in common.

use serde_json::{Map, Value, json};

use super::paths::Dialect;
use crate::descriptor::Descriptor;
use crate::schema;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// What a kind's schemas are called.
pub(super) struct Names {
    object: String,
    list: String,
}

impl Names {
    /// Group, version and kind, most general first, as in Kubernetes:
    /// `dev.gapless.v1.Function`.
    pub(super) fn of(kind: &Descriptor) -> Names {
        let group = match kind.group {
            "" => "io.k8s.api.core".to_owned(),
            group => group.rsplit('.').collect::<Vec<_>>().join("."),
        };
        let prefix = format!("{group}.{}", kind.version);
        Names {
            object: format!("{prefix}.{}", kind.kind),
            list: format!("{prefix}.{}", kind.list_kind),
        }
    }

    pub(super) fn for_paths(&self) -> [&str; 3] {
        [&self.object, &self.list, SCALE]
    }
}

pub(super) fn definitions(kinds: &[&Descriptor], dialect: Dialect) -> Value {
    let mut all = Map::new();
    let adapted = |schema: Value| adapt(schema, dialect);
    all.insert(QUANTITY.to_owned(), free("A number, or a text such as 250m or 128Mi."));
    all.insert(INT_OR_STRING.to_owned(), free("A number, or a text."));
    all.insert(OBJECT_META.to_owned(), adapted(schema::object_meta()));
    all.insert(LIST_META.to_owned(), adapted(schema::list_meta()));
    for kind in kinds {
        let names = Names::of(kind);
        let mut object = (kind.schema)();
        object["properties"]["metadata"] = reference(dialect, OBJECT_META, METADATA);
        object["x-kubernetes-group-version-kind"] = identity(kind, kind.kind);
        all.insert(names.object.clone(), adapted(object));
        all.insert(names.list.clone(), adapted(list(kind, dialect, &names.object)));
        if kind.has_scale && !all.contains_key(SCALE) {
            let mut scale = crate::scale::schema();
            scale["properties"]["metadata"] = reference(dialect, OBJECT_META, METADATA);
            scale["x-kubernetes-group-version-kind"] =
                json!([{"group": "autoscaling", "version": "v1", "kind": "Scale"}]);
            all.insert(SCALE.to_owned(), adapted(scale));
        }
    }
    Value::Object(all)
}

const METADATA: &str = "The object's name, labels and history.";

fn identity(kind: &Descriptor, name: &str) -> Value {
    json!([{"group": kind.group, "version": kind.version, "kind": name}])
}

fn list(kind: &Descriptor, dialect: Dialect, object: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("A list of objects of kind {}.", kind.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The API group and version."},
            "kind": {"type": "string", "description": format!("Always {}.", kind.list_kind)},
            "metadata": reference(dialect, LIST_META, "About the list."),
            "items": {
                "type": "array",
                "description": "The objects.",
                "items": reference(dialect, object, ""),
            },
        },
        "x-kubernetes-group-version-kind": identity(kind, kind.list_kind),
    })
}

/// A reference with a description: in version 3 nothing may stand beside `$ref`.
fn reference(dialect: Dialect, name: &str, description: &str) -> Value {
    let plain = dialect.reference(name);
    if description.is_empty() {
        return plain;
    }
    match dialect {
        Dialect::V2 => json!({"$ref": plain["$ref"], "description": description}),
        Dialect::V3 => json!({"allOf": [plain], "description": description, "default": {}}),
    }
}

/// A schema that says nothing of the type: a number and a text will do.
fn free(description: &str) -> Value {
    json!({"description": description, "x-kubernetes-int-or-string": true})
}

/// What is a number or a text becomes a reference to a schema that says so by its
/// name, which is what clients show. Version 2 has no `nullable`.
fn adapt(schema: Value, dialect: Dialect) -> Value {
    match schema {
        Value::Object(fields) if is_int_or_string(&fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let name = if text("format") == "int-or-string" { INT_OR_STRING } else { QUANTITY };
            let mut named = reference(dialect, name, text("description"));
            if let Some(slot) = named.as_object_mut() {
                slot.remove("default");
                slot.extend(
                    fields.get("default").map(|value| ("default".to_owned(), value.clone())),
                );
            }
            named
        }
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| dialect == Dialect::V3 || name != "nullable")
            .map(|(name, below)| (name, adapt(below, dialect)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| adapt(item, dialect)).collect(),
        other => other,
    }
}

fn is_int_or_string(fields: &Map<String, Value>) -> bool {
    fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
}
