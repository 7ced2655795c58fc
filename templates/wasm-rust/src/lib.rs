//! {{name}}: a `wasi:http` component. Every request runs in a fresh instance of
//! it, with a memory of its own.

use wstd::http::{Body, Error, Method, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, "Hello from {{name}}\n"),
        (&Method::POST, "/echo") => Ok(Response::new(request.into_body())),
        _ => text(StatusCode::NOT_FOUND, "try GET / or POST /echo\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "text/plain");
    Ok(response.body(text.into())?)
}
