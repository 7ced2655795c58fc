//! Artifacts: is one there, store one. The body goes to disk as it comes.

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use futures::StreamExt as _;
use gapless_api::Status;
use gapless_store_embedded::{ARTIFACT_BYTES_MAX, ArtifactError, ArtifactWriter};
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::Api;
use super::error::{ApiError, bad_request};

/// Pieces of a body between the network and the disk.
const PIECES_MAX: usize = 8;

/// What the writing thread is told. A body that breaks off tells no end, and
/// so leaves no artifact.
enum Piece {
    Data(Bytes),
    End,
}

pub(crate) async fn exists(
    State(api): State<Api>,
    digest: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(digest) = digest?;
    let control = Arc::clone(&api.control);
    let found = gapless_rt::spawn_blocking(move || control.has_artifact(&digest)).await?;
    if found {
        return Ok(StatusCode::OK);
    }
    Err(ApiError::from(Status::failure(404, "NotFound", "there is no such artifact")))
}

pub(crate) async fn store(
    State(api): State<Api>,
    digest: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Path(digest) = digest?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > ARTIFACT_BYTES_MAX) {
        return Err(refused(&ArtifactError::TooLarge { bytes_max: ARTIFACT_BYTES_MAX }));
    }
    let _turn = api.uploads.acquire().await;
    let (feed, pieces) = mpsc::channel(PIECES_MAX);
    let control = Arc::clone(&api.control);
    let writing = gapless_rt::spawn_blocking(move || {
        let writer = control.artifacts().begin(&digest)?;
        let is_whole = write(writer, pieces)?;
        if is_whole {
            control.uploaded(&digest);
        }
        Ok::<_, ArtifactError>(is_whole)
    });
    forward(body, feed).await;
    match writing.await? {
        Ok(true) => Ok(StatusCode::CREATED),
        Ok(false) => Err(bad_request("the upload broke off: nothing was stored")),
        Err(error) => Err(refused(&error)),
    }
}

/// Hands a body over piece by piece, as fast as they are written.
async fn forward(body: Body, feed: mpsc::Sender<Piece>) {
    let mut data = body.into_data_stream();
    while let Some(piece) = data.next().await {
        let Ok(piece) = piece else { return };
        // Nobody takes it: the writer has refused, and says why.
        if feed.send(Piece::Data(piece)).await.is_err() {
            return;
        }
    }
    let _ = feed.send(Piece::End).await;
}

/// Writes what comes. False if it broke off.
fn write(
    mut writer: ArtifactWriter,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<bool, ArtifactError> {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Data(bytes) => writer.write(&bytes)?,
            Piece::End => return writer.finish().map(|_| true),
        }
    }
    Ok(false)
}

fn refused(error: &ArtifactError) -> ApiError {
    let (code, reason) = match error {
        ArtifactError::BadDigest(_) => (400, "BadRequest"),
        ArtifactError::Mismatch { .. } => (422, "Invalid"),
        ArtifactError::TooLarge { .. } => (413, "RequestEntityTooLarge"),
        ArtifactError::Disk { .. } => (500, "InternalError"),
    };
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {cause}");
    }
    ApiError::from(Status::failure(code, reason, message))
}
