//! The answer: a head, then a body written whole or as a stream.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

use crate::PIECE_BYTES;

/// Where a request's answer goes.
pub struct Answer(ResponseOutparam);

impl Answer {
    /// An answer to be given through `out`.
    pub fn new(out: ResponseOutparam) -> Self {
        Answer(out)
    }

    /// Answers with a text.
    pub fn text(self, status: u16, text: &str) {
        self.send(status, "text/plain", text.as_bytes());
    }

    /// Answers with a whole body.
    pub fn send(self, status: u16, content_type: &str, body: &[u8]) {
        let mut writer = self.start(status, content_type, Some(body.len()));
        // A client that went away is nobody to tell.
        if writer.write(body).is_ok() {
            writer.finish();
        }
    }

    /// Sends the head; the body follows through the writer. `length_bytes` is
    /// its length where that is known.
    pub fn start(self, status: u16, content_type: &str, length_bytes: Option<usize>) -> BodyWriter {
        let mut fields = vec![("content-type".to_owned(), content_type.as_bytes().to_vec())];
        if let Some(length) = length_bytes {
            fields.push(("content-length".to_owned(), length.to_string().into_bytes()));
        }
        // A content type that cannot be a header's value is left out.
        let headers = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
        let response = OutgoingResponse::new(headers);
        response.set_status_code(status).expect("a known status");
        let body = response.body().expect("the body is taken once");
        let stream = body.write().expect("the body is written once");
        ResponseOutparam::set(self.0, Ok(response));
        BodyWriter { stream, body }
    }
}

/// The reader of the answer went away.
#[derive(Debug)]
pub struct Gone;

/// An answer's body. Dropped unfinished, it breaks off and the client sees that.
///
/// The fields' order matters: the stream is a child of the body and goes first.
pub struct BodyWriter {
    stream: OutputStream,
    body: OutgoingBody,
}

impl BodyWriter {
    /// Writes `bytes` as fast as they are taken.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let room = self.stream.check_write().map_err(|_| Gone)?;
            if room == 0 {
                self.stream.subscribe().block();
                continue;
            }
            let room = usize::try_from(room).unwrap_or(PIECE_BYTES);
            let (now, later) = bytes.split_at(bytes.len().min(room).min(PIECE_BYTES));
            self.stream.write(now).map_err(|_| Gone)?;
            bytes = later;
        }
        Ok(())
    }

    /// Ends the body.
    pub fn finish(self) {
        let BodyWriter { stream, body } = self;
        drop(stream);
        // Fails only when the client went away.
        let _ = OutgoingBody::finish(body, None);
    }
}
