//! Placement as people see and steer it: profiles, explanations, cordons.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gapless_api::{Explained, Node, ObjectMeta, PlacementProfile, Status};
use gapless_placement::Explanation;
use gapless_types::{API_VERSION, NodeId};
use http::StatusCode;

use super::Api;
use super::error::{ApiError, path_key};
use super::functions::read_json;
use super::lists;
use crate::declare::not_found;
use crate::profiles::no_profile;

type Outcome<T> = Result<T, ApiError>;
type Name = Result<Path<String>, PathRejection>;
type Names = Result<Path<(String, String)>, PathRejection>;

pub(crate) async fn profiles(State(api): State<Api>) -> Outcome<Response> {
    lists::list(api, "PlacementProfileList", |control| control.profile_objects()).await
}

pub(crate) async fn read_profile(State(api): State<Api>, name: Name) -> Outcome<Response> {
    let Path(name) = name?;
    let control = api.control;
    let found = gapless_rt::spawn_blocking(move || {
        control.profile_object(&name).ok_or_else(|| Box::new(no_profile(&name)))
    });
    Ok(Json(found.await??).into_response())
}

pub(crate) async fn declare_profile(
    State(api): State<Api>,
    name: Name,
    body: Body,
) -> Outcome<Response> {
    let Path(name) = name?;
    let value = read_json(body).await?;
    // The semaphore is never closed.
    let _turn = api.declarations.acquire().await;
    let control = api.control.clone();
    let declared = gapless_rt::spawn_blocking(move || control.declare_profile(&name, value));
    let (profile, is_new) = declared.await??;
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(profile)).into_response())
}

pub(crate) async fn delete_profile(
    State(api): State<Api>,
    name: Name,
) -> Outcome<Json<PlacementProfile>> {
    let Path(name) = name?;
    let _turn = api.declarations.acquire().await;
    let control = api.control.clone();
    Ok(Json(gapless_rt::spawn_blocking(move || control.delete_profile(&name)).await??))
}

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

/// A node takes no new instances from now on.
pub(crate) async fn cordon(State(api): State<Api>, name: Name) -> Outcome<Json<Node>> {
    set_cordoned(&api, name, true)
}

/// It does again.
pub(crate) async fn uncordon(State(api): State<Api>, name: Name) -> Outcome<Json<Node>> {
    set_cordoned(&api, name, false)
}

fn set_cordoned(api: &Api, name: Name, is_cordoned: bool) -> Outcome<Json<Node>> {
    let Path(name) = name?;
    let found = api.control.nodes().set_cordoned(&NodeId::new(&name), is_cordoned);
    let node = found.then(|| api.control.node_object_called(&name)).flatten();
    node.map(Json).ok_or_else(|| {
        let message = format!("there is no node {name:?}; `gapless get nodes` lists them");
        Status::failure(404, "NotFound", message).into()
    })
}
