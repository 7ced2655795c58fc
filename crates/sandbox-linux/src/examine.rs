//! What `/proc` knows of a program: whose a socket is, how much memory it uses,
//! and where one that does not listen where it should listens instead.
//!
//! The last looks at every process of the machine, which takes milliseconds where
//! there are many, so it runs on a thread of its own and only for programs that
//! have been starting for long.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::process::Pid;

/// Processes looked at for a socket.
const FAMILY_MAX: usize = 64;
/// Addresses named in a sentence.
const NAMED_MAX: usize = 4;

/// TCP addresses that processes of this group listen on, other than `port` where
/// it would be found. `None` when there are none, or they cannot be seen.
pub(crate) fn listens_elsewhere(group: Pid, port: u16) -> Option<String> {
    let mut listening = HashMap::new();
    for (file, read) in
        [("/proc/net/tcp", read_ipv4 as fn(&str) -> Option<IpAddr>), ("/proc/net/tcp6", read_ipv6)]
    {
        listening.extend(listeners(&fs::read_to_string(file).unwrap_or_default(), read));
    }
    let mut found: Vec<SocketAddr> = processes_of(group)
        .flat_map(sockets_of)
        .filter_map(|inode| listening.remove(&inode))
        .filter(|address| address.port() != port || !is_reachable(address.ip()))
        .collect();
    found.sort();
    found.dedup();
    found.truncate(NAMED_MAX);
    let named: Vec<String> = found.iter().map(ToString::to_string).collect();
    (!named.is_empty()).then(|| named.join(" and "))
}

/// Whether a listening socket is the program's, its leader `group`'s or that of a
/// process it started. `None` when that cannot be seen.
///
/// Between the choice of `$PORT` and the program's own bind another program may
/// have taken the port; requests must not go there.
pub(crate) fn owns(group: Pid, inode: u64) -> Option<bool> {
    let mut pending = vec![group.as_raw_nonzero().get().unsigned_abs()];
    let mut has_seen_all = true;
    for _ in 0..FAMILY_MAX {
        let Some(pid) = pending.pop() else {
            return has_seen_all.then_some(false);
        };
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(_) if sockets_of(pid).any(|socket| socket == inode) => return Some(true),
            Ok(_) => {}
            Err(_) => has_seen_all = false,
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            match fs::read_to_string(task.path().join("children")) {
                Ok(children) => {
                    pending.extend(
                        children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
                    );
                }
                Err(_) => has_seen_all = false,
            }
        }
    }
    None
}

/// Whether a listener there answers on loopback.
fn is_reachable(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// Listening sockets by inode, from the text of `/proc/net/tcp` or `tcp6`.
fn listeners(
    table: &str,
    read: fn(&str) -> Option<IpAddr>,
) -> impl Iterator<Item = (u64, SocketAddr)> + '_ {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        let (ip, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == "0A").then_some((inode, SocketAddr::new(read(ip)?, port)))
    })
}

/// An address as the kernel prints it: 32-bit words in the machine's byte order.
fn read_ipv4(hex: &str) -> Option<IpAddr> {
    let word = u32::from_str_radix(hex, 16).ok()?;
    Some(Ipv4Addr::from(word.to_ne_bytes()).into())
}

fn read_ipv6(hex: &str) -> Option<IpAddr> {
    let mut octets = [0; 16];
    for (index, word) in octets.chunks_mut(4).enumerate() {
        let word_hex = hex.get(index * 8..index * 8 + 8)?;
        word.copy_from_slice(&u32::from_str_radix(word_hex, 16).ok()?.to_ne_bytes());
    }
    let ip = Ipv6Addr::from(octets);
    Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
}

/// Whether a process of the group lives; the dead that nobody has reaped do not.
pub(crate) fn has_living(group: Pid) -> bool {
    processes_of(group).next().is_some()
}

/// The living processes of a group.
fn processes_of(group: Pid) -> impl Iterator<Item = u32> {
    let group = group.as_raw_nonzero().get();
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(move |entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may contain anything: state, parent, group.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let is_alive = !matches!(fields.next()?, "Z" | "X");
        (is_alive && fields.nth(1)?.parse() == Ok(group)).then_some(pid)
    })
}

fn sockets_of(pid: u32) -> impl Iterator<Item = u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| {
        let target = fs::read_link(link.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// Private writable memory a process has touched, in bytes; `None` when it is gone.
pub(crate) fn anonymous_bytes(pid: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
    let mut pages = statm.split(' ').skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_the_group_is_found_by_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let group = rustix::process::getpgrp();
        let found = listens_elsewhere(group, 1).unwrap();
        // Other tests of this process listen too; there are at most a few.
        assert!(found.contains(&address.to_string()) || found.contains(" and "), "{found}");
    }

    #[test]
    fn a_socket_is_its_owners_and_nobody_elses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inode = crate::readiness::Listeners::new().find(port).unwrap().inode;
        let Some(inode) = inode else { return eprintln!("skipped: no socket diagnosis here") };
        assert_eq!(owns(rustix::process::getpid(), inode), Some(true));
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(owns(Pid::from_child(&other), inode), Some(false));
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn kernel_tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                     uid  timeout inode\n   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 \
                     00:00000000 00000000     0        0 777 1 0 100 0 0 10 0\n";
        let read: Vec<_> = listeners(table, read_ipv4).collect();
        assert_eq!(read, [(777, "127.0.0.1:8000".parse().unwrap())]);
        let loopback = read_ipv6("00000000000000000000000001000000").unwrap();
        assert_eq!(loopback, Ipv6Addr::LOCALHOST);
        assert_eq!(read_ipv6("0000000000000000FFFF00000100007F").unwrap(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn memory_that_is_touched_is_seen() {
        let me = rustix::process::getpid();
        let before = anonymous_bytes(me).unwrap();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = anonymous_bytes(me).unwrap();
        assert!(after >= before + (48 << 20), "{before} then {after}");
        drop(touched);
    }
}
