//! A guest's stdout and stderr, line by line to the instance's [`LogSink`].
//!
//! A guest that writes nothing costs nothing but the two small stream factories
//! of its wasi context: the line buffer is made by the first write. What is left
//! without an end of line is passed on when the store is dropped.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use gapless_sandbox::{LOG_LINE_BYTES_MAX, LogStream};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::terms::Terms;

/// How much a guest may write in one call.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// One of a store's two outputs.
pub(crate) struct GuestLog {
    terms: Arc<Terms>,
    stream: LogStream,
    lines: OnceLock<Lines>,
}

impl GuestLog {
    pub(crate) fn new(terms: Arc<Terms>, stream: LogStream) -> Self {
        GuestLog { terms, stream, lines: OnceLock::new() }
    }

    fn lines(&self) -> Lines {
        let make = || {
            let line = Line { terms: self.terms.clone(), stream: self.stream, begun: Vec::new() };
            Lines(Arc::new(Mutex::new(line)))
        };
        self.lines.get_or_init(make).clone()
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.lines())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.lines())
    }
}

/// A handle on one output; a guest may have several on the same.
#[derive(Clone)]
struct Lines(Arc<Mutex<Line>>);

struct Line {
    terms: Arc<Terms>,
    stream: LogStream,
    /// A line whose end has not come yet, at most [`LOG_LINE_BYTES_MAX`] long.
    begun: Vec<u8>,
}

impl Line {
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.pass_on();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while self.begun.len() + bytes.len() > LOG_LINE_BYTES_MAX {
            let (head, rest) = bytes.split_at(LOG_LINE_BYTES_MAX - self.begun.len());
            self.begun.extend_from_slice(head);
            self.pass_on();
            bytes = rest;
        }
        self.begun.extend_from_slice(bytes);
    }

    fn pass_on(&mut self) {
        let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        self.terms.logs.line(self.stream, line);
        self.begun.clear();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.begun.is_empty() {
            self.pass_on();
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use gapless_sandbox::LogSink;
    use gapless_types::FunctionSpec;

    use super::*;

    #[derive(Default)]
    struct Sink(Mutex<Vec<Vec<u8>>>);

    impl LogSink for Sink {
        fn line(&self, _stream: LogStream, line: &[u8]) {
            self.0.lock().push(line.to_vec());
        }
    }

    #[test]
    fn lines_are_split_at_their_ends_and_at_the_bound() {
        let sink = Arc::new(Sink::default());
        let spec = FunctionSpec::with_defaults();
        let terms = Arc::new(Terms::new(&spec, Arc::default(), sink.clone()).unwrap());
        let log = GuestLog::new(terms, LogStream::Stdout);
        let (mut one, mut other) = (log.p2_stream(), log.p2_stream());
        one.write("a\nb".into()).unwrap();
        other.write("c\r\n\n".into()).unwrap();
        one.write(vec![b'x'; LOG_LINE_BYTES_MAX + 1].into()).unwrap();
        assert_eq!(sink.0.lock()[..3], [b"a".to_vec(), b"bc".to_vec(), b"".to_vec()]);
        assert_eq!(sink.0.lock()[3].len(), LOG_LINE_BYTES_MAX);
        drop((one, other, log));
        assert_eq!(sink.0.lock()[4], b"x", "the rest is passed on at the end");
    }
}
