//! An answer's body, cut from the bytes of its connection. Pure.
//!
//! The chunked coding is read strictly (RFC 9112, section 7.1): lines end in CRLF,
//! sizes are up to 16 hexadecimal digits, and what follows a chunk's bytes is CRLF.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::head::{Framing, Malformed};

/// Bytes of the line before a chunk, with its extensions.
const SIZE_LINE_BYTES_MAX: usize = 1024;
/// Digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 16;
/// Bytes of all trailers.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Lines of trailers.
const TRAILERS_MAX: usize = 64;

/// Where in a body its reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Exactly(u64),
    /// A chunk's size comes next.
    Size,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The end of a chunk's line comes next.
    ChunkEnd,
    /// Trailers, or the end, come next.
    Trailers,
    /// Everything up to the connection's end.
    ToEnd,
    /// It is complete.
    Done,
}

/// What the next bytes are.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// It is complete.
    End,
    /// Not all there yet.
    More,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Exactly(0) => Decoder::Done,
            Framing::Exactly(length) => Decoder::Exactly(length),
            Framing::Chunked => Decoder::Size,
            Framing::ToEnd => Decoder::ToEnd,
        }
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(self) -> Option<u64> {
        match self {
            Decoder::Exactly(left) => Some(left),
            Decoder::Done => Some(0),
            _ => None,
        }
    }

    /// Takes the next piece off the front of `input`.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match *self {
                Decoder::Done => return Ok(Piece::End),
                Decoder::ToEnd | Decoder::Exactly(_) | Decoder::Chunk(_) if input.is_empty() => {
                    return Ok(Piece::More);
                }
                Decoder::ToEnd => return Ok(Piece::Data(input.split().freeze())),
                Decoder::Exactly(left) => {
                    let data = up_to(input, left);
                    let left = left - data.len() as u64;
                    *self = if left == 0 { Decoder::Done } else { Decoder::Exactly(left) };
                    return Ok(Piece::Data(data));
                }
                Decoder::Chunk(left) => {
                    let data = up_to(input, left);
                    let left = left - data.len() as u64;
                    *self = if left == 0 { Decoder::ChunkEnd } else { Decoder::Chunk(left) };
                    return Ok(Piece::Data(data));
                }
                Decoder::Size => match size_line(input)? {
                    Some(0) => *self = Decoder::Trailers,
                    Some(size) => *self = Decoder::Chunk(size),
                    None => return Ok(Piece::More),
                },
                Decoder::ChunkEnd => match &input[..] {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        *self = Decoder::Size;
                    }
                    [] | [b'\r'] => return Ok(Piece::More),
                    _ => return Err(Malformed("a chunk is longer than it says")),
                },
                Decoder::Trailers => return self.trailers(input),
            }
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        match std::mem::replace(self, Decoder::Done) {
            Decoder::ToEnd | Decoder::Done => Ok(()),
            _ => Err(Malformed("the instance broke off its answer")),
        }
    }

    fn trailers(&mut self, input: &mut BytesMut) -> Result<Piece, Malformed> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            *self = Decoder::Done;
            return Ok(Piece::End);
        }
        let mut slots = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let (len, trailers) = match httparse::parse_headers(input, &mut slots) {
            Ok(httparse::Status::Complete((len, lines))) => (len, header_map(lines)?),
            Ok(httparse::Status::Partial) if input.len() > TRAILER_BYTES_MAX => {
                return Err(Malformed("its trailers are larger than 16 KiB"));
            }
            Ok(httparse::Status::Partial) => return Ok(Piece::More),
            Err(_) => return Err(Malformed("a trailer is not valid")),
        };
        input.advance(len);
        *self = Decoder::Done;
        Ok(if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) })
    }
}

fn up_to(input: &mut BytesMut, left: u64) -> Bytes {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    input.split_to(count).freeze()
}

/// Takes the line before a chunk; `None` when it is not all there.
fn size_line(input: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    let Some(end) = input.iter().take(SIZE_LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        let is_too_long = input.len() >= SIZE_LINE_BYTES_MAX;
        let digits = input.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        // Garbage is told at once and not once a line of it came.
        let is_garbage = digits > SIZE_DIGITS_MAX || (digits == 0 && !input.is_empty());
        return if is_too_long || is_garbage { Err(Malformed(BAD_SIZE)) } else { Ok(None) };
    };
    let size = size(&input[..end]).ok_or(Malformed(BAD_SIZE))?;
    input.advance(end + 1);
    Ok(Some(size))
}

const BAD_SIZE: &str = "a chunk's size is not valid";

/// The size that a line says, which ends in CR.
fn size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r")?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, extension) = line.split_at(digits);
    let is_extension = matches!(extension.trim_ascii_start().first(), None | Some(b';'));
    if digits == 0 || digits > SIZE_DIGITS_MAX || !is_extension || extension.contains(&b'\r') {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()
}

/// What may not travel as a trailer (RFC 9110, section 6.5.1) and what speaks of
/// one connection.
const NO_TRAILERS: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Whether a field may travel as a trailer.
pub(super) fn may_trail(name: &HeaderName) -> bool {
    !NO_TRAILERS.contains(name)
}

fn header_map(lines: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut map = HeaderMap::new();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Malformed("a trailer is not valid"));
        };
        if may_trail(&name) {
            map.append(name, value);
        }
    }
    Ok(map)
}
