//! What there is to ask for: discovery and OpenAPI, made from the kinds.

use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gapless_api::Status;
use gapless_declared::Kinds;
use gapless_objects::negotiate::{self, DiscoveryForm};
use gapless_objects::openapi::{Document, OpenApi};
use gapless_objects::{Descriptor, discovery};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::Value;

use super::Api;
use super::error::ApiError;
use super::reads::answer;

type Outcome = Result<Response, ApiError>;

/// The OpenAPI documents. Made when somebody first asks: deriving every kind's schema
/// is not what a start should wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Documents(Arc<OnceLock<OpenApi>>);

impl Documents {
    fn get(&self, kinds: &Kinds, version: &str) -> &OpenApi {
        self.0.get_or_init(|| OpenApi::new(&descriptors(kinds), version))
    }
}

fn descriptors(kinds: &Kinds) -> Vec<&'static Descriptor> {
    kinds.iter().map(|resource| resource.descriptor()).collect()
}

fn accept(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default()
}

fn found(value: Option<Value>, uri: &Uri) -> Outcome {
    match value {
        Some(value) => Ok(answer(StatusCode::OK, &value, &[])),
        None => {
            let message = format!("there is no path {}; /apis says which there are", uri.path());
            Err(Status::failure(404, "NotFound", message).into())
        }
    }
}

/// `/api` and `/apis`, as a list of groups or as everything in one document.
pub(crate) async fn groups(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Outcome {
    let kinds = descriptors(api.control.objects().kinds());
    let is_core = uri.path().trim_end_matches('/') == "/api";
    match negotiate::discovery(accept(&headers)).unwrap_or_default() {
        DiscoveryForm::Aggregated(version) => {
            let mut response =
                answer(StatusCode::OK, &discovery::aggregated(&kinds, is_core, version), &[]);
            let kind = discovery::aggregated_content_type(version);
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            Ok(response)
        }
        DiscoveryForm::Plain if is_core => {
            let address = api.control.config().api.to_string();
            Ok(answer(StatusCode::OK, &discovery::core_versions(&kinds, &address), &[]))
        }
        DiscoveryForm::Plain => Ok(answer(StatusCode::OK, &discovery::groups(&kinds), &[])),
    }
}

/// `/apis/GROUP`.
pub(crate) async fn group(State(api): State<Api>, Path(group): Path<String>, uri: Uri) -> Outcome {
    found(discovery::group(&descriptors(api.control.objects().kinds()), &group), &uri)
}

/// `/api/VERSION`.
pub(crate) async fn core(State(api): State<Api>, Path(version): Path<String>, uri: Uri) -> Outcome {
    found(discovery::resources(&descriptors(api.control.objects().kinds()), "", &version), &uri)
}

/// `/apis/GROUP/VERSION`.
pub(crate) async fn resources(
    State(api): State<Api>,
    Path((group, version)): Path<(String, String)>,
    uri: Uri,
) -> Outcome {
    let kinds = descriptors(api.control.objects().kinds());
    found(discovery::resources(&kinds, &group, &version), &uri)
}

/// `/version`.
pub(crate) async fn version(State(api): State<Api>) -> Response {
    answer(StatusCode::OK, &discovery::version(api.control.config().version), &[])
}

/// `/openapi/v2`.
pub(crate) async fn openapi_v2(State(api): State<Api>, headers: HeaderMap) -> Outcome {
    let form = negotiate::openapi_v2(accept(&headers)).unwrap_or_default();
    documented(&api, &headers, move |documents| Some(documents.v2(form).clone())).await
}

/// `/openapi/v3`.
pub(crate) async fn openapi_v3(State(api): State<Api>, headers: HeaderMap) -> Outcome {
    documented(&api, &headers, |documents| Some(documents.v3_index().clone())).await
}

/// `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`.
pub(crate) async fn openapi_v3_of(
    State(api): State<Api>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Outcome {
    documented(&api, &headers, move |documents| documents.v3(&path).cloned()).await
}

async fn documented(
    api: &Api,
    headers: &HeaderMap,
    pick: impl FnOnce(&OpenApi) -> Option<Document> + Send + 'static,
) -> Outcome {
    let (documents, control) = (api.documents.clone(), Arc::clone(&api.control));
    let made = gapless_rt::spawn_blocking(move || {
        pick(documents.get(control.objects().kinds(), control.config().version))
    });
    let Some(document) = made.await? else {
        let message = "there is no such document; /openapi/v3 lists them";
        return Err(Status::failure(404, "NotFound", message).into());
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|etag| etag.to_str().ok());
    let etag = HeaderValue::from_str(&document.etag).ok();
    let mut response = match known == Some(document.etag.as_str()) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let kind = HeaderValue::from_static(document.content_type);
            ([(header::CONTENT_TYPE, kind)], document.body).into_response()
        }
    };
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}
