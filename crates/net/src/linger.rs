//! Closing a connection whose client is still sending.
//!
//! An answer may come before its request's body was read: a refusal, say. Closing
//! then, with unread bytes in the kernel, makes it send a reset, and a client that
//! sees the reset may throw the answer away unread (RFC 9112, section 9.6). So
//! closing goes in steps: end our side, then read and drop what still comes, until
//! the client ends its side, sent [`BYTES_MAX`], or took [`TIME_MAX`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How much of what a client still sends is read and dropped.
const BYTES_MAX: usize = 16 << 20;
/// For how long.
const TIME_MAX: Duration = Duration::from_secs(2);
/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;

/// A stream that closes in steps.
#[derive(Debug)]
pub struct Lingering {
    stream: TcpStream,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Closing {
    bytes_left: usize,
    time: Pin<Box<Sleep>>,
}

impl Lingering {
    /// Closes `stream` in steps when it is shut down.
    pub fn new(stream: TcpStream) -> Self {
        Lingering { stream, closing: None }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lingering { stream, closing } = &mut *self;
        if closing.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let closing = closing.get_or_insert_with(|| Closing {
            bytes_left: BYTES_MAX,
            time: Box::pin(tokio::time::sleep(TIME_MAX)),
        });
        let mut dropped = [0u8; READ_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
            let count = buffer.filled().len();
            match read {
                Poll::Ready(Ok(())) if count > 0 && count <= closing.bytes_left => {
                    closing.bytes_left -= count;
                }
                // The client's end, a broken connection, or enough.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return closing.time.as_mut().poll(cx).map(Ok),
            }
        }
    }
}
