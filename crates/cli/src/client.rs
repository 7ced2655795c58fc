//! The HTTP client of every command: one connection per call, HTTP/1.1 over TCP.
//!
//! A command makes a handful of calls to a platform that is usually on the same
//! machine, so there is no pool, no redirect, no TLS. Bodies stream both ways.
//! What always holds: an unreachable platform and a refused call end as a
//! [`Failure`] that says what to do.

mod lines;

use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use gapless_api::Status;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::failure::{Failure, Outcome};

pub(crate) use lines::Lines;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the API may take to begin its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Largest answer read as a whole: a list of ten thousand functions fits.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A request's body.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// No body.
pub(crate) fn no_body() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of known bytes.
pub(crate) fn full_body(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Talks to one address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    url: String,
    host: String,
    port: u16,
}

impl Client {
    /// A client of `url`, such as `http://127.0.0.1:8090`.
    pub(crate) fn new(url: &str) -> Outcome<Self> {
        let wrong = |why: &str| {
            Failure::usage(format!("{url:?} is not the address of a platform"), why)
                .help("give it as http://HOST:PORT, such as http://127.0.0.1:8090")
        };
        let uri: http::Uri = match url.contains("://") {
            true => url.parse(),
            false => format!("http://{url}").parse(),
        }
        .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            _ => return Err(wrong("only http is spoken")),
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it has no host"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has a path"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(80);
        let url = format!("http://{}", uri.authority().map_or("", |authority| authority.as_str()));
        Ok(Client { url, host, port })
    }

    /// The address, as a URL without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    async fn connect(&self) -> Outcome<TcpStream> {
        let attempt = TcpStream::connect((self.host.as_str(), self.port));
        let why = match tokio::time::timeout(CONNECT_WITHIN, attempt).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                "nobody listens there".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} s", CONNECT_WITHIN.as_secs()),
        };
        Err(Failure::new(format!("no gapless answers at {}", self.url), why)
            .help("start one with `gapless up`, or say where it is with --api URL or GAPLESS_API"))
    }

    /// Sends a request and returns the head of its answer; the body streams after it.
    pub(crate) async fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> Outcome<Response<Incoming>> {
        let stream = self.connect().await?;
        let broken = |error: hyper::Error| {
            let why = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            Failure::new(format!("the call to {} broke off", self.url), why)
                .help("look at what the platform says in the terminal where it runs")
        };
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(broken)?;
        if !request.headers().contains_key(header::HOST) {
            let host = self.url.trim_start_matches("http://");
            let host = host.parse().map_err(|_| Failure::usage("cannot call", "bad host"))?;
            request.headers_mut().insert(header::HOST, host);
        }
        tokio::spawn(async move {
            // An error here also reaches the call or its body.
            let _ = connection.with_upgrades().await;
        });
        sender.send_request(request).await.map_err(broken)
    }

    /// Sends a request of the API and returns its answer if it is a success.
    /// `what` is the attempt, for the message of its failure.
    pub(crate) async fn call(
        &self,
        what: &str,
        request: Request<RequestBody>,
    ) -> Outcome<Response<Incoming>> {
        let within = tokio::time::timeout(ANSWER_WITHIN, self.send(request)).await;
        let response = within.map_err(|_| {
            let why = format!("{} did not answer within {} s", self.url, ANSWER_WITHIN.as_secs());
            Failure::new(what, why)
        })??;
        self.accept(what, response).await
    }

    /// Sends a request with a large body, which takes as long as it takes.
    pub(crate) async fn upload(&self, what: &str, request: Request<RequestBody>) -> Outcome {
        let response = self.send(request).await?;
        let response = self.accept(what, response).await?;
        collect(response.into_body()).await.map(drop)
    }

    async fn accept(
        &self,
        what: &str,
        response: Response<Incoming>,
    ) -> Outcome<Response<Incoming>> {
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refusal(what, response).await),
        }
    }

    /// Reads an error answer.
    async fn refusal(&self, what: &str, response: Response<Incoming>) -> Failure {
        let code = response.status();
        let body = collect(response.into_body()).await.unwrap_or_default();
        if let Ok(status) = serde_json::from_slice::<Status>(&body) {
            return Failure::refused(what, &status);
        }
        let text = String::from_utf8_lossy(&body);
        let line = text.lines().next().unwrap_or_default().trim();
        let message = format!("{} answered {code} {line}", self.url);
        let mut status = Status::failure(code.as_u16(), "Unknown", message.trim_end());
        if code == StatusCode::NOT_FOUND {
            // Not an answer of this API: most likely another server.
            status.code = 0;
            return Failure::refused(what, &status)
                .help("is that address the API of gapless? Say another with --api URL");
        }
        Failure::refused(what, &status)
    }

    /// Reads a list as the platform's own table of it.
    pub(crate) async fn table<T: DeserializeOwned>(&self, what: &str, path: &str) -> Outcome<T> {
        let response = self.call(what, as_table(request(Method::GET, path, no_body()))).await?;
        self.read(what, response).await
    }

    /// Reads an object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, what: &str, path: &str) -> Outcome<T> {
        let response = self.call(what, request(Method::GET, path, no_body())).await?;
        self.read(what, response).await
    }

    /// Reads an object as text.
    pub(crate) async fn text(&self, what: &str, path: &str) -> Outcome<String> {
        let response = self.call(what, request(Method::GET, path, no_body())).await?;
        let body = collect(response.into_body()).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Changes an object by a JSON merge patch and reads what became of it.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        patch: &impl Serialize,
    ) -> Outcome<T> {
        self.write(what, Method::PATCH, path, "application/merge-patch+json", patch).await
    }

    /// Declares an object by server-side apply (Kubernetes, "Server-Side Apply") and reads
    /// what became of it, and whether it is new.
    pub(crate) async fn apply<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        object: &impl Serialize,
        options: Apply,
    ) -> Outcome<(T, bool)> {
        let Apply { manager, is_forced, is_dry_run, is_revealed } = options;
        let dry_run = if is_dry_run { "&dryRun=All" } else { "" };
        let reveal = if is_revealed { "&reveal=true" } else { "" };
        let path = format!("{path}?fieldManager={manager}&force={is_forced}{dry_run}{reveal}");
        let kind = "application/apply-patch+yaml";
        let response = self.written(what, Method::PATCH, &path, kind, object).await?;
        let is_new = response.status() == StatusCode::CREATED;
        Ok((self.read(what, response).await?, is_new))
    }

    /// Creates an object, or asks for something that is no object.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        object: &impl Serialize,
    ) -> Outcome<T> {
        self.write(what, Method::POST, path, "application/json", object).await
    }

    /// States something and reads what became of it.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        object: &impl Serialize,
    ) -> Outcome<T> {
        self.write(what, Method::PUT, path, "application/json", object).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: &str,
        kind: &'static str,
        object: &impl Serialize,
    ) -> Outcome<T> {
        let response = self.written(what, method, path, kind, object).await?;
        self.read(what, response).await
    }

    /// Sends an object and returns the head of the answer, a success.
    async fn written(
        &self,
        what: &str,
        method: Method,
        path: &str,
        kind: &'static str,
        object: &impl Serialize,
    ) -> Outcome<Response<Incoming>> {
        let body = serde_json::to_vec(object).map_err(|error| Failure::new(what, error))?;
        let mut request = request(method, path, full_body(body));
        let kind = http::HeaderValue::from_static(kind);
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let response = self.call(what, request).await?;
        for warning in response.headers().get_all(header::WARNING) {
            if let Some(text) = warning.to_str().ok().and_then(warning_text) {
                eprintln!("warning: {text}");
            }
        }
        Ok(response)
    }

    /// Removes an object.
    pub(crate) async fn delete(&self, what: &str, path: &str) -> Outcome {
        let response = self.call(what, request(Method::DELETE, path, no_body())).await?;
        collect(response.into_body()).await.map(drop)
    }

    /// Whether `path` exists.
    pub(crate) async fn exists(&self, what: &str, path: &str) -> Outcome<bool> {
        match self.call(what, request(Method::HEAD, path, no_body())).await {
            Ok(_) => Ok(true),
            // A HEAD's refusal has no body to recognise the API by.
            Err(_) if self.is_gapless().await? => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn is_gapless(&self) -> Outcome<bool> {
        let path = format!("{}/info", gapless_api::ROOT);
        self.get::<gapless_api::PlatformInfo>("cannot reach the platform", &path)
            .await
            .map(|_| true)
    }

    /// Reads a streamed answer, line by line.
    pub(crate) async fn lines(&self, what: &str, path: &str) -> Outcome<Lines> {
        self.lines_of(what, request(Method::GET, path, no_body())).await
    }

    /// Reads the streamed answer of a request, line by line.
    pub(crate) async fn lines_of(
        &self,
        what: &str,
        request: Request<RequestBody>,
    ) -> Outcome<Lines> {
        let response = self.call(what, request).await?;
        Ok(Lines::of(response.into_body()))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        what: &str,
        response: Response<Incoming>,
    ) -> Outcome<T> {
        let body = collect(response.into_body()).await?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(what, format!("{} answered something unexpected: {error}", self.url)).help(
                "is that address the API of gapless, and of this version? See `gapless --version`",
            )
        })
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Apply {
    /// Who owns what it says.
    pub(crate) manager: &'static str,
    /// Whether it takes fields from others who own them.
    pub(crate) is_forced: bool,
    /// Whether nothing is written.
    pub(crate) is_dry_run: bool,
    /// Whether the answer shows secrets.
    pub(crate) is_revealed: bool,
}

/// What a `Warning` header says (RFC 9111, section 5.5: code, agent, quoted text).
fn warning_text(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let text = quoted.strip_suffix('"').unwrap_or(quoted);
    Some(text.replace("\\\"", "\""))
}

/// Asks for the platform's table of what is asked for (Kubernetes API concepts,
/// "Receiving resources as Tables").
pub(crate) fn as_table(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io, application/json";
    let table = http::HeaderValue::from_static(table);
    request.headers_mut().insert(header::ACCEPT, table);
    request
}

/// A text in a query, percent-encoded (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A request for `path`, which is part of the program or made of checked names.
pub(crate) fn request(method: Method, path: &str, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

/// Reads a body to its end, up to [`ANSWER_BYTES_MAX`].
pub(crate) async fn collect(body: Incoming) -> Outcome<Bytes> {
    let limited = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let collected = limited.map_err(|error| Failure::new("the answer broke off", error))?;
    Ok(collected.to_bytes())
}

/// Runs `future`, at most until `limit` when there is one.
pub(crate) async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    let limited = match limit {
        Some(limit) => Either::Left(tokio::time::timeout(limit, future)),
        None => Either::Right(async { Ok(future.await) }),
    };
    limited.await.ok()
}

#[cfg(test)]
mod tests;
