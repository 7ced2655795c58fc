//! Which port an instance gets as `$PORT`.
//!
//! Not one from the kernel's ephemeral range, as `bind(0)` would give: between the
//! choice and the program's own bind, any outgoing connection on the machine could
//! take it. From a range beside that one, in turn, so that a port just freed is
//! tried last; each is tried by binding it, so what another program holds is
//! passed over. One that another takes in between is noticed before a request
//! goes there (`examine::owns`).

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// Lowest port used; below are services people know.
const PORT_MIN: u16 = 10_000;
/// A range smaller than this beside the ephemeral one is not worth using.
const RANGE_MIN: u16 = 1_000;
/// Ports tried before the kernel is asked for one.
const TRIES_MAX: usize = 256;

/// Drivers made in this process.
static DRIVERS: AtomicU32 = AtomicU32::new(0);

/// Hands out ports, and none twice at a time.
#[derive(Debug)]
pub(crate) struct Ports {
    range: Option<RangeInclusive<u16>>,
    next: u16,
    /// Held by instances; at most one each.
    held: HashSet<u16>,
}

impl Ports {
    pub(crate) fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let range = text.ok().and_then(|text| range_beside(&text));
        // Drivers on one machine, and in one process, begin at different places.
        let process = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
        let spread = process.wrapping_add(DRIVERS.fetch_add(1, Ordering::Relaxed));
        let next = range.as_ref().map_or(0, |range| {
            let length = u32::from(range.end() - range.start()) + 1;
            range.start() + (spread.wrapping_mul(2_654_435_761) % length) as u16
        });
        Ports { range, next, held: HashSet::new() }
    }

    /// A port that nobody holds.
    pub(crate) fn take(&mut self) -> io::Result<u16> {
        for _ in 0..TRIES_MAX {
            let Some(range) = &self.range else { break };
            let port = self.next;
            self.next = if port == *range.end() { *range.start() } else { port + 1 };
            if !self.held.contains(&port) && try_bind(port).is_ok() {
                self.held.insert(port);
                return Ok(port);
            }
        }
        for _ in 0..TRIES_MAX {
            let port = try_bind(0)?;
            if self.held.insert(port) {
                return Ok(port);
            }
        }
        Err(io::Error::other("no TCP port is free on 127.0.0.1"))
    }

    /// Takes a port back.
    pub(crate) fn give_back(&mut self, port: u16) {
        self.held.remove(&port);
    }
}

/// The larger usable range beside the ephemeral one.
fn range_beside(ephemeral: &str) -> Option<RangeInclusive<u16>> {
    let mut bounds = ephemeral.split_whitespace().map(|bound| bound.parse::<u16>());
    let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    let below = low.saturating_sub(PORT_MIN);
    let above = u16::MAX - high.max(PORT_MIN);
    if below.max(above) < RANGE_MIN {
        None
    } else if below >= above {
        Some(PORT_MIN..=low - 1)
    } else {
        Some(high.max(PORT_MIN) + 1..=u16::MAX)
    }
}

/// Binds and lets go. Without `SO_REUSEADDR`, so that it succeeds only where a
/// program that does not set it either will.
fn try_bind(port: u16) -> io::Result<u16> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    let bound: SocketAddrV4 = getsockname(&socket)?.try_into().map_err(io::Error::from)?;
    Ok(bound.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_range_is_beside_the_ephemeral_one() {
        assert_eq!(range_beside("32768\t60999\n"), Some(10_000..=32_767));
        assert_eq!(range_beside("1024 40000"), Some(40_001..=65_535));
        assert_eq!(range_beside("1024 65535"), None);
        assert_eq!(range_beside("nonsense"), None);
    }

    #[test]
    fn no_port_is_given_twice_nor_one_that_another_holds() {
        let mut ports = Ports { range: None, ..Ports::new() };
        let mut seen = HashSet::new();
        for _ in 0..50 {
            assert!(seen.insert(ports.take().unwrap()));
        }
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = busy.local_addr().unwrap().port();
        let mut ports = Ports { range: Some(port..=port), next: port, held: HashSet::new() };
        assert_ne!(ports.take().unwrap(), port);
    }
}
