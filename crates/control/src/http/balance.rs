//! The balancer and the conflicts of policies, over HTTP.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gapless_api::{BalanceReport, ClassConflicts, PolicyConflicts, Status};
use gapless_types::API_VERSION;

use super::Api;
use super::error::ApiError;

/// What was learned.
pub(crate) async fn read(State(api): State<Api>) -> Json<BalanceReport> {
    Json(report(&api))
}

/// Nothing is learned or tried from now on.
pub(crate) async fn freeze(State(api): State<Api>) -> Result<Json<BalanceReport>, ApiError> {
    set_frozen(api, true).await
}

/// It is again.
pub(crate) async fn thaw(State(api): State<Api>) -> Result<Json<BalanceReport>, ApiError> {
    set_frozen(api, false).await
}

/// Which policies pull against which.
pub(crate) async fn conflicts(State(api): State<Api>) -> Result<Response, ApiError> {
    let control = api.control;
    let found = gapless_rt::spawn_blocking(move || control.conflicts()).await?;
    let classes =
        found.into_iter().map(|(class, samples, pairs)| ClassConflicts { class, samples, pairs });
    let conflicts = PolicyConflicts {
        api_version: API_VERSION.to_owned(),
        kind: "PolicyConflicts".to_owned(),
        classes: classes.collect(),
    };
    Ok(Json(conflicts).into_response())
}

async fn set_frozen(api: Api, is_frozen: bool) -> Result<Json<BalanceReport>, ApiError> {
    if !api.control.nodes().balance().set_frozen(is_frozen) {
        let message = "weights are not balanced: the platform was started with --no-balance";
        return Err(Status::failure(409, "Conflict", message).into());
    }
    let control = api.control.clone();
    gapless_rt::spawn_blocking(move || control.save_balance(true)).await?;
    // The table follows at once, not with the next tick.
    api.control.nodes().replay_balance(api.control.metrics());
    Ok(Json(report(&api)))
}

fn report(api: &Api) -> BalanceReport {
    let report = api.control.nodes().balance().report();
    BalanceReport {
        api_version: API_VERSION.to_owned(),
        kind: "BalanceReport".to_owned(),
        is_on: report.is_some(),
        report,
    }
}
