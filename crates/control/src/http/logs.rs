//! A function's log lines, as they are and as they come.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use std::sync::Arc;

use super::Api;
use super::error::{ApiError, bad_request, path_key};
use super::functions::{is_true, json_line, lines};
use crate::declare::not_found;

/// Lines without `tailLines`.
const TAIL_DEFAULT: usize = 100;
/// Lines at the most.
const TAIL_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogQuery {
    #[serde(default)]
    tail_lines: Option<String>,
    #[serde(default)]
    follow: Option<String>,
}

pub(crate) async fn read(
    State(api): State<Api>,
    names: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path((namespace, name)), Query(query)) = (names?, query?);
    let key = path_key(&namespace, &name)?;
    if api.control.functions().lock().get(&key).is_none() {
        return Err(not_found(&key).into());
    }
    let tail = match query.tail_lines.as_deref().map(|tail| (tail, tail.parse::<usize>())) {
        None => TAIL_DEFAULT,
        Some((_, Ok(tail))) => tail.min(TAIL_MAX),
        Some((found, Err(_))) => {
            return Err(bad_request(format!("tailLines={found} is not a number of lines")));
        }
    };
    let is_followed = is_true("follow", query.follow.as_deref())?;
    let logs = Arc::clone(api.control.logs());
    let found = gapless_rt::spawn_blocking(move || match is_followed {
        true => logs.follow(&key, tail),
        false => stream::iter(logs.tail(&key, tail)).boxed(),
    });
    Ok(lines(&api, found.await?.map(|line| json_line(&line))))
}
