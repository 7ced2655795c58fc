//! A request on its way to an instance: its head, then its body piece by piece,
//! the first of which travels with the head where it is there already.
//!
//! A piece is asked for when the one before it is written, so that an instance
//! that stops reading stops the client too.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use gapless_proto::{Body, BodyError, Request};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;

use super::decode::may_trail;
use super::wire::Wire;

/// How an instance learns of the body's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// So many bytes are left.
    Exactly(u64),
    Chunked,
    /// Nothing more is asked for.
    Over,
}

/// Why a request was not sent to its end.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The connection broke.
    Broken(std::io::Error),
    /// The client's body broke off, or was not what it said.
    Body(BodyError),
}

/// A request being sent. Its head and what frames its pieces are in the wire's output.
#[derive(Debug)]
pub(super) struct Outgoing {
    coding: Coding,
    /// How much of the output is written.
    written: usize,
    piece: Bytes,
    /// What follows the piece.
    after: &'static [u8],
    has_begun: bool,
    /// Whether anything was written, or taken from the body, which cannot be put back.
    pub(super) is_spent: bool,
}

impl Outgoing {
    /// Puts a request's head together. How the body ends is its own word, not that
    /// of headers.
    pub(super) fn begin(request: &Request, output: &mut Vec<u8>) -> Self {
        let headers = request.headers();
        let length = request.body().size_hint().exact();
        let has_no_body = request.body().is_end_stream() || length == Some(0);
        output.clear();
        output.extend_from_slice(request.method().as_str().as_bytes());
        output.push(b' ');
        output.extend_from_slice(target(request).as_bytes());
        output.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in headers {
            if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
                push_line(output, name, value);
            }
        }
        let coding = match length {
            _ if has_no_body => {
                if expects_length(request.method()) || headers.contains_key(CONTENT_LENGTH) {
                    output.extend_from_slice(b"content-length: 0\r\n");
                }
                Coding::Over
            }
            Some(length) => {
                output.extend_from_slice(b"content-length: ");
                push_decimal(output, length);
                output.extend_from_slice(b"\r\n");
                Coding::Exactly(length)
            }
            None => {
                output.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Coding::Chunked
            }
        };
        output.extend_from_slice(b"\r\n");
        let (piece, after) = (Bytes::new(), &b""[..]);
        Outgoing { coding, written: 0, piece, after, has_begun: false, is_spent: false }
    }

    /// Sends what it can; ready when all is sent.
    pub(super) fn poll_send(
        &mut self,
        wire: &mut Wire,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            if !self.has_begun || !self.has_unsent(&wire.output) {
                if self.has_begun {
                    wire.output.clear();
                    self.written = 0;
                }
                self.has_begun = true;
                let loaded = self.poll_load(&mut wire.output, body, cx)?;
                if !self.has_unsent(&wire.output) {
                    return loaded.map(Ok);
                }
            }
            ready!(self.poll_write(wire, cx)).map_err(Unsent::Broken)?;
        }
    }

    fn has_unsent(&self, output: &[u8]) -> bool {
        self.written < output.len() || !self.piece.is_empty() || !self.after.is_empty()
    }

    /// Asks for the next piece and frames it. Ready with nothing unsent is the end.
    fn poll_load(
        &mut self,
        output: &mut Vec<u8>,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        while self.coding != Coding::Over {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            self.is_spent = true;
            match frame.transpose().map_err(Unsent::Body)?.map(Frame::into_data) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => return Poll::Ready(self.load(output, data)),
                Some(Err(trailers)) => {
                    let trailers = trailers.into_trailers().unwrap_or_default();
                    self.finish(output, &trailers)?;
                }
                None => self.finish(output, &HeaderMap::new())?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn load(&mut self, output: &mut Vec<u8>, data: Bytes) -> Result<(), Unsent> {
        match &mut self.coding {
            Coding::Exactly(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(|| {
                    Unsent::Body("the request's body is longer than it says".into())
                })?;
                if *left == 0 {
                    self.coding = Coding::Over;
                }
            }
            Coding::Chunked => {
                push_hex(output, data.len());
                output.extend_from_slice(b"\r\n");
                self.after = b"\r\n";
            }
            Coding::Over => return Ok(()),
        }
        self.piece = data;
        Ok(())
    }

    fn finish(&mut self, output: &mut Vec<u8>, trailers: &HeaderMap) -> Result<(), Unsent> {
        match std::mem::replace(&mut self.coding, Coding::Over) {
            Coding::Exactly(1..) => {
                Err(Unsent::Body("the request's body is shorter than it says".into()))
            }
            Coding::Chunked => {
                output.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
                    push_line(output, name, value);
                }
                output.extend_from_slice(b"\r\n");
                Ok(())
            }
            Coding::Exactly(0) | Coding::Over => Ok(()),
        }
    }

    fn poll_write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let before = &wire.output[self.written..];
        let stream = Pin::new(&mut wire.stream);
        let count = if self.piece.is_empty() && self.after.is_empty() {
            ready!(stream.poll_write(cx, before))?
        } else {
            let slices = [before, &self.piece, self.after].map(IoSlice::new);
            ready!(stream.poll_write_vectored(cx, &slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
        }
        self.is_spent = true;
        let of_before = count.min(before.len());
        self.written += of_before;
        let of_piece = (count - of_before).min(self.piece.len());
        self.piece.advance(of_piece);
        self.after = &self.after[count - of_before - of_piece..];
        Poll::Ready(Ok(()))
    }
}

fn target(request: &Request) -> &str {
    match request.uri().path_and_query() {
        // Only `OPTIONS *` has no slash.
        Some(target) => target.as_str(),
        None => "/",
    }
}

/// Whether a request of this method that has no body should say so (RFC 9110,
/// section 8.6).
fn expects_length(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::DELETE
            | Method::OPTIONS
            | Method::TRACE
            | Method::CONNECT
    )
}

fn push_line(output: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    output.reserve(name.len() + value.len() + 4);
    output.extend_from_slice(name);
    output.extend_from_slice(b": ");
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

fn push_decimal(output: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    output.extend_from_slice(&digits[at..]);
}

fn push_hex(output: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        output.push(b"0123456789abcdef"[(number >> (4 * place)) & 15]);
    }
}
