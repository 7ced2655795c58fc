//! The head of an answer: what is accepted, and how the end of its body is known
//! (RFC 9112, sections 4, 5 and 6.3). Pure: bytes in, an answer or an error out.
//!
//! Whatever two readers could understand in two ways is refused: a length beside a
//! transfer coding, lengths that differ, codings other than `chunked`, folded lines.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use smallvec::SmallVec;

/// Bytes of a head.
pub(super) const HEAD_BYTES_MAX: usize = 128 << 10;
/// Lines of a head.
const LINES_MAX: usize = 128;
/// Heads that only inform (1xx) before the answer's own.
const INFORMING_MAX: u32 = 32;

/// An answer that is not HTTP, or not safely so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// That many bytes.
    Exactly(u64),
    /// By its last chunk.
    Chunked,
    /// By the connection's end.
    ToEnd,
}

/// A head that was read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether the connection may serve another request.
    pub(super) stays: bool,
}

/// Reads the head of one answer from bytes as they come.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Bytes that were looked at and are no whole head.
    looked_at: usize,
    informing: u32,
}

impl HeadReader {
    /// Takes the head off the front of `input`; `None` when it is not all there.
    pub(super) fn take(
        &mut self,
        input: &mut BytesMut,
        method: &Method,
    ) -> Result<Option<Head>, Malformed> {
        loop {
            // Only the end of a line can complete a head, so that one that comes
            // byte by byte is not read from the start each time.
            let fresh = input.get(self.looked_at..).unwrap_or_default();
            let is_worth = match self.looked_at {
                0 => !fresh.is_empty(),
                _ => fresh.contains(&b'\n'),
            };
            if !is_worth {
                self.looked_at = input.len();
                return within_bounds(input.len());
            }
            let mut fields = Fields::new();
            let Some(start) = parse(input, &mut fields)? else {
                self.looked_at = input.len();
                return within_bounds(input.len());
            };
            self.looked_at = 0;
            let head = input.split_to(start.len).freeze();
            match start.status {
                StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Malformed("it switches protocols although nobody asked"));
                }
                status if !status.is_informational() => {
                    return build(&head, &start, fields, method).map(Some);
                }
                _ if self.informing == INFORMING_MAX => {
                    return Err(Malformed("too many informational answers (1xx)"));
                }
                _ => self.informing += 1,
            }
        }
    }
}

fn within_bounds<T>(len: usize) -> Result<Option<T>, Malformed> {
    if len > HEAD_BYTES_MAX { Err(Malformed("its head is larger than 128 KiB")) } else { Ok(None) }
}

/// A head's first line, and how long the head is.
struct Start {
    len: usize,
    status: StatusCode,
    version: Version,
}

/// A head's other lines; values as places in the head.
type Fields = SmallVec<[(HeaderName, Range<usize>); 12]>;

fn parse(input: &[u8], fields: &mut Fields) -> Result<Option<Start>, Malformed> {
    let mut slots = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let parsing = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        input,
        &mut slots,
    );
    let len = match parsing {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Malformed(describe(error))),
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default())
        .map_err(|_| Malformed("its status code is out of range"))?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Malformed("a header's name is not valid"))?;
        let at = field.value.as_ptr() as usize - input.as_ptr() as usize;
        fields.push((name, at..at + field.value.len()));
    }
    Ok(Some(Start { len, status, version }))
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a header's name is not valid",
        httparse::Error::HeaderValue => "a header's value is not valid",
        httparse::Error::NewLine => "a line's end is not valid",
        httparse::Error::Status => "its status line is not valid",
        httparse::Error::Token => "it does not begin with a status line",
        httparse::Error::TooManyHeaders => "it has more than 128 header lines",
        httparse::Error::Version => "it does not begin with HTTP/1.0 or HTTP/1.1",
    }
}

fn build(head: &Bytes, start: &Start, fields: Fields, method: &Method) -> Result<Head, Malformed> {
    let Start { status, version, .. } = *start;
    // Room for what a proxy adds.
    let mut headers = HeaderMap::with_capacity(fields.len() + 6);
    let (mut length, mut is_chunked) = (None, false);
    let (mut says_close, mut says_keep) = (false, false);
    for (name, place) in fields {
        let text = &head[place.clone()];
        if name == CONTENT_LENGTH {
            let stated = decimal(text).ok_or(Malformed("its content-length is not a number"))?;
            match length.replace(stated) {
                None => {}
                Some(former) if former == stated => continue,
                Some(_) => return Err(Malformed("it has two different content-lengths")),
            }
        } else if name == TRANSFER_ENCODING {
            if is_chunked || !text.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("it has a transfer coding other than chunked"));
            }
            is_chunked = true;
        } else if name == CONNECTION {
            says_close |= lists(text, b"close");
            says_keep |= lists(text, b"keep-alive");
        }
        let value = HeaderValue::from_maybe_shared(head.slice(place))
            .map_err(|_| Malformed("a header's value is not valid"))?;
        headers.append(name, value);
    }
    if is_chunked && (length.is_some() || version == Version::HTTP_10) {
        return Err(Malformed("it is chunked and says otherwise too"));
    }
    let has_no_body = *method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = match length {
        _ if has_no_body => Framing::Exactly(0),
        _ if is_chunked => Framing::Chunked,
        Some(length) => Framing::Exactly(length),
        None => Framing::ToEnd,
    };
    let is_kept = if version == Version::HTTP_10 { says_keep } else { true };
    let stays = is_kept && !says_close && framing != Framing::ToEnd;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Head { response, framing, stays })
}

/// Digits and nothing else: no sign, no space, no overflow.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a list header lists `word`.
fn lists(text: &[u8], word: &[u8]) -> bool {
    text.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}
