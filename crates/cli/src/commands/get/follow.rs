//! A watch that goes on: what exists, then every change, resumed where it was when the
//! connection ends (Kubernetes API concepts, "Efficient detection of changes").
//!
//! What always holds: after a resumption nothing is told twice and nothing is left out.
//! Only when the platform has forgotten the version it is resumed from (`410`), what
//! exists is told again, after [`Change::Begun`].

use std::time::{Duration, Instant};

use gapless_api::WatchEvent;
use http::Method;
use serde_json::Value;

use crate::client::{self, Client, Lines, as_table, no_body};
use crate::failure::{Failure, Outcome};

/// How long a platform that has gone is waited for: longer than its restart takes.
const RETURN_WITHIN: Duration = Duration::from_secs(30);
/// Time between two attempts to reach it.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Change {
    /// `ADDED`, `MODIFIED` or `DELETED`, and the object (or a table of it).
    Object { change: String, object: Value },
    /// What existed was told.
    Begun,
}

/// A watch of a list.
#[derive(Debug)]
pub(crate) struct Follow {
    client: Client,
    path: String,
    query: String,
    wants_tables: bool,
    /// Up to which version everything was told.
    version: Option<u64>,
    lines: Option<Lines>,
    /// Since when the platform has been gone.
    gone: Option<Instant>,
}

impl Follow {
    /// A watch of what is at `path`, of those that `query` selects.
    pub(crate) fn new(client: Client, path: &str, query: &str) -> Self {
        let and = if query.is_empty() { "" } else { "&" };
        let query = format!("?watch=true&allowWatchBookmarks=true{and}{query}");
        let (path, wants_tables) = (path.to_owned(), false);
        Follow { client, path, query, wants_tables, version: None, lines: None, gone: None }
    }

    /// The same, of the platform's tables.
    pub(crate) fn tables(self) -> Self {
        Follow { wants_tables: true, ..self }
    }

    /// What happens next.
    pub(crate) async fn next(&mut self) -> Outcome<Change> {
        loop {
            let Some(lines) = &mut self.lines else {
                self.connect().await?;
                continue;
            };
            let event = lines.next_object::<WatchEvent<Value>>().await;
            // However it ended, it is resumed; that it cannot be is told by the next attempt.
            let Ok(Some(event)) = event else {
                self.lines = None;
                continue;
            };
            self.gone = None;
            match event.r#type.as_str() {
                "BOOKMARK" => {
                    self.advance(&event.object);
                    if is_initial_end(&event.object) {
                        return Ok(Change::Begun);
                    }
                }
                "ERROR" => {
                    let code = event.object["code"].as_u64();
                    let why = event.object["message"].as_str().unwrap_or_default();
                    if code != Some(410) {
                        return Err(Failure::new("the watch ended", why));
                    }
                    (self.version, self.lines) = (None, None);
                }
                change => {
                    // While what exists is told, versions are in no order.
                    if self.version.is_some() {
                        self.advance(&event.object);
                    }
                    return Ok(Change::Object { change: change.to_owned(), object: event.object });
                }
            }
        }
    }

    /// A change of what is only observed is told with the version that the object has,
    /// which is older than what was told already.
    fn advance(&mut self, object: &Value) {
        self.version = self.version.max(version_of(object));
    }

    async fn connect(&mut self) -> Outcome {
        let from = match &self.version {
            Some(version) => format!("&resourceVersion={version}"),
            None => "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let path = format!("{}{}{from}", self.path, self.query);
        let mut request = client::request(Method::GET, &path, no_body());
        if self.wants_tables {
            request = as_table(request);
        }
        let failure = match self.client.lines_of("cannot watch", request).await {
            Ok(lines) => {
                self.lines = Some(lines);
                return Ok(());
            }
            Err(failure) => failure,
        };
        if failure.is_gone() {
            self.version = None;
            return Ok(());
        }
        // A first attempt that fails is told at once.
        let is_first = self.version.is_none() && self.gone.is_none();
        let since = *self.gone.get_or_insert_with(Instant::now);
        if is_first || failure.is_refusal() || since.elapsed() > RETURN_WITHIN {
            return Err(failure);
        }
        tokio::time::sleep(RETRY_EVERY).await;
        Ok(())
    }
}

/// The version in an object, or in the only row of a table.
fn version_of(object: &Value) -> Option<u64> {
    let own = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let row = object.pointer("/rows/0/object/metadata/resourceVersion").and_then(Value::as_str);
    own.filter(|version| !version.is_empty()).or(row)?.parse().ok()
}

fn is_initial_end(object: &Value) -> bool {
    let annotations = ["/metadata/annotations", "/rows/0/object/metadata/annotations"];
    let mut annotations = annotations.iter().filter_map(|pointer| object.pointer(pointer));
    annotations.any(|annotations| annotations["k8s.io/initial-events-end"] == "true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_found_in_objects_and_tables() {
        let object = json!({"metadata": {"resourceVersion": "7"}});
        assert_eq!(version_of(&object), Some(7));
        let table = json!({"metadata": {}, "rows": [{"object": object}]});
        assert_eq!(version_of(&table), Some(7));
        assert_eq!(version_of(&json!({"metadata": {"resourceVersion": ""}})), None);
        let end = json!({"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}});
        assert!(is_initial_end(&end) && is_initial_end(&json!({"rows": [{"object": end}]})));
        assert!(!is_initial_end(&object));
    }
}
