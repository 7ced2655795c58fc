//! A watch over HTTP, as its lines: what a client of the API reads, without its library.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of a line, at the most.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Header fields of an answer, at the most.
const FIELDS_MAX: usize = 64;

/// An answer in chunks that has not ended.
#[derive(Debug)]
pub(super) struct Lines {
    stream: TcpStream,
    /// What was read and not looked at, from `at` on.
    raw: Vec<u8>,
    at: usize,
    /// Bytes of the chunk under way that are yet to come, and those that end it.
    left: usize,
    /// Text of chunks, from `shown` on not told.
    text: Vec<u8>,
    shown: usize,
}

impl Lines {
    /// Asks for `path`, and reads the answer's head.
    pub(super) async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let (raw, text) = (Vec::new(), Vec::new());
        let mut lines = Lines { stream, raw, at: 0, left: 0, text, shown: 0 };
        loop {
            lines.read().await.with_context(|| format!("GET {path}"))?;
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = head.parse(&lines.raw)? {
                ensure!(head.code == Some(200), "GET {path}: {:?}", head.code);
                lines.at = length;
                return Ok(lines);
            }
        }
    }

    /// The next line. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<&[u8]> {
        loop {
            let rest = &self.text[self.shown..];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let begin = self.shown;
                self.shown += length + 1;
                return Ok(&self.text[begin..begin + length]);
            }
            ensure!(rest.len() < LINE_BYTES_MAX, "a line of a watch is too long");
            self.text.drain(..self.shown);
            self.shown = 0;
            if !self.unchunk()? {
                self.read().await?;
            }
        }
    }

    /// Takes the text out of what was read. Whether there was any.
    fn unchunk(&mut self) -> Result<bool> {
        let before = self.text.len();
        loop {
            if self.left == 0 {
                match httparse::parse_chunk_size(&self.raw[self.at..]) {
                    Ok(httparse::Status::Complete((_, 0))) => bail!("the watch ended"),
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.at += line;
                        // With the line end behind it.
                        self.left = usize::try_from(size)? + 2;
                    }
                    Ok(httparse::Status::Partial) => break,
                    Err(_) => bail!("not a chunk's size"),
                }
            }
            let here = (self.raw.len() - self.at).min(self.left);
            // The last two bytes of a chunk are not its text.
            let text = here.min(self.left.saturating_sub(2));
            self.text.extend_from_slice(&self.raw[self.at..self.at + text]);
            (self.at, self.left) = (self.at + here, self.left - here);
            if self.left > 0 {
                break;
            }
        }
        self.raw.drain(..self.at);
        self.at = 0;
        Ok(self.text.len() > before)
    }

    async fn read(&mut self) -> Result<()> {
        self.raw.reserve(READ_BYTES);
        let count = self.stream.read_buf(&mut self.raw).await?;
        ensure!(count > 0, "the connection was closed");
        Ok(())
    }
}

/// What follows `marker` in a line, up to the next quote.
pub(super) fn quoted<'a>(line: &'a [u8], marker: &str) -> Option<&'a str> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = &line[line.find(marker)? + marker.len()..];
    Some(&rest[..rest.find('"')?])
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            6\r\n{\"a\":1\r\n10\r\n}\n{\"b\":\"two\"}\n{}\r\n1\r\n\n\r\n0\r\n\r\n";
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in answer.as_bytes() {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut lines = Lines::open(address, "/watch").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), b"{\"a\":1}");
        assert_eq!(quoted(lines.next().await.unwrap(), "\"b\":\""), Some("two"));
        assert_eq!(lines.next().await.unwrap(), b"{}");
        assert!(lines.next().await.is_err(), "it ended");
    }
}
