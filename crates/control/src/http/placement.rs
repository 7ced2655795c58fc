//! Why instances are where they are.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gapless_api::{Explained, ObjectMeta, Status};
use gapless_placement::Explanation;
use gapless_types::API_VERSION;

use super::Api;
use super::error::{ApiError, path_key};
use crate::status::not_found;

type Outcome<T> = Result<T, ApiError>;
type Names = Result<Path<(String, String)>, PathRejection>;

/// Why an instance is where it is.
pub(crate) async fn explain_instance(State(api): State<Api>, names: Names) -> Outcome<Response> {
    let Path((namespace, name)) = names?;
    let control = api.control;
    let explained = gapless_rt::spawn_blocking(move || {
        let instance = control.instance_called(&namespace, &name)?;
        let (explanation, is_as_decided) = control.nodes().explain_instance(instance)?;
        Some(explained(&namespace, &name, is_as_decided, explanation))
    });
    let explained = explained.await?.ok_or_else(|| {
        let message = "there is no such instance (any more); `gapless get instances -A` lists them";
        Status::failure(404, "NotFound", message)
    })?;
    Ok(Json(explained).into_response())
}

/// Where a function's next instance would go, or why nowhere.
pub(crate) async fn explain_function(State(api): State<Api>, names: Names) -> Outcome<Response> {
    let Path((namespace, name)) = names?;
    let key = path_key(&namespace, &name)?;
    let control = api.control;
    let explained = gapless_rt::spawn_blocking(move || {
        let explanation = control.explain_function(&key).ok_or_else(|| not_found(&key))?;
        Ok::<_, Box<Status>>(explained(&namespace, &name, false, explanation))
    });
    Ok(Json(explained.await??).into_response())
}

fn explained(
    namespace: &str,
    name: &str,
    is_as_decided: bool,
    explanation: Explanation,
) -> Explained {
    let (name, namespace) = (name.to_owned(), namespace.to_owned());
    Explained {
        api_version: API_VERSION.to_owned(),
        kind: "Explanation".to_owned(),
        metadata: ObjectMeta { name, namespace, ..ObjectMeta::default() },
        is_as_decided,
        explanation,
    }
}
