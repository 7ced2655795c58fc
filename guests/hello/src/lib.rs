//! The least component: answers every request `200 text/plain "hello\n"`.
//!
//! It is what the benches measure, so it makes the fewest host calls that a
//! complete answer takes (headers in one call, body in one write), and imports
//! nothing but what `wasi:http/proxy` offers. It does not use `kit`, which can
//! do more than it needs.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
// Linked for its allocation function, which the host calls.
use wit_bindgen as _;

const BODY: &[u8] = b"hello\n";

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::from_list(&[
            ("content-type".to_owned(), b"text/plain".to_vec()),
            ("content-length".to_owned(), b"6".to_vec()),
        ]);
        let response = OutgoingResponse::new(headers.expect("both names are well formed"));
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        // A client that went away closes the stream: there is nobody left to tell.
        if let Ok(stream) = body.write()
            && stream.check_write().is_ok()
        {
            let _ = stream.write(BODY);
        }
        let _ = OutgoingBody::finish(body, None);
    }
}
