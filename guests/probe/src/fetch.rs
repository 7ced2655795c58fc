//! An outgoing request, to see which hosts the platform lets a component call.

use kit::{Answer, BodyReader};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};

/// Gets `http://TARGET`, a host with its port and a path, and answers with what
/// came back; 502 with the error's name when nothing did.
pub fn fetch(target: &str, answer: Answer) {
    let (authority, path) = target.split_once('/').unwrap_or((target, ""));
    let response = match get(authority, &format!("/{path}")) {
        Ok(response) => response,
        Err(error) => return answer.text(502, &error),
    };
    let status = response.status();
    let content_type = response.headers().get("content-type").into_iter().next();
    let content_type = content_type.and_then(|value| String::from_utf8(value).ok());
    let content_type = content_type.as_deref().unwrap_or("application/octet-stream");
    let mut body = BodyReader::of_response(response);
    let mut writer = answer.start(status, content_type, None);
    while let Ok(piece) = body.piece() {
        let Some(piece) = piece else { return writer.finish() };
        if writer.write(&piece).is_err() {
            return;
        }
    }
}

fn get(authority: &str, path: &str) -> Result<IncomingResponse, String> {
    let request = OutgoingRequest::new(Fields::new());
    let is_set = request.set_scheme(Some(&Scheme::Http)).is_ok()
        && request.set_authority(Some(authority)).is_ok()
        && request.set_path_with_query(Some(path)).is_ok();
    if !is_set {
        return Err(format!("not an address: {authority}{path}"));
    }
    let error_text = |error| format!("{error:?}");
    let future = outgoing_handler::handle(request, None).map_err(error_text)?;
    future.subscribe().block();
    let response = future.get().expect("it is ready").expect("it is taken once");
    response.map_err(error_text)
}
