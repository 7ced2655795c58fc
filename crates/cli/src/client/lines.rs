//! A streamed answer, line by line: logs and watches.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};

/// Longest line.
const LINE_BYTES_MAX: usize = 8 << 20;

/// The lines of a streamed answer.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
}

impl Lines {
    /// The lines of `body`.
    pub(super) fn of(body: Incoming) -> Self {
        Lines { body, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line, without its end; `None` once the answer has ended.
    pub(crate) async fn next(&mut self) -> Outcome<Option<String>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Failure::new("the answer broke off", "a line is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::new("the answer broke off", error)
                        .help("the platform has probably stopped; see the terminal where it ran"));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let rest = self.buffer.split();
                    self.searched = 0;
                    return Ok(Some(String::from_utf8_lossy(&rest).into_owned()));
                }
            }
        }
    }

    /// The next object of a stream of JSON lines.
    pub(crate) async fn next_object<T: DeserializeOwned>(&mut self) -> Outcome<Option<T>> {
        while let Some(line) = self.next().await? {
            if line.trim().is_empty() {
                continue;
            }
            let read = serde_json::from_str(&line);
            return read.map(Some).map_err(|error| {
                Failure::new("the platform answered something unexpected", error)
            });
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end + 1);
        self.searched = 0;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(String::from_utf8_lossy(line).into_owned())
    }
}
