//! Reading a request's or a response's body.

use wasip2::http::types::{IncomingBody, IncomingRequest, IncomingResponse};
use wasip2::io::streams::{InputStream, StreamError};

use crate::PIECE_BYTES;

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// It is longer than the reader allows.
    TooLong {
        /// What it allows.
        bytes_max: usize,
    },
    /// It broke off.
    Broken(String),
}

/// A body that is read piece by piece.
///
/// The fields' order matters: a stream is a child of its body, a body of its
/// message, and a child is dropped before its parent.
pub struct BodyReader {
    stream: InputStream,
    _body: IncomingBody,
    _message: Message,
}

/// Keeps the message alive for as long as its body is read.
enum Message {
    Request { _inner: IncomingRequest },
    Response { _inner: IncomingResponse },
}

impl BodyReader {
    pub(crate) fn new(request: IncomingRequest) -> Self {
        let body = request.consume().expect("a request is consumed once");
        Self::of(body, Message::Request { _inner: request })
    }

    /// The body of an answer to an outgoing request.
    pub fn of_response(response: IncomingResponse) -> Self {
        let body = response.consume().expect("a response is consumed once");
        Self::of(body, Message::Response { _inner: response })
    }

    fn of(body: IncomingBody, message: Message) -> Self {
        let stream = body.stream().expect("a body is streamed once");
        BodyReader { stream, _body: body, _message: message }
    }

    /// Waits for the next piece; `None` at the end.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        // A read may return nothing before the end: then it is tried again.
        loop {
            match self.stream.blocking_read(PIECE_BYTES as u64) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                Err(StreamError::Closed) => return Ok(None),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(BodyError::Broken(error.to_debug_string()));
                }
            }
        }
    }

    /// Reads all of it, up to `bytes_max`.
    pub fn read_all(mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece()? {
            if all.len() + piece.len() > bytes_max {
                return Err(BodyError::TooLong { bytes_max });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}
