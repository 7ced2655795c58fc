//! Rotating the key that seals secrets, over HTTP.

use axum::Json;
use axum::extract::State;
use gapless_api::{KeyRotation, Status};
use gapless_types::API_VERSION;

use super::Api;
use super::error::ApiError;

/// Seals every secret with a new key, and forgets the old ones.
pub(crate) async fn rotate(State(api): State<Api>) -> Result<Json<KeyRotation>, ApiError> {
    let control = api.control;
    // A task of its own: a client that goes away does not leave it half done.
    let rotated = gapless_rt::spawn(async move { control.rotate_key().await }).await?;
    let (key, resealed) = rotated.map_err(|error| {
        let message = error.to_string();
        ApiError::from(Status::failure(500, "InternalError", message))
    })?;
    let (api_version, kind) = (API_VERSION.to_owned(), "KeyRotation".to_owned());
    Ok(Json(KeyRotation { api_version, kind, key, resealed }))
}
