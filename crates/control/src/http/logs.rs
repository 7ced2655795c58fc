//! A function's log lines, as they are and as they come.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use http::{HeaderValue, Uri, header};

use super::Api;
use super::error::{ApiError, bad_request, path_key};
use super::query::Query;
use super::reads::json_line;
use crate::status::not_found;

/// Lines without `tailLines`.
const TAIL_DEFAULT: usize = 100;
/// Lines at the most.
const TAIL_MAX: usize = 10_000;

pub(crate) async fn read(
    State(api): State<Api>,
    names: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (Path((namespace, name)), query) = (names?, Query::read(&uri)?);
    let key = path_key(&namespace, &name)?;
    if api.control.functions().lock().get(&key).is_none() {
        return Err(not_found(&key).into());
    }
    let tail = match query.get("tailLines").map(|tail| (tail, tail.parse::<usize>())) {
        None => TAIL_DEFAULT,
        Some((_, Ok(tail))) => tail.min(TAIL_MAX),
        Some((found, Err(_))) => {
            return Err(bad_request(format!("tailLines={found} is not a number of lines")));
        }
    };
    let is_followed = query.flag("follow")?;
    let logs = Arc::clone(api.control.logs());
    let found = gapless_rt::spawn_blocking(move || match is_followed {
        true => logs.follow(&key, tail),
        false => stream::iter(logs.tail(&key, tail)).boxed(),
    });
    let shutdown = api.control.shutdown().clone();
    let lines = found.await?.map(|line| Ok::<_, Infallible>(json_line(&line)));
    let body = Body::from_stream(lines.take_until(async move { shutdown.begun().await }));
    let json = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}
