//! OpenAPI version 2.0: one document of everything.

use serde_json::{Map, Value, json};

use super::definitions::{Names, definitions};
use super::paths::{self, Dialect};
use crate::descriptor::Descriptor;

pub(super) fn document(kinds: &[&Descriptor], version: &str) -> Value {
    let mut all = Map::new();
    for kind in kinds {
        let names = Names::of(kind);
        all.extend(paths::of(kind, Dialect::V2, names.for_paths()));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "gapless", "version": version},
        "paths": all,
        "definitions": definitions(kinds, Dialect::V2),
    })
}
