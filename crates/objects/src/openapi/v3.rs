//! OpenAPI version 3.0: a document per group and version, and their index.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Document;
use super::definitions::{Names, definitions};
use super::paths::{self, Dialect};
use crate::descriptor::Descriptor;

/// The documents by path, such as `apis/gapless.dev/v1`.
pub(super) fn documents(kinds: &[&Descriptor], version: &str) -> BTreeMap<String, Value> {
    let mut groups: BTreeMap<String, Vec<&Descriptor>> = BTreeMap::new();
    for kind in kinds {
        groups.entry(kind.root().trim_start_matches('/').to_owned()).or_default().push(kind);
    }
    groups.into_iter().map(|(path, kinds)| (path, document(&kinds, version))).collect()
}

fn document(kinds: &[&Descriptor], version: &str) -> Value {
    let mut all = Map::new();
    for kind in kinds {
        let names = Names::of(kind);
        all.extend(paths::of(kind, Dialect::V3, names.for_paths()));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "gapless", "version": version},
        "paths": all,
        "components": {"schemas": definitions(kinds, Dialect::V3)},
    })
}

/// `GET /openapi/v3`. The hash in each address is the document's: an address that is
/// known can be cached for ever.
pub(super) fn index(documents: &BTreeMap<String, Document>) -> Value {
    let paths: Map<String, Value> = documents
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash());
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}
