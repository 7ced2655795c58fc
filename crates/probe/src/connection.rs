//! One connection: requests in, responses out, until either side ends it.

use std::io::{self, Write};

use crate::accept::Stream;
use crate::head::{self, Head, Length};
use crate::routes::{self, Reply};

/// Largest head of a request; a larger one ends the connection.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Longest line that begins a chunk.
const CHUNK_LINE_BYTES_MAX: usize = 128;

/// Serves requests until the connection ends.
pub(crate) fn serve(stream: &mut dyn Stream) -> io::Result<()> {
    let mut connection = Connection { stream, input: Vec::new(), out: Vec::with_capacity(512) };
    while let Some(head) = connection.read_head()? {
        let keeps_alive = head.keeps_alive;
        connection.answer(&head)?;
        if !keeps_alive {
            break;
        }
    }
    Ok(())
}

struct Connection<'a> {
    stream: &'a mut dyn Stream,
    /// Read and not yet used.
    input: Vec<u8>,
    /// A response being put together.
    out: Vec<u8>,
}

impl Connection<'_> {
    /// The next request's head; `None` at the connection's end.
    fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = head::end_of_head(&self.input) {
                let Some(head) = head::parse(&self.input[..end]) else {
                    self.stream.write_all(
                        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                    )?;
                    return Ok(None);
                };
                self.input.drain(..end);
                return Ok(Some(head));
            }
            if self.input.len() > HEAD_BYTES_MAX || self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads once; zero at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let length = self.input.len();
        self.input.resize(length + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[length..]);
        self.input.truncate(length + read.as_ref().copied().unwrap_or(0));
        read
    }

    fn answer(&mut self, head: &Head) -> io::Result<()> {
        self.out.clear();
        match routes::route(head) {
            Reply::Echo => return self.echo(head),
            Reply::Raw(bytes) => {
                self.stream.write_all(bytes)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Reply::Full(status, body) => {
                let length = body.len();
                write!(
                    self.out,
                    "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
                )?;
                if !head.is_head {
                    self.out.extend_from_slice(&body);
                }
                self.stream.write_all(&self.out)?;
            }
        }
        // A body nobody asked for stands before the next request.
        self.copy_body(head, &mut |_, _| Ok(()))
    }

    /// Streams the request's body back, as it comes.
    fn echo(&mut self, head: &Head) -> io::Result<()> {
        if head.expects_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let kind = head.content_type.as_deref().unwrap_or("application/octet-stream");
        write!(self.out, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n")?;
        let is_chunked = head.body == Length::Chunked;
        match head.body {
            Length::Known(length) => write!(self.out, "content-length: {length}\r\n\r\n")?,
            Length::Chunked => write!(self.out, "transfer-encoding: chunked\r\n\r\n")?,
        }
        self.copy_body(head, &mut |connection, piece| {
            // The head goes out with the first piece, in one write.
            if is_chunked {
                write!(connection.out, "{:x}\r\n", piece.len())?;
            }
            connection.out.extend_from_slice(piece);
            if is_chunked {
                connection.out.extend_from_slice(b"\r\n");
            }
            connection.flush()
        })?;
        if is_chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Passes the body to `sink` in the pieces it comes in.
    fn copy_body(&mut self, head: &Head, sink: Sink<'_>) -> io::Result<()> {
        match head.body {
            Length::Known(length) => self.copy_exactly(length, sink),
            Length::Chunked => loop {
                let size = self.read_chunk_size()?;
                if size == 0 {
                    // Trailers, if any, up to the empty line.
                    while !self.read_line()?.is_empty() {}
                    return Ok(());
                }
                self.copy_exactly(size, sink)?;
                self.read_line()?;
            },
        }
    }

    fn copy_exactly(&mut self, mut left: u64, sink: Sink<'_>) -> io::Result<()> {
        while left > 0 {
            if self.input.is_empty() && self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
            let mut input = std::mem::take(&mut self.input);
            let sunk = sink(self, &input[..take]);
            input.drain(..take);
            self.input = input;
            sunk?;
            left -= take as u64;
        }
        Ok(())
    }

    fn read_chunk_size(&mut self) -> io::Result<u64> {
        let line = self.read_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// One line of the chunked coding, without its end.
    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.input.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
                self.input.drain(..end + 2);
                return Ok(line);
            }
            if self.input.len() > CHUNK_LINE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

type Sink<'a> = &'a mut dyn FnMut(&mut Connection<'_>, &[u8]) -> io::Result<()>;
