//! One keep-alive connection: sends a request, reads and parses its answer.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Header fields of an answer, at the most.
const FIELDS_MAX: usize = 64;
/// Bytes of an answer, at the most.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A connection and its buffers.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has been read of the answer.
    buffer: Vec<u8>,
    /// The body, if it came in chunks.
    unchunked: Vec<u8>,
    is_over: bool,
}

/// An answer, in the connection's buffers.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
    /// Its `content-type` field, or nothing.
    pub content_type: &'a str,
    /// Its `server-timing` field, or nothing.
    pub server_timing: &'a str,
    /// Its `x-gapless-start` field, or nothing: `cold` or `warm`.
    pub start: &'a str,
    /// Its `x-gapless-instance` field, or nothing.
    pub instance: &'a str,
    /// When its first byte was here.
    pub first_byte_at: Instant,
}

impl Answer<'_> {
    /// The answer in one line, for a message.
    pub fn describe(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        format!("{} {}", self.status, text.lines().next().unwrap_or_default())
    }
}

/// What a head says, as places in the buffer.
#[derive(Debug, Default)]
struct Head {
    length: usize,
    status: u16,
    content_length: Option<usize>,
    is_chunked: bool,
    is_last: bool,
    content_type: Range<usize>,
    server_timing: Range<usize>,
    start: Range<usize>,
    instance: Range<usize>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(READ_BYTES);
        Ok(Connection { stream, buffer, unchunked: Vec::new(), is_over: false })
    }

    /// Whether the server has said that it takes no more requests here.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Sends `request` and reads its answer to the end.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.buffer.clear();
        self.unchunked.clear();
        self.stream.write_all(request).await?;
        self.read_some().await?;
        let first_byte_at = Instant::now();
        let head = loop {
            match parse_head(&self.buffer)? {
                // An interim answer: the final one follows.
                Some(head) if head.status < 200 => drop(self.buffer.drain(..head.length)),
                Some(head) => break head,
                None => self.read_some().await?,
            }
        };
        let is_chunked = head.is_chunked;
        let body = match (is_chunked, head.content_length) {
            (true, _) => {
                self.read_chunks(head.length).await?;
                0..0
            }
            (false, Some(length)) => {
                let end = head.length.checked_add(length).ok_or_else(too_large)?;
                while self.buffer.len() < end {
                    self.read_some().await?;
                }
                head.length..end
            }
            (false, None) if matches!(head.status, 204 | 304) => head.length..head.length,
            (false, None) => {
                self.read_to_end().await?;
                head.length..self.buffer.len()
            }
        };
        self.is_over = head.is_last;
        let text = |range| std::str::from_utf8(&self.buffer[range]).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            body: if is_chunked { &self.unchunked } else { &self.buffer[body] },
            content_type: text(head.content_type),
            server_timing: text(head.server_timing),
            start: text(head.start),
            instance: text(head.instance),
            first_byte_at,
        })
    }

    async fn read_some(&mut self) -> io::Result<()> {
        match self.read().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        self.buffer.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        while self.read().await? > 0 {}
        Ok(())
    }

    /// Reads chunks from `at` on into `unchunked`.
    async fn read_chunks(&mut self, mut at: usize) -> io::Result<()> {
        loop {
            let (line, size) = match httparse::parse_chunk_size(&self.buffer[at..]) {
                Ok(httparse::Status::Complete(found)) => found,
                Ok(httparse::Status::Partial) => {
                    self.read_some().await?;
                    continue;
                }
                Err(_) => return Err(invalid("not a chunk's size")),
            };
            let size = usize::try_from(size).map_err(|_| too_large())?;
            at += line;
            if size == 0 {
                return self.read_trailers(at).await;
            }
            let end = at.checked_add(size).filter(|end| *end < ANSWER_BYTES_MAX);
            let end = end.ok_or_else(too_large)?;
            while self.buffer.len() < end + 2 {
                self.read_some().await?;
            }
            self.unchunked.extend_from_slice(&self.buffer[at..end]);
            at = end + 2;
        }
    }

    /// Reads to the empty line that ends a chunked body.
    async fn read_trailers(&mut self, mut at: usize) -> io::Result<()> {
        loop {
            let Some(length) = self.buffer[at..].iter().position(|byte| *byte == b'\n') else {
                self.read_some().await?;
                continue;
            };
            let is_empty = matches!(&self.buffer[at..at + length], b"" | b"\r");
            at += length + 1;
            if is_empty {
                return Ok(());
            }
        }
    }
}

fn too_large() -> io::Error {
    invalid("an answer that is too large")
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Parses the head at the begin of `buffer`, if all of it is there.
fn parse_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(buffer).map_err(|error| invalid(&error.to_string()))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let mut head = Head { length, status: response.code.unwrap_or(0), ..Head::default() };
    let begin = buffer.as_ptr() as usize;
    for field in response.headers {
        let offset = field.value.as_ptr() as usize - begin;
        let range = offset..offset + field.value.len();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let text = std::str::from_utf8(field.value).unwrap_or_default();
            let length = text.parse().map_err(|_| invalid("not a length"))?;
            head.content_length = Some(length);
        } else if is("transfer-encoding") {
            head.is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
        } else if is("connection") {
            head.is_last = field.value.eq_ignore_ascii_case(b"close");
        } else if is("content-type") {
            head.content_type = range;
        } else if is("server-timing") {
            head.server_timing = range;
        } else if is("x-gapless-start") {
            head.start = range;
        } else if is("x-gapless-instance") {
            head.instance = range;
        }
    }
    Ok(Some(head))
}
