//! The API server, on one listener. Kinds are served by one handler for all
//! (`verbs`); what is no kind has a path of its own here.
//!
//! ```text
//! verbs: target + query -> reads (get, list, watch) | writes (create ... delete, scale)
//! documents: discovery, OpenAPI     artifacts, logs, placement, lists: what is no kind
//! ```
//!
//! Every error is a [`Status`], also for a path that does not exist. A request
//! that names a foreign host is refused while the API listens on loopback: a page
//! in a browser that had its own name point to 127.0.0.1 could otherwise use the
//! API in the name of whoever opened it (DNS rebinding).

mod artifacts;
mod balance;
mod body;
mod documents;
mod error;
mod lists;
mod logs;
mod placement;
mod query;
mod reads;
mod rollout;
mod sealing;
mod target;
mod verbs;
mod writes;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, head, post, put};
use gapless_api::{
    ROOT, Status, balance_freeze_path, balance_path, conflicts_path, key_rotation_path,
};
use gapless_net::server::{Handler, Limits, serve};
use gapless_proto::{Request, Response};
use http::{HeaderMap, Uri, header};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::Control;
use error::ApiError;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 1_024;
/// Declarations that are written at a time; more wait. They share one fsync.
const DECLARATIONS_AT_ONCE: usize = 64;
/// Uploads at a time; more wait.
const UPLOADS_AT_ONCE: usize = 8;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) control: Arc<Control>,
    pub(crate) declarations: Arc<Semaphore>,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) documents: documents::Documents,
}

impl Control {
    /// Serves the API until shutdown begins.
    pub async fn serve_api(self: &Arc<Self>, listener: TcpListener) {
        let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let api = Api {
            control: Arc::clone(self),
            declarations: Arc::new(Semaphore::new(DECLARATIONS_AT_ONCE)),
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            documents: documents::Documents::default(),
        };
        let server = ApiServer {
            control: Arc::clone(self),
            router: TowerToHyperService::new(router(api)),
            is_loopback,
        };
        let limits = Limits { connections: CONNECTIONS_MAX, ..Limits::default() };
        serve(listener, Arc::new(server), limits, self.shutdown().clone()).await;
    }
}

fn router(api: Api) -> Router {
    let namespace = format!("{ROOT}/namespaces/{{namespace}}");
    let function = format!("{namespace}/functions/{{name}}");
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/version", get(documents::version))
        .route("/metrics", get(lists::metrics))
        .route("/api", get(documents::groups))
        .route("/apis", get(documents::groups))
        .route("/api/{version}", get(documents::core))
        .route("/apis/{group}", get(documents::group))
        .route("/apis/{group}/{version}", get(documents::resources))
        .route("/openapi/v2", get(documents::openapi_v2))
        .route("/openapi/v3", get(documents::openapi_v3))
        .route("/openapi/v3/{*path}", get(documents::openapi_v3_of))
        .route(&format!("{ROOT}/info"), get(lists::info))
        .route(&balance_path(), get(balance::read))
        .route(&balance_freeze_path(), put(balance::freeze).delete(balance::thaw))
        .route(&conflicts_path(), get(balance::conflicts))
        .route(&key_rotation_path(), post(sealing::rotate))
        .route(&format!("{function}/log"), get(logs::read))
        .route(&format!("{function}/explain"), get(placement::explain_function))
        .route(&format!("{function}/rollout"), post(rollout::steer))
        .route(&format!("{namespace}/instances/{{name}}/explain"), get(placement::explain_instance))
        .route(
            &format!("{ROOT}/artifacts/{{digest}}"),
            head(artifacts::exists).put(artifacts::store),
        )
        .fallback(verbs::serve)
        .method_not_allowed_fallback(async |method: http::Method, uri: Uri| {
            let message = format!("{} does not take {method}", uri.path());
            ApiError::from(Status::failure(405, "MethodNotAllowed", message))
        })
        .with_state(api)
}

async fn ready(State(api): State<Api>) -> Result<&'static str, ApiError> {
    if api.control.is_ready() {
        return Ok("ok");
    }
    let message = match api.control.shutdown().has_begun() {
        true => "gapless is ending",
        false => "gapless is starting",
    };
    Err(ApiError::from(Status::failure(503, "ServiceUnavailable", message)))
}

struct ApiServer {
    control: Arc<Control>,
    router: TowerToHyperService<Router>,
    is_loopback: bool,
}

impl Handler for ApiServer {
    type Body = gapless_proto::Body;

    async fn handle(&self, _client: SocketAddr, request: Request) -> Response {
        let method = method_label(request.method());
        let response = match self.is_loopback && !is_own_host(request.uri(), request.headers()) {
            true => {
                let message = "this API answers to localhost and to addresses only: the request \
                               names another host";
                error::respond(&Status::failure(421, "MisdirectedRequest", message))
            }
            // The router's own error type has no values.
            false => match self.router.call(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        self.control.metrics().control.api_request(method, response.status().as_u16());
        response.map(gapless_proto::Body::boxed)
    }
}

/// The method as a metric's label: a closed set.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Whether the request names this machine: by an address, or as localhost.
fn is_own_host(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        // HTTP/1.0 may leave it out; browsers never do.
        None => match headers.get(header::HOST).map(|host| host.to_str()) {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(host)) => host,
        },
    };
    if host.parse::<SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_answered() {
        let uri = Uri::from_static("/readyz");
        let is_own = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            is_own_host(&uri, &headers)
        };
        for own in
            ["localhost", "LOCALHOST:8090", "127.0.0.1:8090", "127.0.0.1", "[::1]:80", "[::1]"]
        {
            assert!(is_own(own), "{own}");
        }
        for foreign in ["evil.example", "evil.example:8090", "localhost.evil.example:80", "", "a:b"]
        {
            assert!(!is_own(foreign), "{foreign}");
        }
        assert!(is_own_host(&uri, &HeaderMap::new()));
        assert!(!is_own_host(&Uri::from_static("http://evil.example/readyz"), &HeaderMap::new()));
    }
}
