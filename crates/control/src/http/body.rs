//! Bodies of requests: bounded, JSON or YAML, with keys that are there twice noticed.

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use gapless_api::Status;
use gapless_declared::Document;
use gapless_manifest::Format;
use gapless_objects::decode;
use http::{HeaderMap, header};

use super::error::{ApiError, bad_request, refused};

/// A body's bytes.
pub(crate) async fn bytes(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, decode::BODY_BYTES_MAX).await.map_err(|error| {
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            let allowed = decode::BODY_BYTES_MAX;
            let message = format!("a declaration may have {allowed} bytes; this has more");
            return ApiError::from(Status::failure(413, "RequestEntityTooLarge", message));
        }
        bad_request("the request's body broke off")
    })
}

/// The media type of a request's body, without parameters; JSON if it is not said.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.is_empty() { "application/json" } else { kind }
}

/// The object in a body: JSON, protobuf of the core kinds, or YAML.
pub(crate) fn document(headers: &HeaderMap, bytes: &[u8]) -> Result<Document, ApiError> {
    let kind = media_type(headers);
    if Format::of_content_type(kind) == Some(Format::Yaml) {
        return yaml(bytes);
    }
    let read = decode::body(kind, bytes).map_err(refused)?;
    Ok(Document { value: read.value, duplicates: read.duplicates })
}

/// The object in a YAML body, of which JSON is a part.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Document, ApiError> {
    let source = gapless_manifest::read(bytes, Format::Either).map_err(|error| {
        let place = error.place.map(|place| format!("{place}: ")).unwrap_or_default();
        bad_request(format!("the body cannot be read: {place}{error}"))
    })?;
    match source.objects() {
        [only] => Ok(Document { value: only.value.clone(), duplicates: Vec::new() }),
        several => {
            let count = several.len();
            Err(bad_request(format!("the body holds {count} objects; one is declared at a time")))
        }
    }
}
