//! What is only read: instances, nodes, the platform, metrics.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gapless_api::{List, PlatformInfo};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use crate::Control;

/// What `Metrics::encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn instances(State(api): State<Api>) -> Result<Response, ApiError> {
    list(api, "InstanceList", |control| control.instance_objects(None)).await
}

pub(crate) async fn instances_of(
    State(api): State<Api>,
    namespace: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(namespace) = namespace?;
    list(api, "InstanceList", move |control| control.instance_objects(Some(&namespace))).await
}

pub(crate) async fn nodes(State(api): State<Api>) -> Result<Response, ApiError> {
    list(api, "NodeList", |control| control.node_objects()).await
}

/// Answers with a list that is made and written off the event loop: one of ten
/// thousand objects takes tens of milliseconds, and requests must not wait for it.
pub(crate) async fn list<T: Serialize + 'static>(
    api: Api,
    kind: &'static str,
    items: impl FnOnce(&Control) -> Vec<T> + Send + 'static,
) -> Result<Response, ApiError> {
    let made = gapless_rt::spawn_blocking(move || {
        let revision = api.control.store().revision();
        let list = List::new(kind, revision, items(&api.control));
        serde_json::to_vec(&list).unwrap_or_default()
    });
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], made.await?).into_response())
}

pub(crate) async fn info(State(api): State<Api>) -> Json<PlatformInfo> {
    Json(api.control.info())
}

pub(crate) async fn version(State(api): State<Api>) -> Json<Value> {
    Json(json!({"name": "gapless", "version": api.control.config().version}))
}

pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let kind = HeaderValue::from_static(OPEN_METRICS);
    ([(header::CONTENT_TYPE, kind)], api.control.metrics().encode())
}
