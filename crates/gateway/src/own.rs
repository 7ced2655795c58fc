//! What the gateway answers by itself, to requests that are for no function.

use gapless_proto::{Body, Request};
use gapless_types::Reason;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Response};

use crate::answer::Answer;
use crate::refusal::Refusal;

const HELP: &str = "\
This is a gapless gateway. Functions answer here.

A function NAME in namespace NAMESPACE answers to
  the host   http://NAME.NAMESPACE.localhost[:PORT]/...
  the path   /fn/NAMESPACE/NAME/...
  with TAG---NAME for NAME, if its spec.traffic has that tag
  the host of its spec.access.route, if it has one

Which functions there are:  gapless get functions
Deploy one:                 gapless new hello --template python && gapless deploy hello
Whether this gateway is up: /healthz
";

/// Answers a request that is for no function.
pub(crate) fn answer(request: &Request) -> Result<Response<Answer>, Refusal> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/healthz" if is_read => Ok(text("ok\n")),
        "/" if is_read && !is_function_host(request) => Ok(text(HELP)),
        _ => Err(no_such_function(request)),
    }
}

/// The host a request is for, as its client gave it.
pub(crate) fn host(request: &Request) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    }
}

/// Whether somebody meant a function and not this gateway.
fn is_function_host(request: &Request) -> bool {
    let host = host(request);
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.len() > ".localhost".len() && name.to_ascii_lowercase().ends_with(".localhost")
}

fn no_such_function(request: &Request) -> Refusal {
    let message = format!(
        "no function answers to host {:?} and path {:?}; a function NAME in NAMESPACE answers to \
         the host NAME.NAMESPACE.localhost and to the path /fn/NAMESPACE/NAME/ \
         (`gapless get functions` lists them)",
        host(request),
        request.uri().path()
    );
    Refusal::new(Reason::NoSuchFunction, message)
}

fn text(text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::from(Body::from(text)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
