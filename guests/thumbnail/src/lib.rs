//! Answers a posted photograph with its thumbnail.
//!
//! `POST /?width=N` with a JPEG or PNG: the same picture in the same format,
//! at most `N` pixels wide (128 by default), never larger than it was.
//! 400 for what is not such a picture, 413 for too much of it.

mod shrink;

use kit::{Answer, BodyError, Request};
use shrink::ShrinkError;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// The longest file that is taken.
const BODY_BYTES_MAX: usize = 8 << 20;
/// The width of a thumbnail when none is asked for.
const WIDTH_DEFAULT: u32 = 128;
/// The widest thumbnail.
const WIDTH_MAX: u32 = 1024;

const USAGE: &str = "POST a JPEG or PNG, with ?width=N for its thumbnail's width in pixels\n";

struct Thumbnail;

wasip2::http::proxy::export!(Thumbnail);

impl Guest for Thumbnail {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let request = Request::new(request);
        let answer = Answer::new(out);
        if request.is_get() {
            return answer.text(200, USAGE);
        }
        if !request.is_post() {
            return answer.text(405, USAGE);
        }
        match thumbnail(request) {
            Ok((content_type, bytes)) => answer.send(200, content_type, &bytes),
            Err((status, message)) => answer.text(status, &format!("{message}\n")),
        }
    }
}

/// The thumbnail's content type and bytes, or a status and what is wrong.
fn thumbnail(request: Request) -> Result<(&'static str, Vec<u8>), (u16, String)> {
    let width = match request.query("width") {
        None => WIDTH_DEFAULT,
        Some(text) => match text.parse() {
            Ok(width) if (1..=WIDTH_MAX).contains(&width) => width,
            _ => return Err((400, format!("width is {text:?}, it must be 1 to {WIDTH_MAX}"))),
        },
    };
    let body = request.into_body().read_all(BODY_BYTES_MAX).map_err(|error| match error {
        BodyError::TooLong { bytes_max } => {
            (413, format!("the image is longer than {} MiB", bytes_max >> 20))
        }
        BodyError::Broken(reason) => (400, format!("the request's body broke off: {reason}")),
    })?;
    shrink::shrink(&body, width).map_err(|error| match error {
        ShrinkError::TooLarge => (413, error.to_string()),
        ShrinkError::NotAnImage(_) => (400, error.to_string()),
    })
}
