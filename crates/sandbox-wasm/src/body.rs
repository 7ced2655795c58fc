//! A response's body. Reading it runs the guest that writes it, on the reader's
//! task.
//!
//! What happens at its end:
//! - read to the end while the guest still works (it may log, or call others):
//!   the guest goes on in a task of its own until its invocation's timeout, at
//!   most [`LINGERING_MAX`](crate::seat) of one seat;
//! - dropped before: the client is gone, and the guest is ended;
//! - not read for so long that the timeout passes: a watchdog ends the guest.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use gapless_proto::{Body, BodyError};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::AbortHandle;
use wasmtime_wasi_http::WasiBody;

use crate::run::{Cancel, Running, Step};

/// The body of a guest that is over: all of it is here, unless it comes from
/// elsewhere (a 0.3 guest may pass on a body it was given).
pub(crate) fn at_once(mut body: WasiBody, is_guests_own: bool) -> Body {
    let mut frames = VecDeque::new();
    let mut cx = Context::from_waker(Waker::noop());
    let rest = loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frames.push_back(frame),
            Poll::Ready(Some(Err(error))) => break Rest::Broken(error.into()),
            Poll::Ready(None) => break Rest::None,
            // A body the guest left open ends with the guest.
            Poll::Pending if is_guests_own => break Rest::None,
            Poll::Pending => break Rest::More(body),
        }
    };
    if matches!(rest, Rest::None) && frames.len() <= 1 {
        match frames.pop_front().map(Frame::into_data) {
            None => return Body::Empty,
            Some(Ok(data)) => return Body::from(data),
            Some(Err(trailers)) => frames.push_back(trailers),
        }
    }
    Body::boxed(Frames { frames, rest })
}

/// Frames that are here, and what comes after them.
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    rest: Rest,
}

enum Rest {
    None,
    More(WasiBody),
    Broken(BodyError),
}

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut this.rest {
            Rest::None => Poll::Ready(None),
            Rest::More(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Rest::Broken(_) => match std::mem::replace(&mut this.rest, Rest::None) {
                Rest::Broken(error) => Poll::Ready(Some(Err(error))),
                _ => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && matches!(self.rest, Rest::None)
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.frames.iter().filter_map(Frame::data_ref);
        let here = data.map(|data| data.len() as u64).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(here);
        if matches!(self.rest, Rest::None) {
            hint.set_upper(here);
        }
        hint
    }
}

/// The body of a guest at work.
pub(crate) struct GuestBody {
    body: WasiBody,
    /// `None` when the guest is over.
    running: Option<Running>,
    /// How the guest ended, when it ended badly.
    broken: Option<BodyError>,
    /// The frame after the one given out last.
    ahead: Option<Frame<Bytes>>,
    /// What is to come by the response's `content-length`.
    due_bytes: Option<u64>,
    is_guests_own: bool,
    is_over: bool,
    watchdog: AbortHandle,
}

impl GuestBody {
    pub(crate) fn new(
        running: Running,
        body: WasiBody,
        headers: &http::HeaderMap,
        is_guests_own: bool,
    ) -> Self {
        let length = headers.get(http::header::CONTENT_LENGTH);
        let due_bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let (deadline, run) = (running.deadline, running.weak());
        let watchdog = gapless_rt::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            if let Some(run) = run.upgrade() {
                run.cancel(Cancel::TimedOut);
            }
        });
        GuestBody {
            body,
            running: Some(running),
            broken: None,
            ahead: None,
            due_bytes,
            is_guests_own,
            is_over: false,
            watchdog: watchdog.abort_handle(),
        }
    }

    /// What the guest has already written. Where only the guest writes, and only
    /// this body runs it, nobody else could wake the reader.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut unheard = Context::from_waker(Waker::noop());
        let cx = if self.is_guests_own { &mut unheard } else { cx };
        let written = Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into);
        // A guest that was ended leaves its body as one that came to its end does.
        if matches!(written, Poll::Ready(None))
            && let Some(running) = &self.running
            && let Some(why) = running.why_cancelled()
        {
            return Poll::Ready(Some(Err(running.cancelled(why).into())));
        }
        written
    }

    /// Lets the guest work. Whether it came to a rest.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(running) = &self.running else { return true };
        let step = match running.poll(cx) {
            Poll::Pending => return true,
            Poll::Ready(step) => step,
        };
        let seat = running.seat.clone();
        match step {
            Step::Ended(end, permit) => {
                if let Err(failure) = end.result {
                    let error = failure.into_call_error(&seat.terms);
                    seat.note(&error.message);
                    self.broken = Some(error.into());
                }
                seat.recycle(end.live, permit);
            }
            Step::Cancelled(why) => {
                let error = running.cancelled(why);
                seat.note(&error.message);
                self.broken = Some(error.into());
            }
        }
        self.running = None;
        self.watchdog.abort();
        false
    }

    /// The reader has everything.
    fn finish(&mut self) {
        self.is_over = true;
        self.watchdog.abort();
        if let Some(running) = self.running.take() {
            linger(running);
        }
    }

    /// Gives out a frame, and looks whether it is the last.
    fn give(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Frame<Bytes> {
        if let (Some(due), Some(data)) = (&mut self.due_bytes, frame.data_ref()) {
            *due = due.saturating_sub(data.len() as u64);
        }
        if self.is_guests_own && self.broken.is_none() {
            match self.poll_written(cx) {
                Poll::Ready(Some(Ok(next))) => self.ahead = Some(next),
                Poll::Ready(Some(Err(error))) => self.broken = Some(error),
                Poll::Ready(None) => self.finish(),
                Poll::Pending => {}
            }
        }
        frame
    }
}

impl HttpBody for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.take() {
            return Poll::Ready(Some(Ok(this.give(frame, cx))));
        }
        let mut has_rested = false;
        while !this.is_over {
            match this.poll_written(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    return Poll::Ready(Some(Ok(this.give(frame, cx))));
                }
                Poll::Ready(Some(Err(error))) => this.broken = Some(error),
                Poll::Ready(None) if this.broken.is_none() => {
                    this.finish();
                    return Poll::Ready(None);
                }
                Poll::Ready(None) | Poll::Pending => {}
            }
            if let Some(error) = this.broken.take() {
                this.is_over = true;
                this.running = None;
                return Poll::Ready(Some(Err(error)));
            }
            match (this.running.is_some(), has_rested) {
                (true, false) => has_rested = this.work(cx),
                (true, true) => return Poll::Pending,
                // The guest is over and left its body open: it ends with the guest.
                (false, _) if this.is_guests_own => this.finish(),
                (false, _) => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.ahead.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.due_bytes.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        self.watchdog.abort();
        // A server stops reading at `content-length`, without asking for the end.
        if self.due_bytes == Some(0)
            && let Some(running) = self.running.take()
        {
            linger(running);
        }
    }
}

/// Lets a guest whose answer is sent come to its end, within its timeout.
pub(crate) fn linger(running: Running) {
    let has_runtime = tokio::runtime::Handle::try_current().is_ok();
    if !has_runtime || !running.seat.may_linger() {
        return;
    }
    gapless_rt::spawn(async move {
        let seat = running.seat.clone();
        let ended = poll_fn(|cx| running.poll(cx));
        let ended = tokio::time::timeout_at(running.deadline.into(), ended).await;
        seat.lingered();
        if let Ok(Step::Ended(end, permit)) = ended {
            if let Err(failure) = end.result {
                seat.note(&failure.into_call_error(&seat.terms).message);
            }
            seat.recycle(end.live, permit);
        }
    });
}
