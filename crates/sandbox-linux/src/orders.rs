//! What the warden is told, and how: a queue and a bell (an eventfd).
//!
//! Bounded by its callers: an instance gives at most one order to start, one to
//! stop and one to kill, and the node bounds instances.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use gapless_proto::{StartFailure, StartReport};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::{oneshot, watch};

use crate::launch::Launch;

/// What the warden is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Start this, and say when it can serve.
    Start(Box<Launch>, oneshot::Sender<Result<Live, StartFailure>>),
    /// Tell it to end, and end it after a while. `done` is dropped when nothing is left.
    Stop { key: u64, grace: Duration, done: oneshot::Sender<()> },
    /// End it now. It may be gone, or not be there yet.
    Kill { key: u64 },
    /// What looking at a program that does not listen has shown.
    Examined { key: u64, elsewhere: Option<String> },
    /// No more orders will come from outside.
    Close,
}

/// An instance that can serve.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) address: Address,
    pub(crate) report: StartReport,
    pub(crate) died: watch::Receiver<Option<StartFailure>>,
}

/// Where a program turned out to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Address {
    /// On its Unix socket.
    Socket,
    /// On its port.
    Tcp(SocketAddr),
}

/// The queue and its bell.
#[derive(Debug)]
pub(crate) struct Post {
    queue: Mutex<VecDeque<Order>>,
    bell: OwnedFd,
}

impl Post {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Post { queue: Mutex::default(), bell }))
    }

    pub(crate) fn give(&self, order: Order) {
        let was_empty = {
            let mut queue = self.queue.lock();
            queue.push_back(order);
            queue.len() == 1
        };
        // Whoever made the queue non-empty rang already for those behind.
        if was_empty {
            // Fails only when the counter is full: then it is ringing.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Takes everything there is, and silences the bell.
    pub(crate) fn take_all(&self, into: &mut VecDeque<Order>) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        into.append(&mut self.queue.lock());
    }

    /// Readable when there is something to take.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Held by everybody who gives orders; the last one to go closes the post.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<Post>);

impl Handle {
    pub(crate) fn give(&self, order: Order) {
        self.0.give(order);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.give(Order::Close);
    }
}
