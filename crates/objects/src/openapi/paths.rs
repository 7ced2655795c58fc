//! The paths of a kind, in both versions of OpenAPI: just what clients look for,
//! that is which operations there are, on which kind, with which query parameters.

use serde_json::{Map, Value, json};

use crate::descriptor::Descriptor;

/// A version of OpenAPI, as far as paths differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// Where schemas are.
    pub(super) fn reference(self, name: &str) -> Value {
        match self {
            Dialect::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Dialect::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    fn parameter(self, place: &str, name: &str, kind: &str, description: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place, "description": description});
        match self {
            Dialect::V2 => parameter["type"] = json!(kind),
            Dialect::V3 => parameter["schema"] = json!({"type": kind}),
        }
        match (place, self) {
            ("path", _) => parameter["required"] = json!(true),
            (_, Dialect::V2) => parameter["uniqueItems"] = json!(true),
            _ => {}
        }
        parameter
    }
}

/// What an operation does to which kind.
#[derive(Clone, Copy)]
struct Verb {
    method: &'static str,
    /// The verb as descriptors name it.
    verb: &'static str,
    /// As `x-kubernetes-action` and in `operationId`.
    action: &'static str,
    operation: &'static str,
    is_write: bool,
}

const LIST: &[Verb] = &[
    Verb { method: "get", verb: "list", action: "list", operation: "list", is_write: false },
    Verb { method: "post", verb: "create", action: "post", operation: "create", is_write: true },
    Verb {
        method: "delete",
        verb: "deletecollection",
        action: "deletecollection",
        operation: "deleteCollection",
        is_write: true,
    },
];

const ONE: &[Verb] = &[
    Verb { method: "get", verb: "get", action: "get", operation: "read", is_write: false },
    Verb { method: "put", verb: "update", action: "put", operation: "replace", is_write: true },
    Verb { method: "patch", verb: "patch", action: "patch", operation: "patch", is_write: true },
    Verb {
        method: "delete",
        verb: "delete",
        action: "delete",
        operation: "delete",
        is_write: true,
    },
];

const PARTIAL: &[&str] = &["get", "put", "patch"];

/// Every path of `kind`. `name` is its schema's, `list_name` its list's schema's,
/// `scale_name` that of scales.
pub(super) fn of(
    kind: &Descriptor,
    dialect: Dialect,
    [name, list_name, scale_name]: [&str; 3],
) -> Map<String, Value> {
    let root = kind.root();
    let base = match kind.is_namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    };
    let writer = |verbs| Paths { kind, dialect, verbs };
    let mut paths = Map::new();
    let mut add = |path: String, item: Value| {
        if item.as_object().is_some_and(|item| item.keys().any(|key| key != "parameters")) {
            paths.insert(path, item);
        }
    };
    add(base.clone(), writer(LIST).item(&base, "", name, list_name));
    if kind.is_namespaced {
        let all = format!("{root}/{}", kind.plural);
        add(all.clone(), writer(&LIST[..1]).item(&all, "ForAllNamespaces", name, list_name));
    }
    let one = format!("{base}/{{name}}");
    add(one.clone(), writer(ONE).item(&one, "", name, name));
    let below = [("status", name, kind.has_status), ("scale", scale_name, kind.has_scale)];
    for (subresource, name, _) in below.into_iter().filter(|(.., is_there)| *is_there) {
        let path = format!("{one}/{subresource}");
        let suffix = if subresource == "status" { "Status" } else { "Scale" };
        add(path.clone(), writer(&ONE[..PARTIAL.len()]).item(&path, suffix, name, name));
    }
    paths
}

struct Paths<'a> {
    kind: &'a Descriptor,
    dialect: Dialect,
    verbs: &'a [Verb],
}

impl Paths<'_> {
    fn item(&self, path: &str, suffix: &str, name: &str, answer: &str) -> Value {
        let mut item = Map::new();
        for verb in self.verbs.iter().filter(|verb| self.kind.allows(verb.verb)) {
            let answer = match verb.verb {
                "list" | "get" => answer,
                _ => name,
            };
            item.insert(verb.method.to_owned(), self.operation(verb, suffix, name, answer));
        }
        let places = [("{namespace}", "namespace"), ("{name}", "name")];
        let parameters: Vec<Value> = places
            .into_iter()
            .filter(|(mark, _)| path.contains(mark))
            .map(|(_, word)| self.dialect.parameter("path", word, "string", "As in its metadata."))
            .collect();
        item.insert("parameters".to_owned(), Value::Array(parameters));
        Value::Object(item)
    }

    fn operation(&self, verb: &Verb, suffix: &str, name: &str, answer: &str) -> Value {
        let kind = self.kind;
        let is_scale = suffix == "Scale";
        let about = match is_scale {
            true => json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
            false => json!({"group": kind.group, "version": kind.version, "kind": kind.kind}),
        };
        let scope =
            if kind.is_namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
        let group: String = kind.group.split(['.', '-']).map(capital).collect::<Vec<_>>().concat();
        let group = if group.is_empty() { "Core".to_owned() } else { group };
        let version = capital(kind.version);
        let id = format!("{}{group}{version}{scope}{}{suffix}", verb.operation, kind.kind);
        let mut operation = json!({
            "description": format!("{} {}", verb.operation, kind.plural),
            "operationId": id,
            "x-kubernetes-action": verb.action,
            "x-kubernetes-group-version-kind": about,
            "parameters": self.parameters(verb, name),
        });
        let answer = self.dialect.reference(answer);
        match self.dialect {
            Dialect::V2 => {
                operation["produces"] = json!(["application/json"]);
                operation["consumes"] = json!(consumes(kind, verb));
                operation["responses"] = json!({"200": {"description": "OK", "schema": answer}});
            }
            Dialect::V3 => {
                let content = json!({"application/json": {"schema": answer}});
                operation["responses"] = json!({"200": {"description": "OK", "content": content}});
                if verb.is_write && verb.method != "delete" {
                    operation["requestBody"] = self.body(verb, name);
                }
            }
        }
        operation
    }

    fn body(&self, verb: &Verb, name: &str) -> Value {
        let schema = match verb.method {
            "patch" => json!({"type": "object"}),
            _ => self.dialect.reference(name),
        };
        let types = consumes(self.kind, verb).into_iter();
        let content: Map<String, Value> =
            types.map(|media| (media.to_owned(), json!({"schema": schema}))).collect();
        json!({"required": true, "content": content})
    }

    fn parameters(&self, verb: &Verb, name: &str) -> Vec<Value> {
        let query = |name, kind, text| self.dialect.parameter("query", name, kind, text);
        let mut all = Vec::new();
        if verb.is_write {
            all.push(query("dryRun", "string", "All: everything but the write itself."));
        }
        if matches!(verb.method, "post" | "put" | "patch") {
            all.push(query("fieldManager", "string", "Who writes, for server-side apply."));
            all.push(query(
                "fieldValidation",
                "string",
                "Unknown and duplicate fields: Ignore, Warn or Strict.",
            ));
        }
        if verb.method == "patch" {
            all.push(query("force", "boolean", "For server-side apply: takes fields of others."));
        }
        if matches!(verb.verb, "list" | "deletecollection") {
            for (name, kind, text) in LIST_PARAMETERS {
                all.push(query(name, kind, text));
            }
        }
        if self.dialect == Dialect::V2 && matches!(verb.method, "post" | "put" | "patch") {
            let schema = match verb.method {
                "patch" => json!({"type": "object"}),
                _ => self.dialect.reference(name),
            };
            all.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
        }
        all
    }
}

const LIST_PARAMETERS: &[(&str, &str, &str)] = &[
    ("labelSelector", "string", "Only objects with these labels, such as app=web."),
    ("fieldSelector", "string", "Only objects with these fields, such as metadata.name=web."),
    ("limit", "integer", "At most so many objects; continue asks for more."),
    ("continue", "string", "The next page."),
    ("resourceVersion", "string", "The state to show, or to watch from."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."),
    ("timeoutSeconds", "integer", "Seconds after which a watch ends."),
    ("watch", "boolean", "Changes as they happen, instead of a list."),
    ("allowWatchBookmarks", "boolean", "Whether a watch may tell how far it is."),
    ("sendInitialEvents", "boolean", "Whether a watch begins with what there is."),
];

fn consumes(kind: &Descriptor, verb: &Verb) -> Vec<&'static str> {
    match verb.method {
        "patch" if kind.group.is_empty() => vec![
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ],
        "patch" => vec![
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ],
        _ => vec!["application/json", "application/yaml"],
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
