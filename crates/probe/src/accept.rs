//! Accepts connections: whoever accepts one serves it.
//!
//! Handing a fresh connection to another thread would put a wake-up between a
//! cold start and its first answer. So several threads wait in `accept`, the one
//! that gets a connection serves it there and then, and before the last waiting
//! thread goes to serve it starts another.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::connection;

/// Most connections at a time; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 1024;
/// Threads that stay to wait for connections once they were needed.
const WAITING_MAX: usize = 8;
/// Enough for a request; a thousand of them must be cheap.
const STACK_BYTES: usize = 128 * 1024;
/// Pause after an `accept` that failed for want of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(5);

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A TCP address.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection of either kind.
pub(crate) trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

struct Acceptor {
    listener: Listener,
    /// Threads in `accept`.
    waiting: AtomicUsize,
    /// Threads in all.
    threads: AtomicUsize,
}

/// Serves until the process is ended.
pub(crate) fn run(listener: Listener) -> io::Result<()> {
    let acceptor =
        Arc::new(Acceptor { listener, waiting: AtomicUsize::new(1), threads: AtomicUsize::new(1) });
    // A second one from the start: a readiness check and the first request come together.
    acceptor.add_thread();
    loop {
        acceptor.accept_one();
        acceptor.waiting.fetch_add(1, Ordering::SeqCst);
    }
}

impl Acceptor {
    fn add_thread(self: &Arc<Self>) {
        if self.threads.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            self.threads.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let acceptor = self.clone();
        let spawned = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            loop {
                acceptor.accept_one();
                if acceptor.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING_MAX {
                    acceptor.waiting.fetch_sub(1, Ordering::SeqCst);
                    acceptor.threads.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
            }
        });
        if spawned.is_err() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a connection and serves it to its end.
    fn accept_one(self: &Arc<Self>) {
        let accepted = match &self.listener {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| {
                // Refused only by a connection that is already gone.
                let _ = stream.set_nodelay(true);
                Box::new(stream) as Box<dyn Stream>
            }),
            Listener::Unix(listener) => {
                listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Stream>)
            }
        };
        if self.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.add_thread();
        }
        match accepted {
            Ok(mut stream) => {
                // The peer went away: nobody to tell.
                let _ = connection::serve(&mut *stream);
            }
            Err(_) => thread::sleep(ACCEPT_RETRY),
        }
    }
}
