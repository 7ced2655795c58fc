//! Who listens where: how the warden learns that a program can serve.
//!
//! For the Unix socket, the kernel says when a file appears in the sockets folder
//! (inotify, in `warden.rs`); from then on a connect tells whether anybody
//! accepts. For `$PORT`, the kernel is asked whether a socket listens there
//! (`NETLINK_SOCK_DIAG`, one exact lookup per address): a fifth of the cost of a
//! refused loopback connect, without its tail, and the program sees no connection
//! that is closed again at once.
//! Where the kernel has no socket diagnosis, connect it is.
//! `cargo test --release -p gapless-sandbox-linux lookup_cost -- --ignored --nocapture`
//! measures both.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, netlink,
    recv, send, socket_with,
};

/// How long a connect on loopback may take where it is all there is.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1);
/// Where a program may listen: IPv4 loopback, or IPv6 for one that resolves `localhost`.
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h.
const REQUEST_BYTES: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const TCP_LISTEN: u8 = 10;
const HEADER_BYTES: usize = 16;
const INODE_AT: usize = 68;

/// Whether anybody accepts on this Unix socket.
pub(crate) fn unix_accepts(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(socket) = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return false;
    };
    let Ok(address) = SocketAddrUnix::new(path) else { return false };
    // `AGAIN`: somebody listens, and others are waiting to be accepted.
    matches!(connect(&socket, &address), Ok(()) | Err(Errno::AGAIN))
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// Its inode, where the kernel says.
    pub(crate) inode: Option<u64>,
}

/// Finds who listens on a TCP port of loopback.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// `None` where the kernel has no socket diagnosis.
    diagnosis: Option<OwnedFd>,
    sequence: u32,
}

impl Listeners {
    /// Tries the kernel's socket diagnosis on a socket of its own first.
    pub(crate) fn new() -> Self {
        let mut listeners = Listeners { diagnosis: open_diagnosis().ok(), sequence: 0 };
        if let Ok(known) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            && let Ok(address) = known.local_addr()
            && !matches!(listeners.looked_up(address), Some(Some(_)))
        {
            listeners.diagnosis = None;
        }
        listeners
    }

    /// The socket that listens on this port of loopback.
    pub(crate) fn find(&mut self, port: u16) -> Option<Listener> {
        ADDRESSES.iter().find_map(|ip| {
            let address = SocketAddr::new(*ip, port);
            match self.looked_up(address) {
                Some(inode) => inode.map(|inode| Listener { address, inode: Some(inode) }),
                None => connects(address).then_some(Listener { address, inode: None }),
            }
        })
    }

    /// The inode of the socket that listens at `address`, if one does; `None` when
    /// the kernel does not say.
    fn looked_up(&mut self, address: SocketAddr) -> Option<Option<u64>> {
        let socket = self.diagnosis.as_ref()?;
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(address, self.sequence);
        send(socket, &request, SendFlags::empty()).ok()?;
        let mut reply = [0_u8; 512];
        loop {
            let (length, _) = recv(socket, &mut reply, RecvFlags::DONTWAIT).ok()?;
            let reply = reply.get(..length)?;
            // An answer to a lookup that was given up is not this one's.
            if u32_at(reply, 8)? == self.sequence {
                return answer(reply);
            }
        }
    }
}

fn open_diagnosis() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(netlink::SOCK_DIAG);
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` for one exact lookup.
fn request(address: SocketAddr, sequence: u32) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    let (family, ip) = match address.ip() {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            (AddressFamily::INET, bytes)
        }
        IpAddr::V6(ip) => (AddressFamily::INET6, ip.octets()),
    };
    request[0..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    request[16] = family.as_raw() as u8;
    request[17] = libc::IPPROTO_TCP as u8;
    request[20..24].copy_from_slice(&(1_u32 << TCP_LISTEN).to_ne_bytes());
    request[24..26].copy_from_slice(&address.port().to_be_bytes());
    request[28..44].copy_from_slice(&ip);
    // No cookie: any socket.
    request[64..72].fill(0xff);
    request
}

/// The listening socket that the answer to a lookup names.
fn answer(reply: &[u8]) -> Option<Option<u64>> {
    let kind = u16::from_ne_bytes(reply.get(4..6)?.try_into().ok()?);
    if kind == SOCK_DIAG_BY_FAMILY {
        // `struct inet_diag_msg`: family, state, ..., and the inode at its end.
        let inode = u64::from(u32_at(reply, HEADER_BYTES + INODE_AT)?);
        return Some((*reply.get(HEADER_BYTES + 1)? == TCP_LISTEN).then_some(inode));
    }
    let errno = -i32::from_ne_bytes(reply.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?);
    (errno == libc::ENOENT).then_some(None)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn connects(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use super::*;

    fn both() -> [Listeners; 2] {
        [Listeners::new(), Listeners { diagnosis: None, sequence: 0 }]
    }

    #[test]
    fn a_listener_is_found_and_its_end_is_seen() {
        for mut listeners in both() {
            for ip in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
                let Ok(socket) = TcpListener::bind(format!("{ip}:0")) else {
                    eprintln!("skipped: {ip} cannot be bound here");
                    continue;
                };
                let port = socket.local_addr().unwrap().port();
                let found = listeners.find(port).unwrap_or_else(|| panic!("{ip} is not found"));
                TcpStream::connect(found.address).expect("what is found accepts");
                drop(socket);
                assert_eq!(listeners.find(port), None, "{ip}");
            }
        }
    }

    #[test]
    fn a_bound_port_that_does_not_listen_is_not_ready() {
        for mut listeners in both() {
            let flags = SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
            rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
            let bound = rustix::net::getsockname(&socket).unwrap();
            let port = SocketAddr::try_from(bound).unwrap().port();
            assert_eq!(listeners.find(port), None);
            rustix::net::listen(&socket, 1).unwrap();
            assert!(listeners.find(port).is_some());
        }
    }

    #[test]
    fn a_unix_socket_is_ready_when_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        assert!(!unix_accepts(&path));
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert!(!unix_accepts(&path), "bound, and not listening yet");
        rustix::net::listen(&socket, 0).unwrap();
        assert!(unix_accepts(&path));
        assert!(unix_accepts(&path), "a full backlog is somebody listening");
        drop(socket);
        assert!(!unix_accepts(&path), "the file outlives its socket");
        drop(UnixListener::bind(folder.path().join("other")));
    }

    /// Prints what one look costs each way.
    #[test]
    #[ignore = "a measurement of the machine, neither right nor wrong: `cargo xtask measure` runs it"]
    fn lookup_cost() {
        println!("nobody listens, us     p50    p99");
        for (name, mut listeners) in ["socket diagnosis", "connect"].into_iter().zip(both()) {
            let mut times: Vec<_> = (0..5_000)
                .map(|_| {
                    let begun = Instant::now();
                    assert_eq!(listeners.find(9), None);
                    begun.elapsed().as_nanos() as f64 / 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{name:20} {:6.1} {:6.1}", times[2_500], times[4_950]);
        }
    }
}
