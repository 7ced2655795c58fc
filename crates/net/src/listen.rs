//! Listening: like `TcpListener::bind`, but for bursts.
//!
//! That one asks for room for 128 connections which are not accepted yet. When a
//! thousand clients connect at once, the kernel drops what is beyond, and those
//! clients try again after one second, and then three (RFC 6298, section 2): a cold
//! burst would be late before its first request is seen.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. The kernel takes `net.core.somaxconn`
/// if that is less: 4,096 by default since Linux 5.4.
const BACKLOG: u32 = 4_096;

/// Listens on `address`; port 0 takes a free one.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A port whose former connections are still in TIME-WAIT is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_burst_of_clients_is_connected_though_nobody_accepts_yet() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let allowed: usize = allowed.unwrap().trim().parse().unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: JoinSet<_> =
            (0..allowed.min(400)).map(|_| TcpStream::connect(address)).collect();
        // Who was dropped is not connected until somebody accepts, however long that is.
        let connected = tokio::time::timeout(Duration::from_secs(20), clients.join_all()).await;
        assert!(connected.expect("all are connected").iter().all(Result::is_ok));
    }
}
