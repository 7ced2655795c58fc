//! One connection to an instance: its socket, and what it keeps from request to
//! request, so that a request allocates no buffer and sets no timer of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use crate::Stream;

/// Bytes read at a time, to begin with; doubled while reads fill it.
const READ_BYTES: usize = 8 << 10;
/// Most bytes read at a time.
const READ_BYTES_MAX: usize = 256 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: Stream,
    /// Read and not yet used.
    pub(super) input: BytesMut,
    /// What is being written, save the pieces of a body.
    pub(super) output: Vec<u8>,
    read_bytes: usize,
    /// Set for one request and left running for the next: requests to one function
    /// may take equally long, so a later deadline only has to be looked at when
    /// the alarm goes off.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Box<Self> {
        Box::new(Wire {
            stream,
            input: BytesMut::with_capacity(READ_BYTES),
            output: Vec::with_capacity(512),
            read_bytes: READ_BYTES,
            alarm: None,
        })
    }

    /// Whether it is open and nothing came that nobody asked for.
    pub(super) fn is_usable(&self) -> bool {
        let unread = self.stream.try_read(&mut [0]);
        matches!(unread, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives back memory that one large answer took.
    pub(super) fn rest(&mut self) {
        if self.read_bytes > READ_BYTES {
            self.read_bytes = READ_BYTES;
            self.input = BytesMut::with_capacity(READ_BYTES);
        }
    }

    /// Reads more; zero at the connection's end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.read_bytes);
        let count = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input))?;
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(count))
    }

    /// Ready once it is later than `until`.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if alarm.deadline() > until {
            alarm.as_mut().reset(until);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= until {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(until);
        }
    }
}
