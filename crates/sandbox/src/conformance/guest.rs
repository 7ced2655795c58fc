//! Talks to a guest through its endpoint, as the gateway does: a call for one in
//! this process, HTTP/1.1 for one behind a socket.

use bytes::Bytes;
use gapless_proto::{Body, Endpoint, Request, Response};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A guest's whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `GET path`.
pub async fn get(endpoint: &Endpoint, path: &str) -> Result<Answer, String> {
    send(endpoint, Method::GET, path, Bytes::new()).await
}

/// One request on a connection of its own. The error is for people.
pub async fn send(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Answer, String> {
    let request = |target: String| {
        http::Request::builder()
            .method(method)
            .uri(target)
            .header(http::header::HOST, "probe.default.localhost")
            .body(Body::from(body))
            .map_err(|error| error.to_string())
    };
    match endpoint {
        Endpoint::Local(service) => {
            let request = request(format!("http://probe.default.localhost{path}"))?;
            collect(service.call(request).await.map_err(|error| error.to_string())?).await
        }
        Endpoint::Unix(socket) => {
            let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
            exchange(stream, request(path.to_owned())?).await
        }
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            exchange(stream, request(path.to_owned())?).await
        }
    }
}

async fn exchange<S>(stream: S, request: Request) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = match sender.send_request(request).await {
        Ok(response) => collect(response.map(Body::from)).await,
        Err(error) => Err(error.to_string()),
    };
    connection.abort();
    answer
}

async fn collect(response: Response) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status: head.status, body })
}
