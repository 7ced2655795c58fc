//! Functions: reading, listing, watching, declaring, deleting.

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use gapless_api::{Status, WatchEvent};
use gapless_types::{FieldError, Function};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

use super::Api;
use super::error::{ApiError, bad_request, path_key};
use super::lists;
use crate::Control;
use crate::declare::{Applied, Mode, not_found};
use crate::watch::Change;

/// Largest declaration.
const DECLARATION_BYTES_MAX: usize = 1 << 20;

type Outcome<T> = Result<T, ApiError>;
type Names = Result<Path<(String, String)>, PathRejection>;
type Namespace = Result<Path<String>, PathRejection>;
type Selection = Result<Query<ListQuery>, QueryRejection>;

/// What a list can be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListQuery {
    #[serde(default)]
    watch: Option<String>,
    #[serde(default)]
    field_selector: Option<String>,
    #[serde(default)]
    label_selector: Option<String>,
}

pub(crate) async fn read(State(api): State<Api>, names: Names) -> Outcome<Json<Function>> {
    let Path((namespace, name)) = names?;
    let key = path_key(&namespace, &name)?;
    api.control.function_object(&key).map(Json).ok_or_else(|| not_found(&key).into())
}

pub(crate) async fn list(State(api): State<Api>, query: Selection) -> Outcome<Response> {
    listed(api, None, query).await
}

pub(crate) async fn list_of(
    State(api): State<Api>,
    namespace: Namespace,
    query: Selection,
) -> Outcome<Response> {
    let Path(namespace) = namespace?;
    listed(api, Some(namespace), query).await
}

async fn listed(api: Api, namespace: Option<String>, query: Selection) -> Outcome<Response> {
    let Query(query) = query?;
    if query.label_selector.as_deref().is_some_and(|labels| !labels.is_empty()) {
        return Err(bad_request("labelSelector is not honoured by this version of gapless"));
    }
    let name = selected_name(query.field_selector.as_deref())?;
    let selected = Selected { namespace, name };
    if is_true("watch", query.watch.as_deref())? {
        return watch(api, selected).await;
    }
    lists::list(api, "FunctionList", move |control| selected.functions(control)).await
}

/// Which functions are meant.
struct Selected {
    namespace: Option<String>,
    name: Option<String>,
}

impl Selected {
    fn functions(&self, control: &Control) -> Vec<Function> {
        if let (Some(namespace), Some(name)) = (&self.namespace, &self.name) {
            let key = gapless_types::FunctionKey::new(namespace, name).ok();
            return key.and_then(|key| control.function_object(&key)).into_iter().collect();
        }
        let mut functions = control.function_objects(self.namespace.as_deref());
        functions.retain(|function| self.is_meant(function));
        functions
    }

    fn is_meant(&self, function: &Function) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is(&self.namespace, &function.metadata.namespace) && is(&self.name, &function.metadata.name)
    }
}

/// What exists, then each change, one event per line, until the client leaves,
/// falls too far behind, or the platform ends.
async fn watch(api: Api, selected: Selected) -> Outcome<Response> {
    // First listen, then look: what changes in between is told twice, not never.
    let changes = api.control.watch.subscribe();
    let control = Arc::clone(&api.control);
    let existing = gapless_rt::spawn_blocking(move || {
        let functions = selected.functions(&control);
        let lines = functions.iter().map(|function| event_line("ADDED", function));
        (lines.collect::<Vec<Bytes>>(), selected)
    });
    let (existing, selected) = existing.await?;
    let live = stream::unfold(changes, |mut changes| async move {
        match changes.recv().await {
            Ok(change) => Some((change, changes)),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    });
    let live = live.filter_map(move |change: Arc<Change>| {
        let line = selected.is_meant(&change.function).then(|| {
            let kind = if change.is_deleted { "DELETED" } else { "MODIFIED" };
            event_line(kind, &change.function)
        });
        std::future::ready(line)
    });
    Ok(lines(&api, stream::iter(existing).chain(live)))
}

fn event_line(kind: &str, function: &Function) -> Bytes {
    json_line(&WatchEvent { r#type: kind.to_owned(), object: function })
}

/// A JSON line.
pub(crate) fn json_line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// A streamed answer of JSON lines that ends when the platform does.
pub(crate) fn lines(
    api: &Api,
    lines: impl stream::Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let shutdown = api.control.shutdown().clone();
    let lines = lines.take_until(async move { shutdown.begun().await });
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    let json = HeaderValue::from_static("application/x-ndjson");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}

pub(crate) async fn create(
    State(api): State<Api>,
    namespace: Namespace,
    body: Body,
) -> Outcome<Response> {
    let Path(namespace) = namespace?;
    let value = read_json(body).await?;
    declare(api, value, &namespace, None, Mode::Create).await
}

pub(crate) async fn replace(State(api): State<Api>, names: Names, body: Body) -> Outcome<Response> {
    let Path((namespace, name)) = names?;
    path_key(&namespace, &name)?;
    let value = read_json(body).await?;
    declare(api, value, &namespace, Some(&name), Mode::Replace).await
}

async fn declare(
    api: Api,
    mut value: Value,
    namespace: &str,
    name: Option<&str>,
    mode: Mode,
) -> Outcome<Response> {
    // What the path says need not be said again.
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
        if let Some(name) = name {
            metadata.entry("name").or_insert_with(|| name.into());
        }
    }
    let shown = name.unwrap_or_default();
    let function = Function::from_value(value).map_err(|errors| Status::invalid(shown, &errors))?;
    let metadata = &function.metadata;
    for (field, path, found) in [
        ("metadata.namespace", Some(namespace), &metadata.namespace),
        ("metadata.name", name, &metadata.name),
    ] {
        if let Some(path) = path.filter(|path| path != found) {
            let message = format!("is {found:?}, but the request's path says {path:?}");
            return Err(Status::invalid(shown, &[FieldError::new(field, message)]).into());
        }
    }
    // The semaphore is never closed.
    let _turn = api.declarations.acquire().await;
    let control = Arc::clone(&api.control);
    let declared = gapless_rt::spawn_blocking(move || control.declare(function, mode));
    let Applied { function, is_created } = declared.await??;
    let code = if is_created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(function)).into_response())
}

pub(crate) async fn delete(State(api): State<Api>, names: Names) -> Outcome<Json<Function>> {
    let Path((namespace, name)) = names?;
    let key = path_key(&namespace, &name)?;
    let _turn = api.declarations.acquire().await;
    let control = Arc::clone(&api.control);
    Ok(Json(gapless_rt::spawn_blocking(move || control.delete(&key)).await??))
}

/// A body's JSON, or where it is wrong.
pub(crate) async fn read_json(body: Body) -> Outcome<Value> {
    let bytes = to_bytes(body, DECLARATION_BYTES_MAX).await.map_err(|error| {
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            let message =
                format!("a declaration may have {DECLARATION_BYTES_MAX} bytes; this has more");
            return ApiError::from(Status::failure(413, "RequestEntityTooLarge", message));
        }
        bad_request("the request's body broke off")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        bad_request(format!("the body is not JSON: {error} ({place} of it)"))
    })
}

/// `metadata.name=NAME`, the one selector there is.
fn selected_name(selector: Option<&str>) -> Outcome<Option<String>> {
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { return Ok(None) };
    match selector.split_once('=') {
        Some(("metadata.name", name)) => Ok(Some(name.trim_start_matches('=').to_owned())),
        _ => Err(bad_request(format!(
            "fieldSelector {selector:?} is not understood: metadata.name=NAME is"
        ))),
    }
}

/// A flag of the query.
pub(crate) fn is_true(name: &str, value: Option<&str>) -> Outcome<bool> {
    match value {
        None | Some("false" | "0" | "") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(bad_request(format!("{name}={other} is neither true nor false"))),
    }
}
