//! What the platform says of itself: where it is, and metrics.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use gapless_api::PlatformInfo;
use http::{HeaderValue, header};

use super::Api;

/// What `Metrics::encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn info(State(api): State<Api>) -> Json<PlatformInfo> {
    Json(api.control.info())
}

pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let kind = HeaderValue::from_static(OPEN_METRICS);
    ([(header::CONTENT_TYPE, kind)], api.control.metrics().encode())
}
