//! YAML, with bounds, and where in a text each field is.

use serde_json::Value;
use serde_saphyr::{Location, Options, Spanned};

use crate::tree::Tree;
use crate::{DEPTH_MAX, OBJECTS_MAX, Place, ReadError, words};

/// Most values in a text, those of aliases included.
const NODES_MAX: usize = 500_000;
/// Most aliases, and what they may expand to.
const ALIASES_MAX: usize = 1_000;
const ALIAS_NODES_MAX: usize = 50_000;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: OBJECTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_recorded_anchor_events: ALIAS_NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIAS_NODES_MAX,
            max_replay_stack_depth: 16,
        },
        // `no` is Norway's and means no falsehood.
        strict_booleans: true,
    }
}

pub(crate) fn read(text: &str) -> Result<Vec<Value>, ReadError> {
    let documents = serde_saphyr::from_multiple_with_options::<Value>(text, options());
    let documents = documents.map_err(|error| {
        let place = error.location().and_then(place);
        words::explain(&error.without_snippet().to_string(), text, place)
    })?;
    Ok(documents.into_iter().filter(|value| !value.is_null()).collect())
}

/// A document in which fields can be found.
pub(crate) struct Places(Spanned<Tree>);

impl Places {
    pub(crate) fn find(&self, path: &str) -> Option<Place> {
        crate::tree::find(&self.0, path).and_then(place)
    }
}

/// Every document, with positions. JSON is read as the YAML it is.
pub(crate) fn places(text: &str) -> Option<Vec<Places>> {
    let documents = serde_saphyr::from_multiple_with_options::<Spanned<Tree>>(text, options()).ok();
    let documents = documents.or_else(|| separated(text));
    Some(documents?.into_iter().filter(|tree| !tree.value.is_null()).map(Places).collect())
}

/// JSON values one after the other are no YAML; one is.
fn separated(text: &str) -> Option<Vec<Spanned<Tree>>> {
    let first = serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options()).ok()?;
    Some(vec![first])
}

pub(crate) fn place(location: Location) -> Option<Place> {
    let (line, column) = (location.line(), location.column());
    (line > 0).then_some(Place { line, column })
}
